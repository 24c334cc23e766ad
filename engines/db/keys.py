"""Rows' keys that come from outside: from a message, a body or a filter."""

from __future__ import annotations

from engines.exceptions import InvalidRequestError

MAX_ROW_ID = 2**63 - 1
"""PostgreSQL's largest bigint; a larger number ends its statement with an error of its own."""


def require_row_id(value: object) -> int:
    """Return a row's key from a message; InvalidRequestError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ROW_ID:
        return value
    raise InvalidRequestError(f"The message carries {value!r:.50}; it must be a row's key.")
