"""Who this process is, in leases and events."""

from __future__ import annotations

import itertools
import os
import secrets

from django.conf import settings

from migrations_app.plans.lease_owners import ProcessName

_START = secrets.token_hex(3)
"""PIDs are reused, also inside containers; this token is not."""
_numbers = itertools.count(1)


def process_name() -> str:
    """Name this process among all that ever ran."""
    return str(_process())


def new_owner() -> str:
    """Name one piece of work of this process: what it holds ends with it, not with the process."""
    return _process().owner_of(next(_numbers))


def _process() -> ProcessName:
    # Asked each time: a worker's children are forked, and each has a pid of its own.
    return ProcessName(settings.SAM_HOST_NAME, os.getpid(), _START)
