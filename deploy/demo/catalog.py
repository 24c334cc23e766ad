"""The catalog of the demo: SAM's starter entries, and the engines of the local hub."""

from __future__ import annotations

from typing import Any

from deploy.demo.errors import DemoError
from deploy.demo.models.engine_files import ENGINES, DemoEngine
from migrations_app.library import get_model_library_manager


def ensure_catalog(hub_address: str) -> int:
    """Write starter and demo entries; return how many there are. Refusals stop the demo."""
    library = get_model_library_manager()
    starter = library._create_default_catalog()
    # The hub's address is another one each time.
    entries = [_entry(engine, hub_address) for engine in ENGINES]
    demo = library.import_catalog({"models": entries}, overwrite=True)
    refused = starter.refused | demo.refused
    if refused:
        raise DemoError("; ".join(f"{name}: {why}" for name, why in refused.items()))
    return starter.total + demo.total


def _entry(engine: DemoEngine, hub_address: str) -> dict[str, Any]:
    return {
        "model_id": engine.model_id,
        "display_name": engine.display_name,
        "description": "Served by the quickstart's own hub on this machine.",
        "model_family": engine.family,
        "role": engine.role,
        "huggingface_repo": engine.repository,
        "filename": engine.filename,
        "hub_endpoint": hub_address,
        "quantization": engine.quantization,
        "embedding_model": engine.companion,
        "tags": ["demo"],
    }
