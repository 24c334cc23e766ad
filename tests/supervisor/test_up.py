"""``manage.py up`` as a person runs it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import pytest

from samproject.endpoints import embedded_redis_url
from samproject.supervisor.locations import Locations, locate
from samproject.supervisor.processes import running_in
from tests.commands.elsewhere import PROGRAM
from tests.supervisor.sql import run

PROJECT = Path(__file__).resolve().parents[2]


WORKERS = {"control@here", "work@here", "live@here"}


class Up:
    """A running ``manage.py up`` and what it has printed."""

    def __init__(self, locations: Locations, *options: str, **variables: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", *options],
            cwd=PROJECT,
            env=environment(locations) | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches; the test's own time limit ends a wait in vain."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        pytest.fail(f"It ended before {pattern!r}: {''.join(self.lines)}")

    def end(self, wish: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(wish)
        self.lines.extend(self.process.stdout or [])
        return self.process.wait()


def environment(locations: Locations) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("SAM_")}
    own = {"SAM_DATA_DIR": str(locations.data), "SAM_HOST_NAME": "here"}
    return others | own | {"FLOWER_UNAUTHENTICATED_API": "true"}


def invite(locations: Locations) -> str:
    """Return what a command in another terminal prints."""
    command = [sys.executable, "-c", PROGRAM, "people", "invite", "grace@example.org"]
    return subprocess.run(
        command, cwd=PROJECT, env=environment(locations), capture_output=True, text=True, check=True
    ).stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def get(url: str, login: str = "") -> tuple[int, Any]:
    """Return status and body, asking again while nobody listens yet."""
    request = urllib.request.Request(url)  # noqa: S310 - our own servers
    if login:
        word = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
    while True:
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own servers
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (ConnectionError, urllib.error.URLError):
            Event().wait(0.2)


def servers_of(locations: Locations) -> dict[str, str]:
    """Settings of a machine that uses the servers of this one."""
    return {
        "DATABASE_URL": (
            f"postgres://sam:{locations.postgres_password.read_text()}@"
            f"{quote(str(locations.postgres_sockets), safe='')}/sam"
        ),
        "REDIS_URL": embedded_redis_url(locations, locations.redis_password.read_text()),
        "SECRET_KEY": "a" * 50,
        "SAM_BACKUP_KEY": "b" * 64,
    }


def tree(pid: int) -> list[int]:
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.exists() and path.read_text().rsplit(")", 1)[1].split()[1] == str(pid)
    ]


@pytest.fixture
def started(locations: Locations) -> Iterator[list[Up]]:
    """Whatever a test starts is ended, also when it fails."""
    runs: list[Up] = []
    yield runs
    for up in runs:
        if up.process.poll() is None:
            up.process.kill()
        up.process.communicate()


def test_when_up_runs_already_then_a_second_one_exits_with_its_process_id(
    locations: Locations, started: list[Up]
) -> None:
    started.append(first := Up(locations, "--services-only"))
    first.wait_for(r"redis: running")

    second = subprocess.run(
        [sys.executable, "manage.py", "up", "--services-only"],
        cwd=PROJECT,
        env=environment(locations),
        capture_output=True,
        text=True,
        check=False,
    )

    assert second.returncode == 1
    assert f"SAM already runs on {locations.data} (process {first.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    assert run(locations, "SELECT 1") == [(1,)]
    assert first.end() == 0


@pytest.mark.slow
def test_when_a_port_is_taken_then_up_names_it_and_starts_nothing(locations: Locations) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=PROJECT,
            env=environment(locations),
            capture_output=True,
            text=True,
            check=False,
        )

    assert ended.returncode == 1
    assert f"SAM cannot listen on 127.0.0.1:{port} (Address already in use)" in ended.stderr
    assert "choose another with --port" in ended.stderr
    assert "web: running" not in ended.stdout
    assert "database:" not in ended.stdout


@pytest.mark.slow
def test_when_a_newer_sam_used_the_database_then_up_says_both_ways_on(
    locations: Locations, folder: Path, started: list[Up]
) -> None:
    started.append(services := Up(locations, "--services-only"))
    services.wait_for(r"redis: running")
    run(
        locations,
        "CREATE TABLE django_migrations AS SELECT 1::bigint AS id, 'engines' AS app, '9999_later' AS name, "
        "now() AS applied",
    )
    lean = ("--workers", "control", "--no-web", "--no-beat", "--no-flower")

    started.append(older := Up(locate(folder / "older"), *lean, **servers_of(locations)))
    told = older.wait_for(
        r"A newer SAM used this database: it has the migration engines 9999_later"
    )

    assert re.search(r"`manage.py migrate engines \d{4}_\w+`;", told.string)
    assert older.process.wait() == 1
    assert run(locations, "SELECT count(*) FROM django_migrations") == [(1,)]
    assert services.end() == 0


@pytest.mark.slow
@pytest.mark.proof
def test_hosts_that_start_together_on_an_empty_database_take_turns(
    locations: Locations, folder: Path, started: list[Up]
) -> None:
    started.append(services := Up(locations, "--services-only"))
    services.wait_for(r"redis: running")
    shared = servers_of(locations)
    bare = ("--workers", "--no-web", "--no-beat", "--no-flower")
    hosts = [Up(locate(folder / f"host-{n}"), *bare, **shared) for n in range(3)]
    started.extend(hosts)

    for host in hosts:
        host.wait_for("tables are up to date")

    assert [host.end() for host in (*hosts, services)] == [0, 0, 0, 0]


@pytest.mark.slow
@pytest.mark.proof
def test_a_machine_without_control_plane_needs_a_token(
    locations: Locations, folder: Path, started: list[Up]
) -> None:
    started.append(services := Up(locations, "--services-only"))
    services.wait_for(r"redis: running")
    shared = {
        **servers_of(locations),
        "SAM_HOST_NAME": "gpu-2",
    }

    def join(**variables: str) -> Up:
        lean = ("--workers", "live", "--no-web", "--no-beat", "--no-flower")
        started.append(up := Up(locate(folder / "gpu-2"), *lean, **shared, **variables))
        return up

    refused = join()
    refused.wait_for(r"gpu-2 is not known and it has no token. Have an operator run")
    invite = [sys.executable, "manage.py", "host", "invite", "gpu-2"]
    token = subprocess.check_output(invite, cwd=PROJECT, env=environment(locations), text=True)
    admitted = join(SAM_JOIN_TOKEN=token.strip())
    admitted.wait_for(r"worker-live: running")

    assert refused.process.wait() == 1
    assert run(locations, "SELECT name FROM engines_host") == [("gpu-2",)]
    assert [up.end() for up in (admitted, services)] == [0, 0]


@pytest.mark.slow
def test_a_data_folder_keeps_the_name_of_its_host_when_the_machine_is_named_anew(
    locations: Locations, started: list[Up]
) -> None:
    lean = ("--workers", "control", "live", "--no-web", "--no-beat", "--no-flower")
    for name in ("here", ""):
        started.append(up := Up(locations, *lean, SAM_HOST_NAME=name))
        up.wait_for(r"worker-live: running")
        names = run(locations, "SELECT name FROM engines_host")
        assert up.end() == 0

    assert names == [("here",)]


@pytest.mark.slow
def test_when_a_server_is_killed_under_up_then_it_comes_back_with_its_data(
    locations: Locations, started: list[Up]
) -> None:
    started.append(up := Up(locations, "--services-only"))
    pid = int(up.wait_for(r"postgresql: running \(process (\d+)\)")[1])
    up.wait_for(r"redis: running")
    run(locations, "CREATE TABLE kept AS SELECT 7 AS number")

    os.kill(pid, signal.SIGKILL)
    up.wait_for(r"postgresql: ended with exit code -9: .*; starting it again in 1 s")
    up.wait_for(r"postgresql: running")

    assert run(locations, "SELECT number FROM kept") == [(7,)]
    assert up.end(signal.SIGINT) == 0
    assert up.lines[-1] == "SAM has stopped.\n"
    assert running_in(locations.postgres_data, "postgres") == []


@pytest.mark.slow
def test_when_up_runs_then_web_workers_beat_and_flower_answer_and_all_end_with_it(
    locations: Locations, started: list[Up]
) -> None:
    web, flower = free_port(), free_port()
    started.append(up := Up(locations, "--port", str(web), "--flower-port", str(flower)))
    admin = up.wait_for(r"admin (http\S+)")[1]
    with urllib.request.urlopen(admin) as page:  # noqa: S310 - our own server, at once
        assert page.status == 200
    up.wait_for(r"next: make the first administrator .*createsuperuser")
    if not any(line.startswith("Flower http") for line in up.lines):
        up.wait_for(r"Flower http")
    children = tree(up.process.pid)
    password = (locations.data / "flower-password").read_text()
    workers_page = f"http://127.0.0.1:{flower}/flower/api/workers?refresh=1"

    assert len(children) == 8
    assert get(f"http://127.0.0.1:{web}/healthz") == (200, b'{"database": "ok", "redis": "ok"}')
    assert get(f"http://127.0.0.1:{web}/api/docs/")[0] in {200, 401}
    assert f"\nhttp://127.0.0.1:{web}/join/?key=" in invite(locations)
    assert get(f"http://127.0.0.1:{web}/static/admin/css/base.css")[0] == 200
    assert get(workers_page)[0] == 401
    metrics_page = f"http://127.0.0.1:{flower}/flower/metrics"
    assert get(metrics_page)[0] == 401
    assert get(metrics_page, f"sam:{password}")[0] == 200
    while set(json.loads(get(workers_page, f"sam:{password}")[1])) != WORKERS:
        Event().wait(0.2)
    told = get(workers_page, f"sam:{password}")[1].decode()
    assert "redis.sock" in told
    assert (locations.data / "redis-password").read_text().strip() not in told
    arguments = "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in children)
    assert password not in arguments
    assert "celery.beat.Scheduler" in (locations.logs / "beat.log").read_text()

    assert up.end() == 0
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
