from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from llama_cpp import Llama
from numpy.typing import NDArray
from safetensors.numpy import load_file

from deploy.demo.models.minilm import convert_minilm, hidden_order
from engines.exceptions import ArtifactMissingError
from engines.gguf.reader import read_header
from tests.demo_models.reference_bert import embed, word_pieces
from tests.fixtures_models import PERMUTATION_SEED

SENTENCES = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A woman is playing violin.",
    "Someone plays a string instrument.",
]
TEXTS = [
    *SENTENCES,
    "Hello, unbelievable WÖRLD! naïve café -- don't; 3.14 = π?",
    "antidisestablishmentarianism qqqqzx tokenization",
    "日本 means Japan\tand\nnew  lines",
    "emoji \U0001f600 and snowman \u2603",
    "",
]


@pytest.fixture(scope="module")
def original(minilm: Path) -> Iterator[Llama]:
    with closing(load(minilm)) as model:
        yield model


@pytest.fixture(scope="module")
def permuted(minilm_permuted: Path) -> Iterator[Llama]:
    with closing(load(minilm_permuted)) as model:
        yield model


@pytest.fixture(scope="module")
def vocabulary(minilm_source: Path) -> dict[str, int]:
    file = next(minilm_source.rglob("tokenizer.json"))
    entries: dict[str, int] = json.loads(file.read_bytes())["model"]["vocab"]
    return entries


def load(path: Path) -> Llama:
    return Llama(str(path), embedding=True, n_ctx=512, n_batch=512, n_ubatch=512, verbose=False)


def vectors(model: Llama) -> NDArray[np.float32]:
    return np.array([model.embed(text, normalize=True) for text in SENTENCES], np.float32)


def test_header_says_what_the_published_model_is(minilm: Path) -> None:
    facts = read_header(minilm).facts()

    assert (facts.architecture, facts.pooling, facts.quantization) == ("bert", "mean", "F16")
    assert (facts.context_length, facts.embedding_length, facts.block_count) == (512, 384, 6)
    assert (facts.head_count, facts.vocab_size) == (12, 30_522)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_word_piece(
    original: Llama, vocabulary: dict[str, int], text: str
) -> None:
    tokens = original.tokenize(text.encode(), add_bos=True, special=False)

    assert tokens == word_pieces(text, vocabulary)


def test_vectors_are_those_of_the_published_weights(
    original: Llama, vocabulary: dict[str, int], minilm_source: Path
) -> None:
    weights = load_file(next(minilm_source.rglob("model.safetensors")))
    expected = [embed(word_pieces(text, vocabulary), weights) for text in SENTENCES[:3]]

    cosines = (vectors(original)[:3] * np.array(expected)).sum(axis=1)

    assert cosines.min() > 0.9999


def test_what_means_the_same_is_near(original: Llama) -> None:
    embedded = vectors(original)
    similarity = embedded @ embedded.T - 2 * np.eye(len(SENTENCES))

    assert similarity[0].argmax() == 1
    assert similarity[3].argmax() == 4
    assert similarity[0, 1] == pytest.approx(0.755, abs=0.003)
    assert similarity[0, 3] < 0.1


def test_the_permuted_space_is_as_good_and_cannot_be_mixed(
    original: Llama, permuted: Llama
) -> None:
    first, second = vectors(original), vectors(permuted)
    order = hidden_order(PERMUTATION_SEED, 384)

    assert (first[:, order] * second).sum(axis=1).min() > 0.99999
    assert np.abs(first @ second.T).max() < 0.2


def test_a_wheel_and_its_folder_give_the_same_file(
    minilm_source: Path, minilm: Path, tmp_path: Path
) -> None:
    wheel = tmp_path / "model.whl"
    with ZipFile(wheel, "w") as archive:
        for file in sorted(minilm_source.rglob("*.*")):
            archive.write(file, file.relative_to(minilm_source))

    converted = convert_minilm(wheel, tmp_path / "again.gguf")

    assert converted.read_bytes() == minilm.read_bytes()


def test_a_source_without_the_model_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    source = tmp_path / "empty"
    source.mkdir()

    with pytest.raises(ArtifactMissingError, match="empty does not hold the model"):
        convert_minilm(source, tmp_path / "a.gguf")

    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, b"PK\x05\x06" + bytes(18)])
def test_a_damaged_wheel_is_named_and_nothing_is_written(tmp_path: Path, damage: bytes) -> None:
    wheel = tmp_path / "model.whl"
    wheel.write_bytes(damage)

    with pytest.raises(ArtifactMissingError, match=r"model\.whl does not hold the model"):
        convert_minilm(wheel, tmp_path / "a.gguf")

    assert list(tmp_path.iterdir()) == [wheel]
