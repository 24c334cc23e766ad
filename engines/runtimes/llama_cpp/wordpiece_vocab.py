"""Reads a WordPiece vocabulary out of a model that llama.cpp has loaded."""

from __future__ import annotations

import ctypes
from typing import Any

from llama_cpp import llama_cpp as api

from engines.runtimes.text.wordpiece import Marks, Spelling, WordPieces

DEFAULT_UNKNOWN = "100"
"""The token of an unknown word where the file does not name one; as llama.cpp has it."""
MAX_VALUE_BYTES = 64


def word_pieces_of(model: Any, vocab: Any) -> WordPieces | None:
    """The tokenizer of a WordPiece vocabulary; None for another kind, or one with tokens of its own."""
    if api.llama_vocab_type(vocab) != api.LLAMA_VOCAB_TYPE_WPM:
        return None
    count = int(api.llama_vocab_n_tokens(vocab))
    kinds = [int(api.llama_vocab_get_attr(vocab, token)) for token in range(count)]
    if any(kind & api.LLAMA_TOKEN_ATTR_USER_DEFINED for kind in kinds):
        return None
    words = {
        token: (api.llama_vocab_get_text(vocab, token) or b"").decode("utf-8", "replace")
        for token, kind in enumerate(kinds)
        if not kind & api.LLAMA_TOKEN_ATTR_CONTROL
    }
    lowercase = _value(model, "normalizer.lowercase", "true")
    strips = _value(model, "normalizer.strip_accents", lowercase)
    marks = Marks(
        opening=int(api.llama_vocab_bos(vocab)),
        closing=int(api.llama_vocab_sep(vocab)),
        unknown=int(_value(model, "unknown_token_id", DEFAULT_UNKNOWN)),
    )
    return WordPieces(words, marks, Spelling(lowercase == "true", strips == "true"))


def _value(model: Any, name: str, default: str) -> str:
    """A tokenizer setting of the file, or ``default``."""
    buffer = ctypes.create_string_buffer(MAX_VALUE_BYTES)
    key = f"tokenizer.ggml.{name}".encode()
    size = api.llama_model_meta_val_str(model, key, buffer, len(buffer))
    return default if size < 0 else buffer.value.decode("utf-8", "replace")
