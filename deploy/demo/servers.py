"""The quickstart's processes: the local hub, and everything that ``manage.py up`` starts."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

from deploy.demo.errors import DemoError
from deploy.demo.site import PROJECT, Site, usable_port
from engines.models import Host, HostStatus
from samproject.celery import app
from samproject.supervisor.processes import Child, Program
from samproject.supervisor.roster import WORKERS

READY_SECONDS = 180.0
_STOP_SECONDS = 90.0
"""Longer than workers and servers of ``up`` take one after the other."""

_LOOK_SECONDS = 0.3
_PROBE_SECONDS = 2.0
_FIRST_HUB_PORT = 8788

Say = Callable[[str], None]


@contextmanager
def hub(site: Site, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve the demo's engines as long as the block runs; yields the hub's address.

    It comes back at its last port when that is free: a download that was interrupted knows it.
    """
    remembered = site.demo / "hub-port"
    wanted = int(remembered.read_text()) if remembered.is_file() else _FIRST_HUB_PORT
    port = usable_port(wanted)
    remembered.write_text(str(port))
    arguments = ("deploy.demo.hub", "--root", str(site.hub_root), "--port", str(port))
    child = Child(_program("hub", site, arguments, environment))
    with _running(child):
        address = f"http://127.0.0.1:{port}"
        _wait(child, "the local hub", lambda: _answers(f"{address}/api/models"))
        yield address


@contextmanager
def servers(site: Site, environment: Mapping[str, str], say: Say) -> Iterator[None]:
    """Run ``manage.py up`` as long as the block runs; enters it when every part answers."""
    ports = ("--port", str(site.port), "--flower-port", str(site.flower_port))
    child = Child(_program("up", site, (str(PROJECT / "manage.py"), "up", *ports), environment))
    child.program.log.unlink(missing_ok=True)
    with _running(child):
        for name, is_ready in _parts(site):
            _wait(child, name, is_ready)
            say(name)
        yield


def _parts(site: Site) -> list[tuple[str, Callable[[], bool]]]:
    return [
        ("PostgreSQL, Redis and the web server", lambda: _answers(f"{site.web}/healthz")),
        *((f"the {name} worker", _pinged(name)) for name in WORKERS),
        ("a host that takes work", _host_is_active),
        ("Flower", lambda: _answers(f"{site.flower}/healthcheck")),
    ]


def _program(
    name: str, site: Site, arguments: tuple[str, ...], environment: Mapping[str, str]
) -> Program:
    module = () if arguments[0].endswith(".py") else ("-m",)
    return Program(
        name=name,
        argv=(sys.executable, *module, *arguments),
        log=site.logs / f"{name}.log",
        folder=PROJECT,
        environment=environment,
        stop_signal=signal.SIGTERM,
        stop_seconds=_STOP_SECONDS,
    )


@contextmanager
def _running(child: Child) -> Iterator[None]:
    child.program.log.parent.mkdir(parents=True, exist_ok=True)
    child.start()
    try:
        yield
    finally:
        child.stop()


def _wait(child: Child, name: str, is_ready: Callable[[], bool]) -> None:
    pause = threading.Event()
    end = time.monotonic() + READY_SECONDS
    while not is_ready():
        if not child.running():
            raise DemoError(f"{_title(child)} ended while it started: {child.describe_end()}")
        if time.monotonic() > end:
            raise DemoError(
                f"{name} was not ready within {READY_SECONDS:.0f} s; look into "
                f"{child.program.log} and {_site_logs(child)}."
            )
        pause.wait(_LOOK_SECONDS)


def _title(child: Child) -> str:
    return {"up": "`manage.py up`", "hub": "The local hub"}[child.name]


def _site_logs(child: Child) -> Path:
    return child.program.log.parents[2] / "logs"


def _answers(address: str) -> bool:
    """Whether somebody answers there, with whatever but a server's error."""
    try:
        answer = httpx2.get(address, timeout=_PROBE_SECONDS, trust_env=False)
    except httpx2.HTTPError:
        return False
    return not answer.is_server_error


def _pinged(worker: str) -> Callable[[], bool]:
    def answers() -> bool:
        nodes = app.control.ping(timeout=_PROBE_SECONDS) or []
        return any(name.startswith(f"{worker}@") for node in nodes for name in node)

    return answers


def _host_is_active() -> bool:
    return Host.objects.filter(status=HostStatus.ACTIVE).exists()
