"""Hostile files through the whole way: the gate, then a child that loads and generates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.exceptions import (
    EngineCrashed,
    EngineError,
    InvalidRequestError,
    LoadCrashed,
    SamError,
    UnsafeModelFileError,
)
from engines.runtimes.base import ModelStatus
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.specs import EngineSpec
from tests.gguf.bad_headers import BAD_ENTRIES, BAD_HEADS, BAD_TENSORS
from tests.gguf.raw import EIGHT_FLOATS, MODEL, gguf
from tests.runtimes.child.hostile_models import HOSTILE, Model

pytestmark = pytest.mark.attack

OPTIONS = LlamaOptions(
    load_seconds=120.0, request_seconds=120.0, load_cpu_seconds=60, memory_bytes=2 * 1024**3
)
LONGEST_SENTENCE = 1500
HELLO: Any = [{"role": "user", "content": "Hello"}]

BAD_BYTES = {
    **{name: data for name, (data, _) in BAD_HEADS.items()},
    **{name: gguf([*MODEL, bad]) for name, (bad, _) in BAD_ENTRIES.items()},
    **{
        name: gguf(MODEL, tensors, data=EIGHT_FLOATS * 3)
        for name, (tensors, _) in BAD_TENSORS.items()
    },
}

GATE = {"a part of a thousand", "eos as text", "said to be t5", "said to be a projector"}
"""Refused before a child is started."""
CRASH_AT_LOAD = {
    "2^31 experts",
    "more experts used than there",
    "a token with NUL",
    # Its first answer ends it.
    "epsilon NaN",
    # A family's marks are cut into tokens while loading.
    "tokenizer llama without scores",
    "tokenizer rwkv",
}
ANSWERS = {
    "frequencies of zero",
    "rope base 0",
    "rope base NaN",
    "rope scaling by 0",
    "vocabulary of 10",
    "window 2^32-1",
    "weights that are no numbers",
    "weights without bound",
    "a norm that is no number",
    "tokenizer bert",
    "tokenizer t5",
    "one merge of one word",
    "empty merges",
    "merges of nothing",
    "merges of unknown words",
    "too many types",
    "types out of range",
    "types below zero",
    "tokens of 60 KB",
    "bos beyond the vocabulary",
    "eos 2^32-1",
    "every token ends",
}
"""Wrong, but not dangerous."""
CHAT_REFUSED = {
    "template that never ends",
    "template that wants memory",
    "template that writes much",
    "template of a large range",
    "template that calls itself",
    "template that raises",
    "template that divides by zero",
    "template that reads classes",
    "template that reads globals",
    "template that imports",
    "template that includes",
    "template that changes messages",
    "template that is silent",
    "template of 100 KB",
    "template of a power",
}
"""Loads and answers a plain prompt; the template is refused."""
QUICK = {
    "a part of a thousand",
    "no output norm",
    "context 2^30",
    "no merges",
    "2^31 experts",
    "epsilon NaN",
    "rope base NaN",
    "template that reads globals",
    "template nested too deep",
}


@pytest.fixture(scope="module")
def neighbour(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    """Somebody else's engine in the same process, which must not notice."""
    spec = EngineSpec("neighbour", "Neighbour", str(tiny_llama), threads=1)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        yield engine


def make_engine(path: Path) -> LlamaCppEngine:
    spec = EngineSpec("hostile", "Hostile", str(path), threads=1)
    return LlamaCppEngine.from_spec(spec, OPTIONS)


def check_sentence(error: SamError) -> None:
    sentence = str(error)
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < LONGEST_SENTENCE


def check_gate_refuses(path: Path) -> None:
    engine = make_engine(path)
    with pytest.raises(UnsafeModelFileError) as refusal:
        engine.load_model()

    check_sentence(refusal.value)
    assert engine.get_status() is ModelStatus.ERROR
    assert "pid" not in engine.get_engine_info()


@pytest.mark.parametrize("data", BAD_BYTES.values(), ids=BAD_BYTES.keys())
def test_the_gate_refuses_before_a_child_is_started(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)

    check_gate_refuses(path)


