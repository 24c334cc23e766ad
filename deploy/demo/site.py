"""Where the quickstart keeps things, and the environment it gives to all its processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from samproject.supervisor.roster import FLOWER_PREFIX

PROJECT = Path(__file__).resolve().parents[2]
HOST_NAME = "quickstart"
"""Fixed, so that a second run finds the host's files also where machines are named anew."""

_LEASE_SECONDS = "15"
"""Short, so that what a killed run left is taken over soon."""

_LOCAL = "127.0.0.1,localhost"
_FOREIGN = ("DATABASE_", "REDIS_", "SAM_", "HF_", "FLOWER_", "DJANGO_", "SECRET_KEY", "CELERY_")
"""Settings of another installation: the demo must never write into its database."""

_RATE = "100000/min"
"""The second client asks as fast as it is answered, which no person does."""
_KEPT = ("SAM_UV",)
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Site:
    """One quickstart installation; paths are absolute."""

    data: Path
    port: int
    flower_port: int

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def flower(self) -> str:
        return f"http://127.0.0.1:{self.flower_port}/{FLOWER_PREFIX}"

    @property
    def demo(self) -> Path:
        """What only the demo needs."""
        return self.data / "demo"

    @property
    def hub_root(self) -> Path:
        return self.demo / "hub"

    @property
    def logs(self) -> Path:
        return self.demo / "logs"


def default_data_folder(inherited: Mapping[str, str]) -> Path:
    """Return a folder of the quickstart's own; root's lies where the servers' user may enter."""
    if os.geteuid() == 0:
        return Path("/var/lib/sam-quickstart")
    base = inherited.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sam-quickstart"


def environment(inherited: Mapping[str, str], data: Path) -> dict[str, str]:
    """Return the variables of every process: the inherited ones without another SAM's settings."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name in _KEPT or not name.startswith(_FOREIGN)
    }
    reachable = ",".join(filter(None, (kept.get("NO_PROXY") or kept.get("no_proxy"), _LOCAL)))
    return kept | {
        "DJANGO_SETTINGS_MODULE": "samproject.settings",
        "SAM_DATA_DIR": str(data),
        "SAM_HOST_NAME": HOST_NAME,
        # The demo's hub and servers are on this machine.
        "SAM_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "SAM_LEASE_SECONDS": _LEASE_SECONDS,
        # What a few minutes embed does not win back the seconds of measuring.
        "SAM_MEASURE_EMBEDDING": "false",
        "SAM_RATE_USER": _RATE,
        "SAM_RATE_WORK": _RATE,
        "NO_PROXY": reachable,
        "no_proxy": reachable,
        "PYTHONUNBUFFERED": "1",
    }


def usable_port(wanted: int) -> int:
    """Return the wanted port, or the next one above it that nobody listens on."""
    for port in range(wanted, _HIGHEST_PORT):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if _binds(probe, port):
                return port
    return wanted


def _binds(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
