"""Entries of the runtimes whose programs SAM starts itself."""

from __future__ import annotations

from typing import Any

import pytest

from engines.models import CatalogModel, ModelRole
from engines.services.catalog.capabilities import JsonUse, ToolUse, capabilities_of
from engines.services.catalog.entry_rules import find_entry_problems

FILE = {"huggingface_repo": "owner/name", "filename": "model.gguf"}
FOLDER = {"folder": "model"}


def _entry(runtime: str, **fields: Any) -> CatalogModel:
    names = {"model_id": "one", "display_name": "One", "model_family": "qwen"}
    return CatalogModel(**names, runtime=runtime, **fields)


@pytest.mark.parametrize(
    ("runtime", "fields", "refused"),
    [
        ("llama_server", FILE, set()),
        ("llama_server", {**FILE, "device": "cpu", "use_flash_attention": False}, set()),
        ("llama_server", FOLDER, {"huggingface_repo", "filename", "folder"}),
        ("llama_server", {**FILE, "batch_invariant": True}, {"batch_invariant"}),
        ("llama_server", {**FILE, "role": ModelRole.RANK}, {"role"}),
        ("vllm", FOLDER, set()),
        ("vllm", FILE, {"huggingface_repo", "filename", "folder"}),
        ("vllm", {**FOLDER, "device": "cuda"}, {"device"}),
        ("vllm", {"endpoint": "http://gpu-9/v1", "remote_name": "m"}, {"endpoint", "remote_name", "folder"}),
    ],
)  # fmt: skip
def test_an_entry_says_where_its_model_is(
    runtime: str, fields: dict[str, Any], refused: set[str]
) -> None:
    assert set(find_entry_problems(_entry(runtime, **fields))) == refused


def test_what_they_can_do_is_not_promised_beyond_what_they_do() -> None:
    served = capabilities_of(_entry("llama_server", **FILE))
    many = capabilities_of(_entry("vllm", **FOLDER))

    assert (served.tools, served.json) == (ToolUse.TRAINED, JsonUse.NONE)
    assert (many.tools, many.json) == (ToolUse.SERVER, JsonUse.SERVER)
