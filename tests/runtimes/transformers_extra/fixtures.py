"""Tiny models of the transformers runtime's tests, which a command of their own runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtimes.transformers_extra.tiny_models import write_bert, write_llama


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("models") / "tiny-bert")
