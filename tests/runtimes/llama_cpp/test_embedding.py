from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import Llama
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

from engines.exceptions import EngineError, TextNotEmbeddableError
from engines.fit.embedding import PIECE_TOKENS
from engines.gguf.reader import read_header
from engines.runtimes.child.engine import MAX_EMBED_CHARS
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.services.knowledge.cutting.chunking import cut_text
from engines.services.knowledge.sizing import sizes_for
from engines.specs import EmbeddingSpec, EngineSpec

SENTENCE = (
    "the harbour lies behind a long wall of grey stone and every morning boats leave it "
    "for the open sea while gulls follow them and shout over the sound of old engines"
)
WORDS = SENTENCE.split()
TEXTS = [" ".join(WORDS[start : start + length]) for start in range(9) for length in (1, 4, 12, 20)]
SPEC = EmbeddingSpec(dimension=384, max_tokens=512)


def _engine(path: Path, spec: EmbeddingSpec = SPEC, **options: Any) -> LlamaCppEngine:
    engine = LlamaCppEngine.from_spec(
        EngineSpec("minilm", "MiniLM", str(path), threads=1, embedding=spec),
        LlamaOptions(**options),
    )
    engine.load_model()
    return engine


@pytest.fixture(scope="module")
def embedder(minilm: Path) -> Iterator[LlamaCppEngine]:
    with _engine(minilm) as engine:
        yield engine


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    scale = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: NDArray[np.float32] = (left * right).sum(axis=1) / scale
    return cosines


def test_vectors_equal_those_of_llama_cpp_python(embedder: LlamaCppEngine, minilm: Path) -> None:
    direct = Llama(str(minilm), embedding=True, n_ctx=512, n_batch=512, verbose=False)
    expected = np.array([direct.embed(text) for text in TEXTS], np.float32)

    assert _cosines(embedder.embed_many(TEXTS), expected).min() >= 0.9999


def test_vectors_have_length_one_and_related_texts_are_near(embedder: LlamaCppEngine) -> None:
    vectors = embedder.embed_many(
        ["A cat sleeps on the carpet.", "A kitten naps on the rug.", "Bond prices fell again."]
    )

    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[2]


def test_lengths_are_kept_when_the_space_is_not_normalised(minilm: Path) -> None:
    spec = EmbeddingSpec(dimension=384, max_tokens=512, normalise=False)
    with _engine(minilm, spec) as engine:
        lengths = np.linalg.norm(engine.embed_many(TEXTS[:4]), axis=1)

    assert (abs(lengths - 1.0) > 0.01).all()


@pytest.mark.parametrize("pack", [192, 512])
@pytest.mark.parametrize("lanes", [1, 2])
def test_packing_and_lanes_do_not_move_vectors(
    embedder: LlamaCppEngine, minilm: Path, pack: int, lanes: int
) -> None:
    with _engine(minilm, pack_tokens=pack, embedding_lanes=lanes) as packed:
        batch = packed.embed_many(TEXTS)
    single = np.array([embedder.embed(text) for text in TEXTS], np.float32)

    assert _cosines(batch, single).min() >= 0.99999


def test_vectors_are_identical_in_any_order_and_company(embedder: LlamaCppEngine) -> None:
    together = embedder.embed_many(TEXTS)

    np.testing.assert_array_equal(embedder.embed_many(TEXTS[::-1])[::-1], together)
    np.testing.assert_array_equal(embedder.embed_many(TEXTS[7:8])[0], together[7])


def test_several_hundred_texts_keep_their_order(embedder: LlamaCppEngine) -> None:
    many = [f"{WORDS[number % len(WORDS)]} {number}" for number in range(300)]

    vectors = embedder.embed_many(many)

    assert vectors.shape == (300, 384)
    for number in (0, 255, 256, 299):
        np.testing.assert_allclose(vectors[number], embedder.embed(many[number]), atol=1e-6)


