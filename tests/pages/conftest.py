from __future__ import annotations

from tests.api.conftest import engines, people

__all__ = ["engines", "people"]
