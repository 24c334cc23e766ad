"""Models that tests share; what is fetched or converted is cached between runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from deploy.demo.models.minilm import CONVERTER_VERSION, convert_minilm, convert_minilm_permuted
from deploy.demo.models.tiny_models import write_llama_chat, write_lora_for, write_qwen_chat
from deploy.demo.models.weights import LOCK_FILE, MINILM, SMOLLM2, ensure_weights

PERMUTATION_SEED = 4


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama_chat(tmp_path_factory.mktemp("models") / "tiny-llama-f16.gguf")


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen_chat(tmp_path_factory.mktemp("models") / "tiny-qwen-f16.gguf")


@pytest.fixture(scope="session")
def tiny_lora(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> Path:
    return write_lora_for(tmp_path_factory.mktemp("models") / "tiny-lora.gguf", tiny_llama)


@pytest.fixture(scope="session")
def minilm_source() -> Path:
    return ensure_weights(MINILM, models_cache())


@pytest.fixture(scope="session")
def fetched(minilm_source: Path, smollm2: Path) -> Path:
    """The folder with the weights of all the demo's real models."""
    return minilm_source.parent


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """A real chat engine of 135 million parameters, with its publisher's chat template."""
    return ensure_weights(SMOLLM2, models_cache()) / SMOLLM2.file


@pytest.fixture(scope="session")
def minilm() -> Path:
    return ensure_minilm()


@pytest.fixture(scope="session")
def minilm_permuted(minilm_source: Path) -> Path:
    target = models_cache() / f"all-MiniLM-L6-v2-permuted-{PERMUTATION_SEED}-f16.gguf"
    if target.is_file():
        return target
    return convert_minilm_permuted(minilm_source, target, seed=PERMUTATION_SEED)


def ensure_minilm() -> Path:
    """The converted embedder; fetched and written at first need."""
    target = models_cache() / "all-MiniLM-L6-v2-f16.gguf"
    return (
        target
        if target.is_file()
        else convert_minilm(ensure_weights(MINILM, models_cache()), target)
    )


def models_cache() -> Path:
    """A folder that a changed lock file or converter does not share with the last one."""
    lock = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:16]
    return tests_cache() / f"{lock}-{CONVERTER_VERSION}"


def tests_cache() -> Path:
    """Where tests keep what they fetched, for all checkouts of this account."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sam-tests"
