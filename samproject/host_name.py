"""The name a host carries in queues, rows and node names."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from samproject.env import EnvironmentVariableError, read_str

HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def host_name(remembered: Path | None = None) -> str:
    """Return SAM_HOST_NAME, or the name in ``remembered``, or the machine's in letters, digits and hyphens.

    Model files belong to a host by its name, and containers and machines are named anew.
    """
    name = read_str("SAM_HOST_NAME") or _read(remembered) or _slug(socket.gethostname())
    if not HOST_NAME.fullmatch(name):
        raise EnvironmentVariableError(
            f"SAM_HOST_NAME is {name!r}; use 1 to 63 lower-case letters, digits and hyphens, "
            "with a letter or digit at both ends."
        )
    return name


def _slug(machine: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", machine.lower())[:63].strip("-") or "host"


def _read(remembered: Path | None) -> str:
    try:
        name = remembered.read_text().strip() if remembered else ""
    except (OSError, UnicodeDecodeError):
        return ""
    return name if HOST_NAME.fullmatch(name) else ""
