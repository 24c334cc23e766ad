"""Arrays of texts: vocabularies and merges, bounded in total and checked without being kept."""

from __future__ import annotations

import re

from engines.gguf import limits
from engines.gguf.cursor import Cursor, refuse
from engines.gguf.header import shown

_TOKENS_KEY = "tokenizer.ggml.tokens"
_NAMES_NO_BYTE = re.compile(rb"<0x(?![0-9A-Fa-f]{2}>).{0,4}>", re.DOTALL)


def read_texts(cursor: Cursor, key: str, count: int) -> tuple[str, ...]:
    """Read ``count`` texts; return them when they are few, () otherwise.

    Raises UnsafeModelFileError for texts that are too long or too many, and for a vocabulary that
    would abort llama.cpp: the same token twice, or a byte token that names no byte.
    """
    texts = cursor.texts(count, limits.MAX_STRING_BYTES, f"a text in {shown(key)}")
    if key == _TOKENS_KEY:
        if count > limits.MAX_VOCABULARY:
            refuse(f"its vocabulary has {count} tokens and the limit is {limits.MAX_VOCABULARY}")
        # Kept for the check of duplicates only; the limit above bounds what that takes.
        tokens = list(texts)
        _check_tokens(tokens)
        return _kept(key, tokens)
    if count <= limits.KEPT_ARRAY_VALUES:
        return _kept(key, list(texts))
    for _ in texts:
        pass
    return ()


def _check_tokens(tokens: list[bytes]) -> None:
    # Empty tokens may repeat: llama.cpp gives each a name of its own.
    named = set(tokens) - {b""}
    if len(named) != len(tokens) - tokens.count(b""):
        refuse("its vocabulary holds the same token twice")
    for token in tokens:
        if token.startswith(b"<0x") and _NAMES_NO_BYTE.fullmatch(token):
            refuse(f"its vocabulary holds {token!r}, which names no byte")


def _kept(key: str, texts: list[bytes]) -> tuple[str, ...]:
    if len(texts) > limits.KEPT_ARRAY_VALUES:
        return ()
    try:
        return tuple(text.decode() for text in texts)
    except UnicodeDecodeError:
        refuse(f"{shown(key)} holds something that is not UTF-8 text")
