"""The people and engines of the API's tests."""

from __future__ import annotations

from tests.api.conftest import (
    alice,
    bob,
    curator,
    engines,
    no_throttle_history,
    operator,
    people,
)

__all__ = ["alice", "bob", "curator", "engines", "no_throttle_history", "operator", "people"]
