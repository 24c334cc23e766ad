"""The names under which processes hold leases, made and read in one place: ``host:pid:start/work``.

A host's name has no colon, so what begins with it and a colon is of that host and no other.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q


@dataclass(frozen=True, slots=True)
class ProcessName:
    """One process among all that ever ran; ``start`` tells those apart that got the same pid."""

    host: str
    pid: int
    start: str

    def __str__(self) -> str:
        return f"{_prefix(self.host)}{self.pid}:{self.start}"

    def owner_of(self, work: int) -> str:
        """Name one piece of work of this process."""
        return f"{self}/{work}"


def owned_on(host: str) -> Q:
    """Return the condition for rows whose ``owner`` is work of any process of a host."""
    return Q(owner__startswith=_prefix(host))


def _prefix(host: str) -> str:
    return f"{host}:"
