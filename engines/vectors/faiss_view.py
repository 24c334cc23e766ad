"""What FAISS is asked for: an index read from mapped bytes, and a selection of rows."""

from __future__ import annotations

import threading
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError

FAISS: Any = faiss
"""Untyped: its type stubs lack the zero-copy reader and the arguments of search parameters."""

_DESERIALISING = threading.Lock()
"""FAISS's size limit is one for the whole process."""


def view_bytes(content: NDArray[np.uint8]) -> Any:
    """Give FAISS the mapped bytes without a copy; they stay mapped as long as the caller holds them.

    Only for bytes whose checksum and numbers were checked. IndexFileError when FAISS refuses them.
    """
    with _DESERIALISING:
        # FAISS refuses to allocate more than this, which no checked file asks for.
        FAISS.set_deserialization_vector_byte_limit(content.size)
        reader = FAISS.ZeroCopyIOReader(FAISS.swig_ptr(content), content.size)
        try:
            return FAISS.read_index(reader)
        except RuntimeError as error:
            raise IndexFileError(
                "FAISS does not accept the index file though its checksum is right, so the installed "
                f"version reads another format ({error}); build the index again from its rows."
            ) from error


def not_among(exclude: NDArray[np.int64] | None) -> Any:
    """Return FAISS's selector of all rows but these; None when there is nothing to leave out."""
    if exclude is None or len(exclude) == 0:
        return None
    unwanted = FAISS.IDSelectorBatch(np.ascontiguousarray(exclude, dtype=np.int64))
    return FAISS.IDSelectorNot(unwanted)
