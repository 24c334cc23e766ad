"""`sam catalog add` with a place instead of an entry."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from deploy.demo.hub.server import HubServer
from engines.models import CatalogModel
from samproject.cli.errors import CommandError
from tests.sam_command import run_sam
from tests.worker.plans import make_host


def test_a_repository_lists_its_models_and_the_command_that_takes_the_best(
    db: None, tmp_path: Path, settings: Settings
) -> None:
    make_host("small", memory_bytes=6000)
    folder = tmp_path / "org" / "Qwen3-Embedding-GGUF"
    (folder / "f16").mkdir(parents=True)
    for name, size in (("q4.gguf", 2000), ("q 8.gguf", 4000), ("mmproj-f16.gguf", 10)):
        (folder / name).write_bytes(b"x" * size)
    for number in (1, 2):
        (folder / "f16" / f"f16-0000{number}-of-00002.gguf").write_bytes(b"x" * 4500)
    with HubServer(tmp_path) as hub:
        settings.HF_ENDPOINT = hub.endpoint
        said = run_sam("catalog", "add", "org/Qwen3-Embedding-GGUF")
        with pytest.raises(CommandError, match="no such repository"):
            run_sam("catalog", "add", "org/none")
        with pytest.raises(CommandError):
            run_sam("catalog", "add", "../../etc")
    assert "mmproj" not in said
    assert [row for row in said.splitlines() if "f16-00001-of-00002" in row and "2" in row]
    assert "best for our hosts" in next(row for row in said.splitlines() if "q 8.gguf" in row)
    assert not CatalogModel.objects.exists()

    command = said.partition("To take one: sam ")[2].strip()
    run_sam(*shlex.split(command))

    entry = CatalogModel.objects.get()
    assert (entry.model_id, entry.role) == ("qwen3-embedding", "embedding")
    assert (entry.huggingface_repo, entry.filename) == ("org/Qwen3-Embedding-GGUF", "q 8.gguf")
    assert (entry.model_family, entry.query_prefix) == ("qwen", "")