def test_a_text_longer_than_the_model_reads_has_the_mean_of_its_windows(
    embedder: LlamaCppEngine,
) -> None:
    # The model reads 510 words of one token each between the tokens that open and close a text.
    halves = [" ".join(["stone"] * 300), " ".join(["wall"] * 300)]

    batch = embedder.embed_documents([*halves, " ".join(halves), halves[0]])

    assert batch.cut == {2}
    mean = batch.vectors[:2].mean(axis=0)
    assert batch.vectors[2] @ (mean / np.linalg.norm(mean)) > 0.9999
    # Its end counts as much as its beginning, and nothing about shorter texts changes.
    assert abs(batch.vectors[2] @ batch.vectors[0] - batch.vectors[2] @ batch.vectors[1]) < 0.01
    np.testing.assert_allclose(batch.vectors[3], batch.vectors[0], atol=1e-5)


def test_a_text_is_read_in_the_models_tokens(embedder: LlamaCppEngine) -> None:
    thai = ["ห้องสมุดเปิดเก้าโมงเช้าทุกวัน", "ตลาดน้ำอยู่ริมคลอง"]
    texts = [*thai, "the harbour", "図書館は毎日開く。" * 100, "", "a" * 3]

    readings = embedder.read_documents(texts)

    assert readings is not None
    assert [(one.tokens, one.unknown) for one in readings[:3]] == [(3, 1), (3, 1), (4, 0)]
    # Two texts with one token list are one text to the model.
    assert readings[0].digest == readings[1].digest != readings[2].digest
    long = readings[3]
    assert long.tokens == 902
    assert long.beyond == 902 - 512
    assert 0 < long.unknown < 900
    assert (readings[4].tokens, readings[4].beyond) == (0, 0)
    vectors = embedder.embed_many(thai)
    assert vectors[0] @ vectors[1] > 0.99999


CHINESE = (
    "图书馆每天早上九点开门，晚上八点关门。借书时请出示读者证，每人最多可以借十本书，期限为四个星期。"
    "如果需要延长，可以在网上办理，也可以打电话询问。儿童阅览室在二楼，周末有讲故事的活动，"
    "欢迎家长带孩子参加。港口旁边的分馆正在修缮，预计明年春天重新开放。"
)


def test_what_the_model_has_no_letters_for_is_one_unknown_token(
    embedder: LlamaCppEngine,
) -> None:
    """Paragraphs in Thai and Khmer: one and the same text to it. Of Chinese it knows a part, and not to its end."""
    thai = "ห้องสมุดเปิดเก้าโมงเช้าทุกวัน" * 12
    khmer = "បណ្ណាល័យបើកនៅម៉ោងប្រាំបួនព្រឹកជារៀងរាល់ថ្ងៃ" * 12
    dump = hashlib.shake_256(b"a dump").hexdigest(600)

    readings = embedder.read_documents([thai, khmer, dump, (CHINESE * 10)[:860]])

    assert readings is not None
    counted = [(one.tokens, one.unknown, one.beyond) for one in readings]
    assert counted == [(3, 1, 0)] * 3 + [(862, 571, 350)]
    assert readings[0].digest == readings[1].digest == readings[2].digest
    vectors = embedder.embed_many([thai, khmer, dump])
    assert (vectors @ vectors.T).min() > 0.99999


@pytest.mark.parametrize("limit", [16, 100_000])
def test_limit_is_the_smaller_of_the_catalogs_and_the_models(minilm: Path, limit: int) -> None:
    with _engine(minilm, EmbeddingSpec(dimension=384, max_tokens=limit)) as engine:
        at = min(limit, 512) - 2
        long, cut = (" ".join(["stone"] * count) for count in (3000, at))

        assert engine.get_engine_info()["embedding_limit"] == min(limit, 512)
        assert engine.embed_documents([long, cut, f"{cut} stone"]).cut == {0, 2}


def test_limit_of_a_chat_models_own_vectors_is_kept(tiny_llama: Path) -> None:
    with LlamaCppEngine("e", "E", str(tiny_llama)) as engine:
        engine.load_model()

        assert np.isfinite(engine.embed("stone " * 2000)).all()
        assert np.linalg.norm(engine.embed("stone")) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "last", "mean", "model"])
def test_pooling_is_the_specs(minilm: Path, embedder: LlamaCppEngine, pooling: str) -> None:
    spec = EmbeddingSpec(dimension=384, max_tokens=512, pooling=pooling)
    with _engine(minilm, spec) as engine:
        same = engine.embed(TEXTS[3]) == embedder.embed(TEXTS[3])

    assert same is (pooling in {"mean", "model"})


