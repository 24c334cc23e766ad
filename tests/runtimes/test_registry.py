from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks

from engines.checks import broken_plugins
from engines.exceptions import InvalidRequestError, NotFoundError
from engines.runtimes.llama_cpp.engine import (
    DeepSeekEngine,
    LlamaCppEngine,
    LlamaEngine,
    QwenEngine,
)
from engines.runtimes.registry import EngineRegistry
from engines.runtimes.servers.ollama import OllamaEngine, OllamaOptions
from engines.runtimes.servers.openai import OpenAICompatibleEngine
from engines.specs import EngineSpec
from tests.runtimes.plugin_package import install_plugin
from tests.runtimes.seed_engine import CustomEngine, LettersModel
from tests.runtimes.servers.openai_server import KEY, OpenAIServer

PROJECT = Path(__file__).resolve().parents[2]
BUILT_IN = ["llama_cpp", "llama_server", "ollama", "openai", "openvino", "transformers", "vllm"]
USE_PLUGIN = """
import json, logging
logging.disable()
from engines.runtime_names import list_model_types
from engines.runtimes.registry import EngineRegistry
from engines.specs import EngineSpec
registry = EngineRegistry()
engine = registry.create(EngineSpec("e", "E", "/m", runtime="echo"))
engine.load_model()
print(json.dumps({
    "runtimes": registry.runtimes,
    "types": list_model_types(),
    "answer": engine.generate("hello"),
    "sources": {b.name: b.source for b in registry.backends()},
    "problems": sorted(registry.problems),
    "llama_cpp": type(registry.create(EngineSpec("l", "L", "/m"))).__name__,
}))
"""
CHECK = """
import json, logging
logging.disable()
from engines.checks import broken_plugins
found = broken_plugins(app_configs=None)
print(json.dumps([[m.level, m.id, m.msg] for m in sorted(found, key=lambda m: m.msg)]))
"""


def _spec(runtime: str, family: str = "", endpoint: str = "") -> EngineSpec:
    path = "/models/m.gguf"
    return EngineSpec("id-1", "Name", path, family=family, runtime=runtime, endpoint=endpoint)


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("llama", LlamaEngine),
        ("deepseek", DeepSeekEngine),
        ("qwen", QwenEngine),
        ("qwen3", QwenEngine),
        ("phi", LlamaCppEngine),
    ],
)
def test_family_chooses_the_llama_cpp_engine(family: str, kind: type[LlamaCppEngine]) -> None:
    engine = EngineRegistry().create(_spec("llama_cpp", family))

    assert type(engine) is kind
    assert (engine.engine_id, engine.model_path) == ("id-1", "/models/m.gguf")
    assert engine.is_loaded is False


def test_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequestError, match="no runtime 'abacus'; known are llama_cpp, llam"):
        EngineRegistry().create(_spec("abacus"))


def test_engine_is_found_again_as_long_as_somebody_has_it() -> None:
    registry = EngineRegistry()
    engine = registry.create(_spec("ollama"))

    assert registry.get("id-1") is engine
    del engine
    gc.collect()
    with pytest.raises(NotFoundError, match="No engine 'id-1' is in use here"):
        registry.get("id-1")


def test_key_goes_to_the_server_it_is_for_only() -> None:
    registry = EngineRegistry({"https://one.example/v1": "key-one"})
    engines = [
        registry.create(_spec("openai", endpoint=f"https://{name}.example/v1"))
        for name in ("one", "two")
    ]

    assert [type(engine) for engine in engines] == [OpenAICompatibleEngine] * 2
    keys = [e.options.api_key for e in engines if isinstance(e, OpenAICompatibleEngine)]
    assert keys == ["key-one", ""]


def test_ollama_engines_get_ollamas_options() -> None:
    engine = EngineRegistry().create(_spec("ollama"))

    assert isinstance(engine, OllamaEngine)
    assert engine.options == OllamaOptions()
    assert engine.endpoint == "http://127.0.0.1:11434"


def test_backends_are_listed_with_the_reason_why_one_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "engines.runtimes.servers.ollama", raising=False)
    monkeypatch.setitem(sys.modules, "ollama", None)
    registry = EngineRegistry()

    found = {backend.name: backend for backend in registry.backends()}

    assert sorted(found) == BUILT_IN
    assert {backend.source for backend in found.values()} == {"built in"}
    assert (found["llama_cpp"].problem, found["openai"].problem) == ("", "")
    assert found["ollama"].problem == (
        "The runtime 'ollama' needs the package 'ollama'; install 'sam-engine-upgrade[ollama]' "
        "on this host."
    )
    with pytest.raises(InvalidRequestError, match="needs the package 'ollama'"):
        registry.create(_spec("ollama"))


def test_models_are_listed_where_they_are(tiny_llama: Path, llama_server: OpenAIServer) -> None:
    registry = EngineRegistry({llama_server.endpoint: KEY})

    assert registry.models("llama_cpp", str(tiny_llama.parent)) == [str(tiny_llama)]
    assert registry.models("openai", llama_server.endpoint) == [str(tiny_llama)]


def test_runtime_can_be_registered_once_and_must_be_an_engine() -> None:
    registry = EngineRegistry()
    registry.register("letters", CustomEngine)

    assert type(registry.create(_spec("letters"))) is CustomEngine
    with pytest.raises(InvalidRequestError, match="named 'letters' already"):
        registry.register("letters", CustomEngine)
    wrong: type = LettersModel
    with pytest.raises(InvalidRequestError, match="not a subclass of BaseModelEngine"):
        registry.register("model", wrong)
    assert registry.runtimes == sorted([*BUILT_IN, "letters"])


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the plugin package installed."""
    site = install_plugin(tmp_path_factory.mktemp("plugin"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT)])}


def test_installed_package_adds_a_runtime_and_its_broken_ones_stop_nobody(
    plugin: dict[str, str],
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", USE_PLUGIN], env=plugin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["runtimes"] == sorted([*BUILT_IN, "echo"])
    assert set(told["types"]) - {"gguf", "huggingface"} > set(told["runtimes"])
    assert (told["answer"], told["sources"]["echo"]) == ("hello", "sam-echo")
    assert told["llama_cpp"] == "LlamaCppEngine"
    assert [problem.split(" cannot be used: ")[1] for problem in told["problems"]] == [
        "SystemExit: no licence",
        "InvalidRequestError: There is a runtime named 'llama_cpp' already.",
        "InvalidRequestError: it is not a subclass of BaseModelEngine",
        "ModuleNotFoundError: No module named 'a_library_nobody_has'",
    ]
    assert "'unfinished' (sam_echo.unfinished:Engine) of sam-echo" in told["problems"][3]


def test_system_check_reports_each_broken_plugin_as_a_warning(plugin: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK], env=plugin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert [(level, name) for level, name, _ in told] == [(checks.WARNING, "engines.W001")] * 4
    assert "'leaving' (sam_echo.leaving:Engine) of sam-echo cannot be used" in told[0][2]


def test_system_check_of_the_project_includes_the_plugins() -> None:
    registered: set[object] = set(checks.registry.registry.get_checks())

    assert broken_plugins in registered
