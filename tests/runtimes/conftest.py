"""Makers of an engine that is not loaded yet, one fixture per runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import BaseModelEngine
from engines.runtimes.llama_cpp.engine import LlamaEngine, QwenEngine
from engines.runtimes.programs.finding import LLAMA_SERVER, find_program
from engines.runtimes.programs.host import HostPrograms
from engines.runtimes.registry import EngineRegistry
from engines.specs import EngineSpec
from tests.runtimes.seed_engine import CustomEngine
from tests.runtimes.servers.ollama_server import ollama_server
from tests.runtimes.servers.openai_server import KEY, OpenAIServer, openai_server

Maker = Callable[[], BaseModelEngine]


@pytest.fixture(scope="session")
def llama_engine(tiny_llama: Path) -> Maker:
    return lambda: LlamaEngine("engine-1", "Tiny", str(tiny_llama))


@pytest.fixture(scope="session")
def qwen_engine(tiny_qwen: Path) -> Maker:
    return lambda: QwenEngine("engine-1", "Tiny", str(tiny_qwen))


@pytest.fixture(scope="session")
def llama_server_engine(tiny_llama: Path) -> Maker:
    """With the host's own llama-server; CI has none."""
    program = os.environ.get("SAM_LLAMA_SERVER", "")
    try:
        find_program(LLAMA_SERVER, program)
    except InvalidRequestError as reason:
        pytest.skip(str(reason))
    spec = EngineSpec("engine-1", "Tiny", str(tiny_llama), runtime="llama_server", device="cpu")
    registry = EngineRegistry(programs=HostPrograms(llama_server=program))
    return lambda: registry.create(spec)


@pytest.fixture(scope="session")
def custom_engine(tiny_llama: Path) -> Maker:
    return lambda: CustomEngine("engine-1", "Tiny", str(tiny_llama))


@pytest.fixture(scope="session")
def llama_server(tiny_llama: Path) -> Iterator[OpenAIServer]:
    with openai_server(tiny_llama) as server:
        yield server


@pytest.fixture(scope="session")
def openai_engine(tiny_llama: Path, llama_server: OpenAIServer) -> Maker:
    endpoint = llama_server.endpoint
    spec = EngineSpec("engine-1", "Tiny", str(tiny_llama), runtime="openai", endpoint=endpoint)
    registry = EngineRegistry({endpoint: KEY})
    return lambda: registry.create(spec)


@pytest.fixture(scope="session")
def ollama_engine(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    with ollama_server(tmp_path_factory.mktemp("ollama")) as store:
        path, endpoint = str(tiny_llama), store.endpoint
        spec = EngineSpec("engine-1", "Tiny", path, runtime="ollama", endpoint=endpoint)
        registry = EngineRegistry()
        yield lambda: registry.create(spec)