def test_prefixes_are_put_before_queries_and_documents(minilm: Path) -> None:
    spec = EmbeddingSpec(384, 512, query_prefix="query: ", document_prefix="passage: ")
    with _engine(minilm, spec) as engine, _engine(minilm) as plain:
        np.testing.assert_array_equal(engine.embed_query("sea"), plain.embed("query: sea"))
        np.testing.assert_array_equal(engine.embed("sea"), plain.embed("passage: sea"))
        np.testing.assert_array_equal(engine.embed_many(["sea"])[0], engine.embed("sea"))


@pytest.mark.parametrize("text", ["", "   \n\t "])
def test_empty_text_is_not_embeddable(embedder: LlamaCppEngine, text: str) -> None:
    for embed in (embedder.embed, embedder.embed_query):
        with pytest.raises(TextNotEmbeddableError, match="text is empty"):
            embed(text)


def test_batch_tells_which_texts_have_no_vector_and_embeds_the_others(
    embedder: LlamaCppEngine,
) -> None:
    texts = ["sea", "", "x" * (MAX_EMBED_CHARS + 1), "stone"]

    batch = embedder.embed_documents(texts)

    assert set(batch.errors) == {1, 2}
    assert batch.errors[1].startswith("The text is empty")
    assert "the limit is 2000000" in batch.errors[2]
    assert np.isnan(batch.vectors[1:3]).all()
    np.testing.assert_array_equal(batch.vectors[0], np.array(embedder.embed("sea")))
    np.testing.assert_array_equal(batch.vectors[3], np.array(embedder.embed("stone")))
    with pytest.raises(TextNotEmbeddableError, match="Text 1 of the batch: The text is empty"):
        embedder.embed_many(texts)


def test_text_whose_vector_is_not_a_number_is_reported_alone(
    minilm: Path, tmp_path: Path, embedder: LlamaCppEngine
) -> None:
    poisoned = _poison_word(minilm, tmp_path / "poisoned.gguf", "harbour")
    with _engine(poisoned) as engine:
        batch = engine.embed_documents(["the sea", "the harbour wall", "a gull"])

        assert set(batch.errors) == {1}
        assert "no usable vector" in batch.errors[1]
        with pytest.raises(TextNotEmbeddableError, match="no usable vector"):
            engine.embed_query("harbour")
    np.testing.assert_array_equal(batch.vectors[2], np.array(embedder.embed("a gull")))


def _poison_word(source: Path, target: Path, word: str) -> Path:
    """A copy of a model in which one word's embedding is not a number."""
    vocabulary = Llama(str(source), vocab_only=True, verbose=False)
    token = vocabulary.tokenize(word.encode(), add_bos=False)[0]
    header = read_header(source)
    table = next(item for item in header.tensors if item.name == "token_embd.weight")
    row = table.byte_count // table.shape[1]
    start = header.data_offset + table.offset + token * row
    data = bytearray(source.read_bytes())
    data[start : start + row] = b"\xff" * row
    target.write_bytes(data)
    return target


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "👋🏽 héllo 世界",
        "\ud800 half",
        "<s> [SEP] </s>",
        "\u202e\u200b right",
        "x" * 5000,
    ],
)
def test_strange_text_has_a_vector(embedder: LlamaCppEngine, text: str) -> None:
    vector = np.array(embedder.embed(text))

    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)


def test_no_texts_give_no_rows_of_the_right_width(embedder: LlamaCppEngine) -> None:
    assert embedder.embed_many([]).shape == (0, 384)


def test_concurrent_callers_each_get_their_own_vectors(embedder: LlamaCppEngine) -> None:
    alone = [embedder.embed(text) for text in TEXTS]

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(embedder.embed, TEXTS))

    assert together == alone


def test_who_has_few_texts_does_not_wait_for_very_many(embedder: LlamaCppEngine) -> None:
    many = [f"{number} {text}" for number in range(3) for text in TEXTS]
    expected = embedder.embed_many(many)
    question = embedder.embed(SENTENCE)
    answered = 0

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(embedder.embed_many, many)
        while not under_way.done():
            assert (np.asarray(embedder.embed(SENTENCE)) == np.asarray(question)).all()
            answered += not under_way.done()

    # One may have come before the many: those behind it came in between.
    assert answered > 2
    assert (under_way.result() == expected).all()


