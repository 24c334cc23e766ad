from __future__ import annotations

from engines.exceptions import SamError


class SupervisorError(SamError):
    """A service SAM runs itself cannot start, or its folder cannot be used."""

    code = "supervisor_error"


class AlreadyRunningError(SupervisorError):
    """Another SAM holds this data folder; nothing was touched."""

    code = "already_running"
