from __future__ import annotations

from pathlib import Path

import pytest

from engines.exceptions import InvalidRequestError
from engines.runtimes.llama_cpp import DeepSeekEngine, LlamaCppEngine, LlamaEngine, QwenEngine
from engines.runtimes.registry import EngineRegistry
from engines.specs import EngineSpec
from tests.runtimes.seed_engine import CustomEngine

ENTRY_POINTS = """[sam.engines]
letters = tests.runtimes.seed_engine:CustomEngine
missing = no_such_module:Engine
wrong_kind = tests.runtimes.seed_engine:LettersModel
llama_cpp = tests.runtimes.seed_engine:CustomEngine
"""


def _spec(runtime: str, family: str = "") -> EngineSpec:
    return EngineSpec("id-1", "Name", "/models/m.gguf", family=family, runtime=runtime)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "sam_letters-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: sam-letters\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("llama", LlamaEngine),
        ("deepseek", DeepSeekEngine),
        ("qwen", QwenEngine),
        ("phi", LlamaCppEngine),
    ],
)
def test_family_chooses_the_llama_cpp_engine(family: str, kind: type[LlamaCppEngine]) -> None:
    engine = EngineRegistry().create(_spec("llama_cpp", family))

    assert type(engine) is kind
    assert (engine.engine_id, engine.model_path) == ("id-1", "/models/m.gguf")
    assert engine.is_loaded is False


def test_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequestError, match="no runtime 'abacus'; known are llama_cpp"):
        EngineRegistry().create(_spec("abacus"))


@pytest.mark.usefixtures("plugins")
def test_installed_plugin_makes_engines() -> None:
    registry = EngineRegistry()

    engine = registry.create(_spec("letters"))

    assert registry.runtimes == ["letters", "llama_cpp"]
    assert type(engine) is CustomEngine
    assert engine.load_model() is True
    assert engine.generate("abc") == "cba"


@pytest.mark.usefixtures("plugins")
def test_broken_plugins_are_reported_and_stop_nobody() -> None:
    registry = EngineRegistry()

    assert len(registry.problems) == 3
    told = "\n".join(sorted(registry.problems))
    assert "'llama_cpp'" in told
    assert "already" in told
    assert "'missing' (no_such_module:Engine) cannot be used: ModuleNotFoundError" in told
    assert "'wrong_kind'" in told
    assert "not a subclass of BaseModelEngine" in told
    assert type(registry.create(_spec("llama_cpp"))) is LlamaCppEngine