def test_permuted_space_is_as_good_and_incompatible(
    embedder: LlamaCppEngine, minilm_permuted: Path
) -> None:
    vectors = embedder.embed_many(TEXTS)
    with _engine(minilm_permuted) as other:
        permuted = other.embed_many(TEXTS)

    np.testing.assert_allclose(permuted @ permuted.T, vectors @ vectors.T, atol=5e-3)
    assert abs(_cosines(vectors, permuted)).max() < 0.4


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (EmbeddingSpec(768, 512), "have 384 numbers, but its catalog entry says 768"),
        (EmbeddingSpec(384, 512, pooling="sum"), "Pooling 'sum' is not known"),
        (EmbeddingSpec(384, 0), "at least one token"),
    ],
)
def test_wrong_catalog_entry_is_refused(minilm: Path, spec: EmbeddingSpec, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        _engine(minilm, spec)


@pytest.mark.parametrize("pooling", ["last", "mean", "cls"])
def test_a_model_that_looks_back_is_read_by_pieces_to_the_same_vectors(
    tiny_qwen: Path, pooling: str
) -> None:
    """Its batch need not hold a whole text, which for real models takes gigabytes."""
    facts = read_header(tiny_qwen).facts()
    limit = 900
    long = " ".join(f"{WORDS[n % len(WORDS)]} {n}" for n in range(2000))
    pools = {"mean": 1, "cls": 2, "last": 3}
    direct = Llama(
        str(tiny_qwen), embedding=True, n_ctx=1024, n_batch=1024, n_ubatch=1024,
        pooling_type=pools[pooling], verbose=False,
    )  # fmt: skip
    parts = (long[:length] for length in range(3000, 0, -100))
    fits = next(part for part in parts if len(direct.tokenize(part.encode())) <= limit)
    texts = [*TEXTS[:5], fits, long]
    tokens = [direct.tokenize(text.encode(), special=False) for text in texts[:-1]]
    assert limit >= len(tokens[-1]) > PIECE_TOKENS
    spec = EmbeddingSpec(facts.embedding_length, limit, pooling=pooling)

    with _engine(tiny_qwen, spec) as engine, _engine(tiny_qwen, spec, pack_tokens=512) as packed:
        batch, together = engine.embed_documents(texts), packed.embed_documents(texts)
        lanes = engine.get_engine_info()["embedding_lanes"]

    expected = np.array([_pooled_directly(direct, each) for each in tokens], np.float32)
    assert _cosines(batch.vectors[:-1], expected).min() >= 0.9999
    assert _cosines(together.vectors, batch.vectors).min() >= 0.9999
    assert batch.cut == together.cut == {6}
    assert lanes == 1


def _pooled_directly(llama: Any, tokens: list[int]) -> NDArray[np.float32]:
    llama._ctx.kv_cache_clear()
    llama._batch.reset()
    llama._batch.add_sequence(tokens, 0, logits_all=True)
    llama._ctx.decode(llama._batch)
    pointer = api.llama_get_embeddings_seq(llama._ctx.ctx, 0)
    return np.ctypeslib.as_array(pointer, shape=(llama.n_embd(),)).copy()


@pytest.mark.parametrize(
    "text",
    [
        "图书馆每天九点开门，周末十点开门。" * 51,
        "ห้องสมุดเปิดเก้าโมงเช้าทุกวัน" * 60,
        "पुस्तकालय नौ बजे खुलता है। " * 60,
        "도서관은 아홉 시에 엽니다. " * 80,
        " ".join(f"{number:04x}" for number in range(900)),
        "The harbour lies behind a wall. " * 80,
    ],
    ids=["Chinese", "Thai", "Hindi", "Korean", "hex", "English"],
)
def test_no_passage_is_longer_than_a_small_model_reads(embedder: LlamaCppEngine, text: str) -> None:
    spans = cut_text(text, "text/plain", sizes_for(SPEC))

    readings = embedder.read_documents([text[span.start : span.end] for span in spans])

    assert readings is not None
    assert [one.beyond for one in readings] == [0] * len(spans)
