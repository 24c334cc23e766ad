"""What a crash can leave behind, and that the next start puts it right without losing data."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.errors import AlreadyRunningError
from samproject.supervisor.locations import Locations, locate, prepare
from samproject.supervisor.postgres import EmbeddedPostgres
from samproject.supervisor.processes import running_in
from samproject.supervisor.redis import EmbeddedRedis
from samproject.supervisor.users import service_user
from tests.supervisor.sql import redis_of, remember, remembered

PROJECT = Path(__file__).resolve().parents[2]


def start_postgres(locations: Locations) -> EmbeddedPostgres:
    user = service_user(locations.postgres_data)
    prepare(locations, for_servers=True, user=user)
    server = EmbeddedPostgres(locations)
    server.start()
    return server


def hold_services(locations: Locations) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.supervisor.hold_services", str(locations.data)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def stopped_cluster() -> Iterator[Locations]:
    """A cluster with data, cleanly stopped; each test leaves it so."""
    folder = Path(tempfile.mkdtemp(prefix="sam-"))
    folder.chmod(0o711)
    found = locate(folder / "data")
    server = start_postgres(found)
    remember(found, "kept")
    server.stop()
    yield found
    shutil.rmtree(folder)


def wait_for_end(pid: int) -> None:
    """Wait for a process that is not our child; its descriptor becomes readable at its end."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])
    os.close(descriptor)


def test_when_the_supervisor_is_killed_then_no_server_outlives_it_and_data_stays(
    locations: Locations,
) -> None:
    with hold_services(locations) as holder:
        assert holder.stdout is not None
        pids = [int(word) for word in holder.stdout.readline().split()]
        remember(locations, "before the kill")
        holder.kill()
    for pid in pids:
        wait_for_end(pid)

    with EmbeddedServices(locations) as services:
        assert [server.pid for server in services.servers] != pids
        assert remembered(locations) == ["before the kill"]


def test_when_every_process_is_killed_then_the_next_start_recovers_committed_data(
    locations: Locations,
) -> None:
    with hold_services(locations) as holder:
        assert holder.stdout is not None
        pids = [int(word) for word in holder.stdout.readline().split()]
        remember(locations, "committed")
        with redis_of(locations) as client:
            client.set("key", "value")
            client.wait(0, 10)
        for pid in (*pids, holder.pid):
            os.kill(pid, signal.SIGKILL)

    with EmbeddedServices(locations):
        assert remembered(locations) == ["committed"]
        with redis_of(locations) as client:
            assert client.ping()


def test_when_servers_were_left_running_then_the_next_start_takes_their_place(
    locations: Locations,
) -> None:
    left = start_postgres(locations)
    left_redis = EmbeddedRedis(locations)
    left_redis.start()
    remember(locations, "from the one left behind")

    with EmbeddedServices(locations) as services:
        new_pids = [server.pid for server in services.servers]
        assert not left.running()
        assert not left_redis.running()
        assert left.pid not in new_pids
        assert left_redis.pid not in new_pids
        assert remembered(locations) == ["from the one left behind"]
        with redis_of(locations) as client:
            assert client.info("server")["process_id"] == new_pids[1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        b"not a number\n",
        b"\xff\xfe\x00",
        f"{os.getpid()}\n/elsewhere\n0\n5432\n\n\n\nready   \n".encode(),
        f"{os.getppid()}\n".encode(),
        b"999999999\n",
    ],
    ids=["empty", "cut", "words", "bytes", "names a living process", "names its parent", "nobody"],
)
def test_when_postmaster_pid_is_wrong_then_the_start_succeeds_and_data_stays(
    stopped_cluster: Locations, content: bytes
) -> None:
    pid_file = stopped_cluster.postgres_data / "postmaster.pid"
    pid_file.write_bytes(content)

    server = start_postgres(stopped_cluster)
    try:
        assert remembered(stopped_cluster) == ["kept"]
        assert int(pid_file.read_text().splitlines()[0]) == server.pid
    finally:
        server.stop()


def test_when_the_pid_file_of_a_left_server_is_cut_then_it_is_still_found(
    locations: Locations,
) -> None:
    left = start_postgres(locations)
    (locations.postgres_data / "postmaster.pid").write_bytes(b"")

    with EmbeddedServices(locations, redis=False) as services:
        assert not left.running()
        assert running_in(locations.postgres_data, "postgres").count(services.servers[0].pid) == 1


def test_when_creating_the_cluster_was_interrupted_then_the_next_start_creates_it_anew(
    locations: Locations,
) -> None:
    prepare(locations, for_servers=False, user=None)
    draft = locations.data / "postgres.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")

    server = start_postgres(locations)
    server.stop()

    assert not draft.exists()


def test_when_sam_runs_already_then_a_second_start_names_it_and_touches_nothing(
    locations: Locations,
) -> None:
    with EmbeddedServices(locations) as services:
        pids = [server.pid for server in services.servers]
        with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}\)"):
            EmbeddedServices(locations).__enter__()
        remember(locations, "still served")
        assert [server.pid for server in services.servers] == pids
        assert remembered(locations) == ["still served"]


def test_when_a_server_stops_cleanly_then_no_process_and_no_pid_file_is_left(
    locations: Locations,
) -> None:
    with EmbeddedServices(locations):
        pass

    assert running_in(locations.postgres_data, "postgres") == []
    assert running_in(locations.redis_data, "redis-server") == []
    assert not (locations.postgres_data / "postmaster.pid").exists()
    assert not locations.redis_socket.exists()
