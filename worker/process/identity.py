"""Who this process is, in leases and events."""

from __future__ import annotations

import itertools
import os
import secrets

from django.conf import settings

_START = secrets.token_hex(3)
"""PIDs are reused, inside containers too; this token is not."""
_numbers = itertools.count(1)


def process_name() -> str:
    """Name this process among all that ever ran."""
    return f"{settings.SAM_HOST_NAME}:{os.getpid()}:{_START}"


def new_owner() -> str:
    """Name one piece of work of this process: what it holds ends with the work, not with the process."""
    return f"{process_name()}/{next(_numbers)}"