def test_what_is_no_regular_file_is_refused(tmp_path: Path, tiny_llama: Path) -> None:
    link, pipe, sparse = tmp_path / "link.gguf", tmp_path / "pipe.gguf", tmp_path / "sparse.gguf"
    link.symlink_to(tiny_llama)
    os.mkfifo(pipe)
    with sparse.open("wb") as file:
        file.truncate(2**40)

    for path in (link, pipe, sparse, tmp_path):
        check_gate_refuses(path)


def test_a_file_cut_at_any_64_kib_is_refused(tmp_path: Path, tiny_llama: Path) -> None:
    whole = tiny_llama.read_bytes()
    path = tmp_path / "cut.gguf"

    for cut in range(0, len(whole), 65_536):
        path.write_bytes(whole[:cut])
        check_gate_refuses(path)


def test_every_outcome_is_listed_once() -> None:
    lists = [GATE, CRASH_AT_LOAD, ANSWERS, CHAT_REFUSED]
    named = [name for names in lists for name in names]

    assert len(named) == len(set(named))
    assert set(named) <= set(HOSTILE)
    assert len(HOSTILE) >= 60
    assert set(HOSTILE) >= QUICK


def outcome_of(name: str, path: Path) -> tuple[str, SamError | None]:
    """How far the file came, and the error that ended it."""
    with make_engine(path) as engine:
        try:
            engine.load_model()
        except LoadCrashed as error:
            return "crash at load", error
        except UnsafeModelFileError as error:
            return "gate", error
        except EngineError as error:
            return "refused", error
        try:
            engine.generate(HELLO, max_tokens=8, temperature=0)
        except InvalidRequestError as error:
            assert len(engine.generate("Hello", max_tokens=8, temperature=0)) > 0
            return "chat refused", error
        except EngineCrashed as error:
            return "crash at work", error
        except EngineError as error:
            return "no answer", error
    return "answers", None


def expected_of(name: str) -> str:
    lists = {
        "gate": GATE,
        "crash at load": CRASH_AT_LOAD,
        "answers": ANSWERS,
        "chat refused": CHAT_REFUSED,
    }
    return next((outcome for outcome, names in lists.items() if name in names), "refused")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in HOSTILE]
)
def test_a_hostile_model_costs_its_own_child_at_most(
    name: str, tiny_llama: Path, tmp_path: Path, neighbour: LlamaCppEngine
) -> None:
    before = (
        neighbour.get_engine_info()["pid"],
        neighbour.generate("Stones", temperature=0, seed=1, max_tokens=8),
    )
    model = Model.read(tiny_llama)
    HOSTILE[name](model)

    outcome, error = outcome_of(name, model.write(tmp_path / "model.gguf"))

    assert outcome == expected_of(name)
    if error is not None:
        check_sentence(error)
    after = (
        neighbour.get_engine_info()["pid"],
        neighbour.generate("Stones", temperature=0, seed=1, max_tokens=8),
    )
    assert after == before


def test_a_crash_at_loading_says_that_it_is_not_tried_again(
    tiny_llama: Path, tmp_path: Path
) -> None:
    model = Model.read(tiny_llama)
    HOSTILE["2^31 experts"](model)
    engine = make_engine(model.write(tmp_path / "experts.gguf"))

    with pytest.raises(LoadCrashed) as crash:
        engine.load_model()

    sentence = str(crash.value)
    assert sentence.startswith(
        "experts.gguf could not be loaded: The process of engine hostile was ended by signal SIGABRT"
    )
    assert "GGML_ASSERT" in sentence
    assert sentence.endswith(
        "It is not retried automatically; verify the file or choose another model."
    )
    assert engine.get_status() is ModelStatus.ERROR


def test_a_load_that_takes_too_long_is_a_crash_at_loading(tiny_llama: Path) -> None:
    spec = EngineSpec("late", "Late", str(tiny_llama), threads=1)
    engine = LlamaCppEngine.from_spec(spec, LlamaOptions(load_seconds=0.0001))

    with pytest.raises(LoadCrashed, match="did not answer in time and its process was ended"):
        engine.load_model()

    assert engine.get_status() is ModelStatus.ERROR
    assert "pid" not in engine.get_engine_info()
