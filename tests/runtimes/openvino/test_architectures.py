"""Architectures beside BERT's own: the vectors of tiny models by OpenVINO, by llama.cpp and by the written rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.exceptions import InvalidRequestError
from engines.gguf.reader import read_header
from engines.runtimes.llama_cpp.embedding.embedder import Embedder, EmbedLayout
from engines.runtimes.llama_cpp.embedding.openvino_embedder import OpenVinoMaker
from engines.runtimes.llama_cpp.native import load_model
from engines.runtimes.offload import Offload
from engines.runtimes.openvino.bert import JINA, NOMIC, BertShape
from engines.runtimes.openvino.choice import judge_model
from engines.specs import EmbeddingSpec
from tests.runtimes.openvino.tiny_embedders import LAYERS, PLACES, WIDTH, WORDS, write_embedder

SPEC = EmbeddingSpec(WIDTH, PLACES)
SAME = 0.99999


@pytest.mark.parametrize("architecture", [NOMIC, JINA])
def test_a_tiny_model_has_the_vectors_that_llama_cpp_gives_it(
    tmp_path: Path, architecture: str
) -> None:
    path = write_embedder(tmp_path / "tiny.gguf", architecture)
    dice = np.random.default_rng(1)
    texts = [" ".join(dice.choice(WORDS, size)) for size in (1, 2, 7, 20, 60, 120, 300)]
    model = load_model(str(path), Offload())
    spare = Embedder(model, SPEC, EmbedLayout(threads=1, lanes=1, pack_tokens=0))

    assert judge_model(read_header(path), SPEC)[0] is not None
    found = OpenVinoMaker(path, model, SPEC, spare).make("f32").embed(texts, query=False)

    wanted = spare.embed(texts, query=False)
    assert (found.errors, found.cut) == (wanted.errors, wanted.cut)
    cosines = (found.vectors * wanted.vectors).sum(axis=1)
    assert cosines.min() >= SAME
    # Random weights tell texts apart, so that what agrees does not agree by being all the same.
    assert abs(wanted.vectors[0] @ wanted.vectors[5]) < 0.99
    # The order of words counts: a network that forgot positions would not notice.
    turned = " ".join(reversed(texts[2].split()))
    assert spare.embed([turned], query=False).vectors[0] @ wanted.vectors[2] < SAME


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"rope.scaling.type": "linear"}, "stretched"),
        ({"rope.freq_base": 1.0}, "no usable angle"),
        ({"rope.dimension_count": 8}, "in part"),
        ({"attention.head_count": 32}, "odd width"),
        ({"context_length": 2**30}, "more positions"),
        ({"block_count": LAYERS + 1}, "set of tensors"),
    ],
)
def test_what_turns_otherwise_is_left_to_llama_cpp(
    tmp_path: Path, changed: dict[str, object], why: str
) -> None:
    header = read_header(write_embedder(tmp_path / "odd.gguf", NOMIC, **changed))

    with pytest.raises(InvalidRequestError, match=why):
        BertShape.from_header(header)
    shape, said = judge_model(header, SPEC)
    assert shape is None
    assert why in said
