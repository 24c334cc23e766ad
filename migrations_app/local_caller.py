"""Who calls from this machine's command line; known before Django is set up."""

from __future__ import annotations

import getpass
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

SCOPE_KEY = "sam_local_caller"
"""In an ASGI scope. A web server makes scopes of its own, and headers cannot add to them."""


COMMAND_TYPED_BY: ContextVar[str] = ContextVar("sam_command_typed_by", default="")
"""The machine's user, in a process that runs one of Django's commands."""


@dataclass(frozen=True, slots=True)
class LocalCaller:
    """A person of SAM's, or with an empty name the system itself; and who types."""

    person: str
    machine_user: str


def find_local_caller(request: Any) -> LocalCaller | None:
    """Return who sent one of Django's requests from this machine's command line; None for a web server's."""
    # Without ASGI it is in the environment, where a client's headers all begin with HTTP_.
    caller = getattr(request, "scope", request.META).get(SCOPE_KEY)
    return caller if isinstance(caller, LocalCaller) else None


def find_machine_user() -> str:
    """Return who runs this process, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
