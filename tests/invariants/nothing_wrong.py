"""What other tests say at their end: nothing is wrong anywhere."""

from __future__ import annotations

from dataclasses import replace

from engines.files.artifacts import ArtifactStore
from migrations_app.invariants.check import check_invariants, own_surroundings


def assert_nothing_wrong(store: ArtifactStore | None = None) -> None:
    """Look at this run's database, Redis, logs and store (or the test's own) with every rule."""
    around = own_surroundings()
    found = check_invariants(replace(around, store=store or around.store))
    problems = [f"{rule}: {one.where}: {one.problem}" for rule, one in found]
    # Said here, as pytest explains the asserts of tests only.
    assert not problems, problems
