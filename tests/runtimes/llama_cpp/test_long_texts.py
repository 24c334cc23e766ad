"""A long text keeps nobody waiting but the one who sent it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engines.exceptions import ContextLengthError, InvalidRequestError
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.text.runs import MAX_COUNT_CHARS, MAX_RUN
from engines.specs import EngineSpec
from tests.runtimes.llama_cpp.reading_children import LONG_CHARS, NOBODY_ENDED

LONG = "by the water " * (LONG_CHARS // 10)


class LateReader(LlamaCppEngine):
    handler = "tests.runtimes.llama_cpp.reading_children:ReadsLongTextsLast"


def test_others_are_answered_while_long_texts_are_tokenized(tiny_llama: Path) -> None:
    with LateReader("late", "Late", str(tiny_llama)) as engine, ThreadPoolExecutor(2) as pool:
        engine.load_model()
        counting = pool.submit(engine.count_tokens, LONG)
        reading = pool.submit(engine.complete, LONG, temperature=0, max_tokens=3)

        other = engine.complete("Stones", temperature=0, max_tokens=3)

        # Both wait in the child for the end of this answer; on its only thread they would hold it up.
        assert len(other.tokens) == 3
        assert counting.result() not in (0, NOBODY_ENDED)
        assert len(reading.result().tokens) == 3


@pytest.mark.parametrize("text", ["<|eot_id|>", " ", "water "], ids=["marks", "blanks", "prose"])
def test_what_cannot_fit_is_refused_by_its_length(tiny_llama: Path, text: str) -> None:
    megabyte = text * (1_000_000 // len(text))
    with LlamaCppEngine("e", "E", str(tiny_llama)) as engine:
        engine.load_model()
        said = engine.generate("Stones", temperature=0, max_tokens=3)
        for prompt in (megabyte, [{"role": "user", "content": f"x{megabyte}x"}]):
            with pytest.raises(
                ContextLengthError, match=r"too long: at least \d+ tokens > \d+ max"
            ):
                engine.generate(prompt)  # type: ignore[arg-type]

        assert engine.generate("Stones", temperature=0, max_tokens=3) == said


def test_a_text_that_may_fit_is_refused_by_its_tokens(tiny_llama: Path) -> None:
    with LlamaCppEngine("e", "E", str(tiny_llama)) as engine:
        engine.load_model()
        with pytest.raises(ContextLengthError, match=r"too long: \d+ tokens > \d+ maximum"):
            engine.generate("x y z " * 200)


@pytest.mark.parametrize("sign", [" ", "a", "7", "\n"])
def test_a_text_without_a_break_is_refused_everywhere_and_ends_nobody(
    tiny_llama: Path, sign: str
) -> None:
    run = sign * (MAX_RUN + 1)
    spec = EngineSpec("e", "E", str(tiny_llama), context_length=4096)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        pid = engine.get_engine_info()["pid"]
        for ask in (engine.count_tokens, engine.count_prompt_tokens, engine.generate):
            with pytest.raises(InvalidRequestError, match=r"in a row, from character"):
                ask(f"x{run}x")
        found = engine.embed_documents(["stones", f"x{run}x"])

        assert engine.count_tokens(f"x{run[:-3]}x") > 1
        assert engine.get_engine_info()["pid"] == pid
    assert list(found.errors) == [1]
    assert "in a row" in found.errors[1]


def test_tokens_of_what_fits_no_context_are_not_counted(tiny_llama: Path) -> None:
    long = "by the water " * (MAX_COUNT_CHARS // 13 + 1)
    with LlamaCppEngine("e", "E", str(tiny_llama)) as engine:
        engine.load_model()
        with pytest.raises(InvalidRequestError, match="tokens are counted of up to"):
            engine.count_tokens(long)
        with pytest.raises(InvalidRequestError, match="tokens are counted of up to"):
            engine.count_prompt_tokens([{"role": "user", "content": long}])
