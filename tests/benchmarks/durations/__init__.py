"""Whether a preview tells the time that its work takes."""

from __future__ import annotations

from tests.benchmarks.durations.told import run

__all__ = ["run"]
