"""One checker: everything that must hold at any moment, looked at from outside; it writes nothing.

Commands, operators and tests call ``check_invariants``. Each rule is a function ``find_…`` whose docstring says
what holds; it reads at most a page at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from django.conf import settings

from engines.files.artifacts import ArtifactStore
from migrations_app.invariants import effects, files, knowledge, plans, secrets
from migrations_app.invariants.findings import (
    MAX_FINDINGS,
    Finding,
    Rule,
    Surroundings,
    read_only,
)
from migrations_app.serving.redis_keys import redis_client

RULES: tuple[Rule, ...] = tuple(
    rule
    for module in (plans, effects, knowledge, files, secrets)
    for name, rule in vars(module).items()
    if name.startswith("find_")
)


def name_of(rule: Rule) -> str:
    """Return the damage that a rule finds, in words with underscores."""
    return rule.__name__.removeprefix("find_")


def own_surroundings(*, read_files: bool = True) -> Surroundings:
    """Return what this installation's settings say of store, Redis, logs and secrets."""
    return Surroundings(
        store=ArtifactStore(settings.SAM_ARTIFACT_STORE),
        host_name=settings.SAM_HOST_NAME,
        redis=redis_client(settings.REDIS_URL),
        logs=settings.SAM_LOCATIONS.logs,
        secrets=secrets.known_secrets(),
        read_files=read_files,
    )


def check_invariants(
    around: Surroundings, rules: Sequence[Rule] = RULES
) -> Iterator[tuple[str, Finding]]:
    """Yield all that is wrong, each with the name of its rule; of one rule at most ``MAX_FINDINGS``."""
    for rule in rules:
        with read_only():
            found = list(islice(rule(around), MAX_FINDINGS))
        yield from ((name_of(rule), finding) for finding in found)
