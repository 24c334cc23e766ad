"""The page that maps the first specifications' names keeps its word."""

from __future__ import annotations

import dataclasses
import importlib
import re
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.db.models import Model

PAGE = Path(__file__).resolve().parent.parent / "docs" / "seed-map.md"
QUOTED = re.compile(r"`([^`]+)`")

NAMED = [
    "BaseModelEngine",
    "BaseModelEngine.load_model",
    "BaseModelEngine.generate",
    "BaseModelEngine.embed",
    "BaseModelEngine.unload_model",
    "BaseModelEngine.get_engine_info",
    "engine_id",
    "model_name",
    "model_path",
    "status",
    "is_loaded",
    "ModelStatus",
    "ModelStatus.LOADING",
    "ModelStatus.READY",
    "ModelStatus.ERROR",
    "ModelStatus.UNAVAILABLE",
    "DeepSeekEngine",
    "LlamaEngine",
    "CustomEngine",
    "NewModelEngine",
    "ModelLibraryManager",
    "get_available_models",
    "get_downloaded_models",
    "get_model_status",
    "download_model",
    "get_download_progress",
    "cancel_download",
    "delete_model",
    "_create_default_catalog",
    "get_model_library_manager",
    "models_dir",
    "not_downloaded",
    "downloading",
    "downloaded",
    "corrupted",
    "missing",
    "MigrationController",
    "create_migration_plan",
    "execute_migration",
    "get_migration_status",
    "cancel_migration",
    "_update_prompt_templates",
    "get_migration_controller",
    "backup_dir",
    "from_engine",
    "to_engine",
    "user_id",
    "backup_lora",
    "re_embed",
    "update_prompts",
    "MigrationPlan",
    "MigrationPlan.migration_id",
    "MigrationPlan.from_engine",
    "MigrationPlan.to_engine",
    "MigrationPlan.user_id",
    "MigrationPlan.created_at",
    "MigrationPlan.backup_lora_adapters",
    "MigrationPlan.re_embed_knowledge",
    "MigrationPlan.update_prompt_templates",
    "MigrationPlan.affected_lora_adapters",
    "MigrationPlan.knowledge_base_size",
    "MigrationPlan.estimated_duration_minutes",
    "MigrationPlan.status",
    "MigrationPlan.current_step",
    "MigrationPlan.progress_percentage",
    "MigrationPlan.error_message",
    "MigrationStatus",
    "MigrationStatus.PENDING",
    "MigrationStatus.IN_PROGRESS",
    "MigrationStatus.COMPLETED",
    "MigrationStatus.FAILED",
    "MigrationStatus.CANCELLED",
    "ModelInfo",
    "ModelInfo.model_id",
    "ModelInfo.display_name",
    "ModelInfo.description",
    "ModelInfo.model_family",
    "ModelInfo.huggingface_repo",
    "ModelInfo.filename",
    "ModelInfo.file_size",
    "ModelInfo.quantization",
    "ModelInfo.context_length",
    "ModelInfo.recommended",
    "ModelInfo.tags",
    "DownloadedModel",
    "DownloadedModel.model_id",
    "DownloadedModel.local_path",
    "DownloadedModel.downloaded_at",
    "DownloadedModel.file_size",
    "DownloadedModel.checksum",
    "DownloadedModel.model_info",
    "DownloadedModel.status",
    "get_config_manager",
    "get_config",
    "save_config",
    "config.engine_upgrade",
    "active_engine_id",
    "engine_model_name",
    "engine_family",
    "last_upgrade",
    "local_model_path",
    "get_current_model_info",
    "primary_model",
    "get_dpo_model_manager",
    "get_user_models",
    "training_stats",
    "migration_notes",
    "invalidated_by_migration",
    "system_prompt",
    "reasoning_prompt",
    "chat_format",
    "ModelBackend",
    "HuggingFaceModel",
    "OllamaModel",
    "ModelRegistry",
    "ModelManager",
    "ModelManager.generate_response",
    "ModelManager.generate_stream",
    "ModelManager.generate_embeddings",
    "ModelManager.generate_batch_embeddings",
    "cache_dir",
    "device",
    "quantization",
    "use_flash_attention",
    "embedding_model_id",
    "ollama_host",
    "share_with_ollama",
    "model_type",
    "model_size",
    "domain",
    "sam.core.model_interface",
    "sam.core.model_library_manager",
    "sam.core.migration_controller",
    "sam.config",
    "sam.cognition.dpo.model_manager",
    "src.models.model_manager",
]


def rows(section: str) -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


CLAIMED = sorted({path for row in rows("Here now") for path in QUOTED.findall(row[1])})


def resolve(path: str) -> Any:
    """Return what a dotted path names; fields of models and of dataclasses count."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(member, parts[length:], found)
    raise ModuleNotFoundError(path)


def member(owner: Any, name: str) -> Any:
    if isinstance(owner, type) and issubclass(owner, Model) and not hasattr(owner, name):
        return owner._meta.get_field(name)
    if dataclasses.is_dataclass(owner):
        return {field.name: field for field in dataclasses.fields(owner)}[name]
    return getattr(owner, name)


@pytest.mark.parametrize("path", CLAIMED)
def test_what_the_page_names_is_there(path: str) -> None:
    assert resolve(path) is not None


def test_every_name_of_the_specifications_is_on_the_page_once() -> None:
    first = [row[0] for section in ("Here now", "Not built yet") for row in rows(section)]
    found = [name for cell in first for name in QUOTED.findall(cell)]

    assert sorted(set(NAMED) - set(found)) == []
    assert sorted(name for name in set(found) if found.count(name) > 1) == []


def test_what_is_not_built_yet_names_its_row_and_is_really_not_there() -> None:
    for names, _, row in rows("Not built yet"):
        assert re.fullmatch(r"[A-D][0-9]{1,2}", row), names
    runtimes = importlib.import_module("engines.runtimes.registry")
    assert isinstance(runtimes, ModuleType)
    for name in ("HuggingFaceModel", "OllamaModel", "ModelManager"):
        assert not hasattr(runtimes, name)
