"""The processes of one machine besides the servers: web, workers, beat and Flower."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from migrations_app.queues import CONTROL_QUEUE, live_queue, work_queue
from samproject.supervisor.processes import Program
from samproject.supervisor.users import ServiceUser

WORKERS = ("control", "work", "live")
THREADS = {"control": 4, "work": 4, "live": 256}
"""Threads of a worker only wait, for the database or a child process; live ones hold a stream, or wait
for their person's turn: no more than 48 are at work (worker/live/turns.py)."""

FLOWER_USER = "sam"
FLOWER_PREFIX = "flower"
"""Under which Flower's pages lie, on its own port as behind SAM's login."""
STREAM_SECONDS = 3
"""How long a stop waits for answers under way; then their connections are closed, and a worker notices
within as long again that nobody reads."""
_FLOWER_VARIABLES = "FLOWER_"
_DRAIN_SECONDS = 30.0
"""A worker gives its steps back and ends by its own watchdog after 20 s."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all processes of this machine share."""

    project: Path
    logs: Path
    host_name: str
    settings_module: str
    user: ServiceUser | None = None
    """Whom the processes run as; None for the supervisor's own user."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """What changes in their environment."""
    origin: str = ""
    """Where its web server is found, unless the environment names another address."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to run; a port of 0 leaves the process out."""

    web_host: str
    web_port: int
    flower_port: int
    flower_password: str
    workers: Iterable[str]
    beat: bool


def roster(site: Site, wishes: Wishes) -> list[Program]:
    """Return the programs in the order they start."""
    programs = [_worker(site, name) for name in WORKERS if name in wishes.workers]
    if wishes.beat:
        programs.append(_program(site, "beat", (*_celery("beat"), "--pidfile=")))
    if wishes.web_port:
        programs.append(_web(site, wishes))
    if wishes.flower_port:
        programs.append(_flower(site, wishes))
    return programs


def _web(site: Site, wishes: Wishes) -> Program:
    address = ("--host", wishes.web_host, "--port", str(wishes.web_port))
    argv = (sys.executable, "-m", "samproject.web", *address)
    return _program(site, "web", argv, _flower_address(wishes))


def _flower_address(wishes: Wishes) -> dict[str, str]:
    """Say where Flower is that runs beside the web server, unless the environment names another."""
    if not wishes.flower_port or "SAM_FLOWER_URL" in os.environ:
        return {}
    return {
        "SAM_FLOWER_URL": f"http://127.0.0.1:{wishes.flower_port}",
        "SAM_FLOWER_PASSWORD": wishes.flower_password,
    }


def _worker(site: Site, name: str) -> Program:
    work, live = work_queue(site.host_name), live_queue(site.host_name)
    queue = {"control": CONTROL_QUEUE, "work": work, "live": live}[name]
    argv = (
        *_celery("worker"),
        *("--queues", queue, "--hostname", f"{name}@{site.host_name}"),
        *("--pool", "threads", "--concurrency", str(THREADS[name])),
        *("--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    )
    return _program(site, f"worker-{name}", argv)


def _flower(site: Site, wishes: Wishes) -> Program:
    address = ("--address=127.0.0.1", f"--port={wishes.flower_port}")
    # By environment: a command line can be read by every user of the machine.
    login = {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{wishes.flower_password}"}
    command = (sys.executable, "-m", "samproject.web.flower", "-A", "samproject", "flower")
    shown = (f"--url-prefix={FLOWER_PREFIX}", "--read-only=True")
    return _program(site, "flower", (*command, *address, *shown), login)


def _celery(command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-A", "samproject", command)


def _program(
    site: Site, name: str, argv: tuple[str, ...], extra: Mapping[str, str] | None = None
) -> Program:
    environment = inherited_environment()
    environment |= site.extra
    environment |= {"DJANGO_SETTINGS_MODULE": site.settings_module, "PYTHONUNBUFFERED": "1"}
    # The file that remembers it is not theirs to read.
    environment["SAM_HOST_NAME"] = site.host_name
    if site.origin:
        environment.setdefault("SAM_ORIGIN", site.origin)
    return Program(
        name=name,
        argv=argv,
        log=site.logs / f"{name}.log",
        folder=site.project,
        user=site.user,
        environment=environment | dict(extra or {}),
        stop_seconds=_DRAIN_SECONDS,
    )


def inherited_environment() -> dict[str, str]:
    """Return the supervisor's own, as its processes get it."""
    # FLOWER_UNAUTHENTICATED_API and its like would open what the login closes.
    return {
        name: value for name, value in os.environ.items() if not name.startswith(_FLOWER_VARIABLES)
    }
