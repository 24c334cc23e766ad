"""One model in this process, as the options name it."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from engines.host_runtimes import host_programs
from engines.model_manager import ModelManager
from engines.runtimes.registry import EngineRegistry
from samproject.cli.trying.options import ModelWish


def manager_of(wish: ModelWish, embedder: str = "") -> ModelManager:
    """Return the model that was named, with this host's keys and programs; nothing is loaded yet."""
    return ModelManager(
        wish.type,
        wish.size,
        wish.domain,
        EngineRegistry(settings.SAM_ENGINE_KEYS, programs=host_programs()),
        model_id=wish.model,
        cache_dir=wish.folder,
        ollama_host=wish.server,
        family=wish.family,
        device=wish.device,
        context_length=wish.context,
        threads=wish.threads,
        embedding_model_id=embedder,
    )


def only_given(settings: Mapping[str, float | None]) -> dict[str, float]:
    """Return the settings that were given; the others are left to the model."""
    return {name: value for name, value in settings.items() if value is not None}
