"""How errors and vectors travel between hosts and those who ask them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import SamError
from engines.runtimes.base import EmbeddingBatch


def error_fields(error: SamError) -> dict[str, Any]:
    """Return an error as it travels from a host to who asked it."""
    return {
        "code": error.code,
        "message": str(error),
        "transient": error.transient,
        "at_load": error.at_load,
        "host": error.host,
    }


def error_from(fields: Mapping[str, Any]) -> SamError:
    """Return the error that ``error_fields`` described."""
    error = error_of(fields["code"], fields["message"])
    error.transient = fields["transient"]
    error.at_load = fields["at_load"]
    error.host = fields["host"]
    return error


def error_of(code: str, message: str) -> SamError:
    """Return the error a host reported, as the class that has its code."""
    pending: list[type[SamError]] = [SamError]
    for kind in pending:
        if kind.__dict__.get("code") == code:
            return kind(message)
        pending += kind.__subclasses__()
    return SamError(message)


def pack_vectors(vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return an (n, d) matrix as JSON: base64 of little-endian float32, and d."""
    data = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
    return {"vectors": base64.b64encode(data).decode(), "dimension": int(vectors.shape[1])}


def unpack_batch(reply: Mapping[str, Any]) -> EmbeddingBatch:
    """Return the reply to ``embed`` as vectors (n, d) float32 and sentences by number of text."""
    flat = np.frombuffer(base64.b64decode(reply["vectors"]), "<f4").astype(np.float32)
    errors = {int(number): str(sentence) for number, sentence in reply["errors"].items()}
    return EmbeddingBatch(flat.reshape(-1, max(reply["dimension"], 1)), errors)
