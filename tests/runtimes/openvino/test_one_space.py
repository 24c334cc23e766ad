"""OpenVINO in llama.cpp's place: the same texts, the same tokens, one vector space."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.demo.texts import MARKDOWN, project_pages
from engines.exceptions import EngineError
from engines.gguf.reader import read_header
from engines.runtimes.llama_cpp.embedding.embedder import Embedder, EmbedLayout
from engines.runtimes.llama_cpp.embedding.openvino_embedder import (
    FEW_THREADS,
    OpenVinoEmbedder,
    OpenVinoMaker,
    find_fastest_precision,
)
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.runtimes.llama_cpp.native import load_model
from engines.runtimes.offload import Offload
from engines.runtimes.openvino.network import GiveWay, Network, usable_precisions
from engines.runtimes.openvino.weights import GgufWeights
from engines.services.knowledge.cutting.chunking import cut_text
from engines.specs import EmbeddingSpec, EngineSpec

PROJECT = Path(__file__).resolve().parents[3]
SAME_SPACE = 0.9999
SCORE_TOLERANCE = 2e-3
SPEC = EmbeddingSpec(384, 512, query_prefix="query: ", document_prefix="passage: ")
CHUNKS = 8


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Real passages of several lengths, short ones, other scripts, one that is cut, one without a word."""
    pages = project_pages(PROJECT)
    chunks = [
        page.text[span.start : span.end] for page in pages for span in cut_text(page.text, MARKDOWN)
    ]
    real = chunks[:: max(1, len(chunks) // CHUNKS)][:CHUNKS]
    others = ["rain", "1871", "ស្វាគមន៍", "Größe, naïve", "漢字とかな", "stone " * 520, "", " \n"]
    return [*real, *others]


def _engine(path: Path, openvino: str) -> LlamaCppEngine:
    engine = LlamaCppEngine.from_spec(
        EngineSpec("minilm", "MiniLM", str(path), threads=2, embedding=SPEC),
        LlamaOptions(openvino=openvino),
    )
    engine.load_model()
    return engine


@pytest.fixture(scope="module")
def plain(minilm: Path) -> Iterator[LlamaCppEngine]:
    with _engine(minilm, "never") as engine:
        yield engine


@pytest.fixture(scope="module", params=usable_precisions())
def fast(minilm: Path, request: pytest.FixtureRequest) -> Iterator[LlamaCppEngine]:
    with _engine(minilm, request.param) as engine:
        info = engine.get_engine_info()
        assert (info["openvino"], info["openvino_problem"]) == (request.param, "")
        yield engine


def test_texts_of_many_lengths_take_no_more_memory_than_their_process_has(minilm: Path) -> None:
    """What was prepared for each length was kept: after some hundred, no text could be embedded any more."""
    spec = EngineSpec("minilm", "MiniLM", str(minilm), threads=2, embedding=SPEC)
    options = LlamaOptions(openvino="f32", memory_bytes=1024**3)
    with LlamaCppEngine.from_spec(spec, options) as engine:
        engine.load_model()
        assert engine.get_engine_info()["openvino"] == "f32"
        for words in range(1, 220):
            assert not engine.embed_documents(["word " * words] * 2).errors


def test_both_ways_share_one_space_and_may_be_mixed(
    plain: LlamaCppEngine, fast: LlamaCppEngine, texts: list[str]
) -> None:
    """As in a re-embedding whose host falls back to llama.cpp in the middle."""
    left, right = plain.embed_documents(texts), fast.embed_documents(texts)
    has_vector = [number for number in range(len(texts)) if number not in left.errors]
    old, new = left.vectors[has_vector], right.vectors[has_vector]

    assert (right.errors, right.cut) == (left.errors, left.cut)
    assert len(left.cut) == 1
    assert len(left.errors) == 2
    assert _cosines(old, new).min() >= SAME_SPACE
    half = len(has_vector) // 2
    mixed = np.concatenate([new[:half], old[half:]])
    questions = [" ".join(text.split()[:9]) for text in texts[:5]]
    for ask in (plain, fast):
        asked = np.array([ask.embed_query(question) for question in questions], np.float32)
        assert abs(asked @ mixed.T - asked @ old.T).max() <= SCORE_TOLERANCE
    # The same list gives the same bits, and the order of a list changes next to nothing.
    some = fast.embed_many(texts[:4])
    np.testing.assert_array_equal(fast.embed_many(texts[:4]), some)
    assert _cosines(fast.embed_many(texts[3::-1])[::-1], some).min() >= SAME_SPACE
    assert plain.count_tokens(texts[0]) == fast.count_tokens(texts[0])


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    cosines: NDArray[np.float32] = (left * right).sum(axis=1)
    return cosines


class _AbortingEngine(LlamaCppEngine):
    handler = "tests.runtimes.openvino.children:AbortingHandler"


def test_crash_of_openvino_is_no_fault_of_the_file(
    minilm: Path, plain: LlamaCppEngine, caplog: pytest.LogCaptureFixture
) -> None:
    spec = EngineSpec("minilm", "MiniLM", str(minilm), threads=2, embedding=SPEC)
    with _AbortingEngine.from_spec(spec, LlamaOptions(openvino="f32")) as engine:
        assert engine.load_model()
        np.testing.assert_array_equal(engine.embed("rain"), plain.embed("rain"))
        assert engine.get_engine_info()["openvino"] == ""

    assert "once more, without OpenVINO" in caplog.text


def test_choice_is_measured_beside_other_work_and_remembered(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By processor time, whatever else the machine does; what it finds is one of the two."""
    monkeypatch.setattr(
        "engines.runtimes.llama_cpp.embedding.batch_settings.is_quiet", lambda: False
    )
    spec = EngineSpec("minilm", "MiniLM", str(minilm), threads=1, embedding=SPEC)
    engine = LlamaCppEngine.from_spec(spec, LlamaOptions(batch_settings=str(tmp_path / "here")))
    engine._check_files()

    setting = engine._batch_setting()

    files = list((tmp_path / "here").glob("*.json"))
    assert setting.openvino in {"", *usable_precisions()}
    assert len(files) == bool(setting.openvino)
    for file in files:
        stored = json.loads(file.read_bytes())
        assert stored["setting"]["openvino"] == setting.openvino
        assert {trial["openvino"] for trial in stored["trials"]} == {"", *usable_precisions()}
        monkeypatch.setattr(engine, "_measure", lambda **_options: pytest.fail("measured again"))
        assert engine._batch_setting() == setting


def test_few_texts_go_between_the_batches_of_many(fast: LlamaCppEngine, texts: list[str]) -> None:
    many = [f"{text} {number}" for number in range(4) for text in texts if text.strip()]
    expected, few = fast.embed_many(many), fast.embed_many(many[:2])
    answered = 0

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(fast.embed_many, many)
        while not under_way.done():
            assert (fast.embed_many(many[:2]) == few).all()
            answered += not under_way.done()

    assert answered > 2
    np.testing.assert_array_equal(under_way.result(), expected)


@pytest.fixture(scope="module")
def maker(minilm: Path) -> OpenVinoMaker:
    model = load_model(str(minilm), Offload())
    spare = Embedder(model, SPEC, EmbedLayout(threads=1, lanes=1, pack_tokens=0))
    return OpenVinoMaker(minilm, model, SPEC, spare)


class _Refusing(Network):
    """As a network for which there is no memory."""

    def __init__(self) -> None:
        self.asked = 0

    def vectors(self, texts: object, give_way: GiveWay = lambda: None) -> NDArray[np.float32]:
        self.asked += 1
        raise EngineError("no memory")


def test_texts_that_openvino_cannot_compute_are_computed_by_llama_cpp(
    maker: OpenVinoMaker,
) -> None:
    network = _Refusing()
    embedder = OpenVinoEmbedder(maker.model, SPEC, network, maker.spare)

    found = embedder.embed(["rain", "a wall of grey stone"], query=False)

    np.testing.assert_array_equal(
        found.vectors, maker.spare.embed(["rain", "a wall of grey stone"], query=False).vectors
    )
    assert network.asked == 1


def test_one_text_has_all_threads_where_there_are_many(maker: OpenVinoMaker) -> None:
    network = _Refusing()
    layout = EmbedLayout(threads=FEW_THREADS + 1, lanes=1, pack_tokens=0)
    embedder = OpenVinoEmbedder(maker.model, SPEC, network, maker.spare.with_layout(layout))

    assert not embedder.embed(["rain"], query=True).errors
    assert network.asked == 0


def test_vectors_that_differ_are_not_taken(
    maker: OpenVinoMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Network.vectors
    offset = np.linspace(-0.01, 0.01, 384, dtype=np.float32)
    monkeypatch.setattr(Network, "vectors", lambda *given: compute(*given) + offset)

    with pytest.raises(EngineError, match="is needed to share their space"):
        maker.make("f32")
    found = find_fastest_precision(maker, ["f32"])

    assert found.precision == ""
    with pytest.raises(EngineError, match="no instructions for f8"):
        maker.make("f8")


def test_token_beside_the_table_is_refused(minilm: Path) -> None:
    network = Network(GgufWeights(minilm), "f32", "cls", threads=1)
    vocabulary = read_header(minilm).facts().vocab_size

    assert network.vectors([[101, vocabulary - 1, 102]]).shape == (1, 384)
    for token in (vocabulary, -1):
        with pytest.raises(EngineError, match="does not have"):
            network.vectors([[101, 102], [101, token, 102]])
