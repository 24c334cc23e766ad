"""Which files OpenVINO may compute: everything else is left to llama.cpp before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.exceptions import InvalidRequestError
from engines.gguf.header import GgufHeader, TensorInfo
from engines.gguf.reader import read_header
from engines.runtimes.openvino import choice
from engines.runtimes.openvino.bert import BATCH_TOKENS, BertShape
from engines.runtimes.openvino.choice import judge_model
from engines.runtimes.openvino.network import list_batches
from engines.specs import EmbeddingSpec

SPEC = EmbeddingSpec(dimension=384, max_tokens=512)


@pytest.fixture(scope="module")
def header(minilm: Path) -> GgufHeader:
    return read_header(minilm)


def test_numbers_of_a_real_file_are_read(header: GgufHeader) -> None:
    shape = BertShape.from_header(header)

    assert (shape.layers, shape.heads, shape.width, shape.feed_forward) == (6, 12, 384, 1536)
    assert (shape.vocabulary, shape.positions, shape.pooling) == (30522, 512, "mean")
    assert (
        shape.elements
        == sum(tensor.byte_count for tensor in header.tensors if not tensor.kind) / 4
        + sum(tensor.byte_count for tensor in header.tensors if tensor.kind) / 2
    )


def _with(header: GgufHeader, **values: Any) -> GgufHeader:
    changed = {key.replace("__", "."): value for key, value in values.items()}
    return replace(header, metadata={**header.metadata, **changed})


def _with_tensor(header: GgufHeader, name: str, **values: Any) -> GgufHeader:
    tensors = tuple(
        replace(tensor, **values) if tensor.name == name else tensor for tensor in header.tensors
    )
    return replace(header, tensors=tensors)


def _with_one_more(header: GgufHeader) -> GgufHeader:
    return replace(
        header, tensors=(*header.tensors, TensorInfo("blk.0.ffn_gate.weight", (384, 1536), 0, 0, 4))
    )


def _without_last(header: GgufHeader) -> GgufHeader:
    return replace(header, tensors=header.tensors[:-1])


UNLIKE: dict[str, tuple[Callable[[GgufHeader], GgufHeader], str]] = {
    "architecture": (lambda h: _with(h, general__architecture="nomic-bert-moe"), "architecture is"),
    "parts": (lambda h: _with(h, split__count=2), "in parts"),
    "causal": (lambda h: _with(h, bert__attention__causal=True), "only what is before"),
    "epsilon": (lambda h: _with(h, bert__attention__layer_norm_epsilon=0.5), "epsilon"),
    "no epsilon": (lambda h: _with(h, bert__attention__layer_norm_epsilon=1), "epsilon"),
    "heads": (lambda h: _with(h, bert__attention__head_count=7), "among its heads"),
    "layers": (lambda h: _with(h, bert__block_count=500), "sizes that no such model"),
    "fewer layers": (lambda h: _with(h, bert__block_count=5), "set of tensors"),
    "feed-forward": (lambda h: _with(h, bert__feed_forward_length=1535), "another shape"),
    "positions": (lambda h: _with(h, bert__context_length=1024), "another shape"),
    "width": (lambda h: _with(h, bert__embedding_length=768), "another shape"),
    "quantised": (lambda h: _with_tensor(h, "blk.2.ffn_up.weight", kind=8), "quantised"),
    "matrix": (lambda h: _with_tensor(h, "blk.2.ffn_up.weight", shape=(1536, 384)), "shape"),
    "dimensions": (lambda h: _with_tensor(h, "blk.0.attn_q.bias", shape=(384, 1)), "shape"),
    "vocabulary": (lambda h: _with_tensor(h, "token_embd.weight", shape=(384, 9)), "shape"),
    "one more": (_with_one_more, "set of tensors"),
    "one less": (_without_last, "set of tensors"),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_file_unlike_bert_is_left_to_llama_cpp(header: GgufHeader, name: str) -> None:
    change, why = UNLIKE[name]
    changed = change(header)

    with pytest.raises(InvalidRequestError, match=why):
        BertShape.from_header(changed)
    assert judge_model(changed, SPEC)[0] is None


def test_host_or_use_that_it_does_not_fit_is_left_to_llama_cpp(
    header: GgufHeader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge_model(header, SPEC)[0] == BertShape.from_header(header)
    assert judge_model(header, replace(SPEC, pooling="model"))[0] is not None
    assert judge_model(header, replace(SPEC, pooling="last"))[0] is None
    assert judge_model(header, None)[0] is None
    monkeypatch.setattr(choice, "memory_bytes", lambda: 1024**3)
    assert judge_model(header, SPEC)[0] is None
    monkeypatch.undo()
    monkeypatch.setattr(choice, "openvino_version", lambda: "")
    assert judge_model(header, SPEC)[0] is None


@pytest.mark.parametrize("lengths", [[], [3], [9, 500, 7, 512, 9, 8, 120] * 30])
def test_batches_hold_every_text_once_and_neighbours_in_length(lengths: list[int]) -> None:
    batches = list(list_batches(lengths))

    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    ordered = [lengths[number] for batch in batches for number in batch]
    assert ordered == sorted(lengths, reverse=True)
    for batch in batches:
        assert len(batch) * lengths[batch[0]] <= BATCH_TOKENS or len(batch) == 1
