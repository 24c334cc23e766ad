"""The encoder of T5 as an embedder (GTR, Sentence-T5): each token sees the whole text, whichever way it is asked."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

from engines.gguf.writer import Metadata, write_gguf
from engines.runtimes.registry import EngineRegistry
from engines.specs import EmbeddingSpec, EngineSpec

WIDTH, HEADS, INNER, LAYERS, PLACES, BUCKETS = 96, 6, 160, 2, 128, 32
WORDS = ["▁stone", "▁river", "▁house", "▁light"]
TOKENS = ["<pad>", "</s>", "<unk>", *WORDS, *"▁abcdefghijklmnopqrstuvwxyz"]
TEXT = "stone river house"
Weights = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def t5_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = {
        "block_count": LAYERS,
        "context_length": PLACES,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "attention.head_count": HEADS,
        "attention.key_length": WIDTH // HEADS,
        "attention.value_length": WIDTH // HEADS,
        "attention.layer_norm_epsilon": 1e-6,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.relative_buckets_count": BUCKETS,
    }
    metadata: Metadata = {
        "general.architecture": "t5encoder",
        "general.name": "tiny T5 encoder",
        "general.file_type": 0,
        **{f"t5encoder.{key}": value for key, value in own.items()},
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.scores": [0.0] * 3 + [-1.0] * len(WORDS) + [-5.0] * 27,
        "tokenizer.ggml.token_type": [3, 3, 2] + [1] * (len(TOKENS) - 3),
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": True,
    }
    return write_gguf(tmp_path_factory.mktemp("t5") / "t5.gguf", metadata, _weights())


def _weights() -> Weights:
    dice = np.random.default_rng(3)

    def matrix(out: int, into: int) -> NDArray[Any]:
        return dice.normal(0, into**-0.5, (out, into)).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    weights: Weights = {
        "token_embd.weight": matrix(len(TOKENS), 1).repeat(WIDTH, 1) + matrix(len(TOKENS), WIDTH),
        "enc.output_norm.weight": ones,
        "enc.blk.0.attn_rel_b.weight": matrix(BUCKETS, HEADS),
    }
    for layer in range(LAYERS):
        at = f"enc.blk.{layer}"
        weights |= {f"{at}.{name}.weight": ones for name in ("attn_norm", "ffn_norm")}
        for name in ("attn_q", "attn_k", "attn_v", "attn_o"):
            weights[f"{at}.{name}.weight"] = matrix(WIDTH, WIDTH)
        weights[f"{at}.ffn_gate.weight"] = matrix(INNER, WIDTH)
        weights[f"{at}.ffn_up.weight"] = matrix(INNER, WIDTH)
        weights[f"{at}.ffn_down.weight"] = matrix(WIDTH, INNER)
    return weights


def test_each_token_sees_the_whole_text(t5_encoder: Path) -> None:
    spec = EmbeddingSpec(pooling="mean", dimension=WIDTH, max_tokens=PLACES)
    engine = EngineRegistry().create(
        EngineSpec("engine-1", "T5", str(t5_encoder), device="cpu", embedding=spec)
    )
    engine.load_model()
    try:
        found = [engine.embed(TEXT), *engine.embed_many(["light", TEXT, "river"])]
    finally:
        engine.unload_model()
    expected = _encoded_by_llama_cpp(t5_encoder)

    assert np.allclose(found[0], expected, atol=1e-5)
    assert np.allclose(found[2], expected, atol=1e-5)


def _encoded_by_llama_cpp(path: Path) -> NDArray[np.float32]:
    """The vector that llama.cpp's own call for encoders gives, of length one."""
    model = api.llama_model_load_from_file(str(path).encode(), api.llama_model_default_params())
    parameters = api.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = PLACES
    parameters.embeddings, parameters.pooling_type = True, api.LLAMA_POOLING_TYPE_MEAN
    context = api.llama_init_from_model(model, parameters)
    written = TEXT.encode()
    tokens = (ctypes.c_int32 * PLACES)()
    count = api.llama_tokenize(
        api.llama_model_get_vocab(model), written, len(written), tokens, PLACES, True, True
    )
    assert api.llama_encode(context, api.llama_batch_get_one(tokens, count)) == 0
    row = np.ctypeslib.as_array(api.llama_get_embeddings_seq(context, 0), shape=(WIDTH,)).copy()
    api.llama_free(context)
    api.llama_model_free(model)
    length: np.float32 = np.linalg.norm(row)
    return np.asarray(row / length, np.float32)
