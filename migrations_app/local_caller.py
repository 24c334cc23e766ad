"""Who calls from this machine's command line; known before Django is set up."""

from __future__ import annotations

from dataclasses import dataclass

SCOPE_KEY = "sam_local_caller"
"""In an ASGI scope. A web server makes scopes of its own, and headers cannot add to them."""


@dataclass(frozen=True, slots=True)
class LocalCaller:
    """A person of SAM's, or with an empty name the system itself; and who types."""

    person: str
    machine_user: str
