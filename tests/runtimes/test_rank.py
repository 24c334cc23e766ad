"""A rank model in its child: scores as the head computes them, limits, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from llama_cpp import Llama
from llama_cpp import llama_cpp as api

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.specs import EmbeddingSpec, EngineSpec
from tests.runtimes.rank_models import CLS, CONTROL, SEP, WORDS, Head, write_rank_model

QUESTION = "what was the roof covered with"
TEXTS = ["the roof was covered with slate", "a boat", "the key of the library", "slate slate"]
SPEC = EmbeddingSpec(dimension=0, max_tokens=64, pooling="rank")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Head]:
    return write_rank_model(tmp_path_factory.mktemp("rank") / "tiny-rank.gguf")


@pytest.fixture(scope="module")
def ranker(model: tuple[Path, Head]) -> Iterator[LlamaCppEngine]:
    # Its weights are of a random size: half precision in attention would show.
    spec = EngineSpec(
        "rank", "Rank", str(model[0]), threads=1, use_flash_attention=False, embedding=SPEC
    )
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        yield engine


def ids(text: str) -> list[int]:
    return [len(CONTROL) + WORDS.index(word) for word in text.split()]


def test_scores_are_those_of_the_head_over_question_and_text_together(
    model: tuple[Path, Head], ranker: LlamaCppEngine
) -> None:
    path, head = model
    direct = Llama(
        str(path), embedding=True, n_ctx=64, pooling_type=api.LLAMA_POOLING_TYPE_CLS, verbose=False
    )
    expected, tokens = [], 0
    for text in TEXTS:
        pair = [CLS, *ids(QUESTION), SEP, *ids(text), SEP]
        tokens += len(pair)
        direct.tokenize = lambda *_given, pair=pair, **_how: pair  # type: ignore[method-assign]
        vector = np.array(direct.embed("ignored"), np.float32)
        expected.append(1 / (1 + math.exp(-head.logit(vector))))

    found = ranker.rank(QUESTION, TEXTS)

    np.testing.assert_allclose(found.scores, expected, atol=2e-3)
    assert len(set(found.scores.round(3).tolist())) == len(TEXTS)
    assert (found.tokens, found.cut) == (tokens, frozenset())
    # Alone as beside others, whatever order.
    for text, score in zip(TEXTS, found.scores, strict=True):
        assert ranker.rank(QUESTION, [text]).scores[0] == pytest.approx(float(score), abs=1e-4)
    assert ranker.rank(QUESTION, []).scores.shape == (0,)


def test_a_long_text_is_judged_by_its_beginning_and_said_to_be_cut(ranker: LlamaCppEngine) -> None:
    long = " ".join(["slate"] * 500)

    found = ranker.rank(QUESTION, ["a boat", long])

    assert found.cut == {1}
    assert 0 < found.scores[1] < 1
    with pytest.raises(InvalidRequestError, match="longer than the model can read"):
        ranker.rank(long, ["a boat"])
    # Nothing people write is a control token.
    assert ranker.rank("[SEP]", ["[CLS] a boat"]).tokens > ranker.rank("a", ["a boat"]).tokens


def test_a_rank_model_embeds_nothing_and_an_embedder_ranks_nothing(
    model: tuple[Path, Head], ranker: LlamaCppEngine, minilm: Path
) -> None:
    with pytest.raises(EngineError, match="ranks and gives no vectors"):
        ranker.embed("a boat")
    with pytest.raises(EngineError, match="only embeds"):
        ranker.generate("a boat")
    spec = EngineSpec("minilm", "MiniLM", str(minilm), embedding=EmbeddingSpec(384, 64))
    with pytest.raises(InvalidRequestError, match="ranks no texts"):
        LlamaCppEngine.from_spec(spec).rank(QUESTION, TEXTS)
    assert ranker.rank(QUESTION, TEXTS).scores.shape == (4,)
