from __future__ import annotations

from tests.api.conftest import alice, bob, people

__all__ = ["alice", "bob", "people"]
