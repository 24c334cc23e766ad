"""What SAM's own roles may do in the embedded servers, and how older data folders come to that."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, ResponseError

from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.locations import Locations, locate
from tests.supervisor.sql import owner_connection, redis_admin_url, redis_of, run


@pytest.fixture(scope="module")
def served() -> Iterator[Locations]:
    folder = Path(tempfile.mkdtemp(prefix="sam-"))
    folder.chmod(0o711)
    found = locate(folder / "data")
    with EmbeddedServices(found):
        yield found
    shutil.rmtree(folder)


def connect(
    locations: Locations, password: str, database: str = "sam"
) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(locations.postgres_sockets),
        user="sam",
        password=password,
        dbname=database,
        autocommit=True,
    )


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/sam-was-here'",
        "COPY (SELECT 1) TO '/tmp/sam-was-here'",
        "CREATE TABLE taken (line text); COPY taken FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "ALTER SYSTEM SET fsync = off",
        "ALTER ROLE sam SUPERUSER",
        "SET ROLE sam_owner",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "CREATE FUNCTION run(text) RETURNS int AS 'libc.so.6', 'system' LANGUAGE c",
    ],
)
def test_sams_role_cannot_leave_its_database(served: Locations, statement: str) -> None:
    with (
        connect(served, served.postgres_password.read_text()) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())

    assert not Path("/tmp/sam-was-here").exists()
    with owner_connection(served) as owner:
        query = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'sam'"
        assert owner.execute(query).fetchall() == [(False, False, False)]


def test_the_socket_alone_opens_nothing(served: Locations) -> None:
    for password in ("", "guess"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            connect(served, password)
    with (
        Redis(unix_socket_path=str(served.redis_socket)) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.ping()


@pytest.mark.parametrize("name", ["postgres_password", "redis_password", "redis_admin_password"])
def test_the_passwords_are_private_and_of_each_data_folders_own(
    served: Locations, name: str
) -> None:
    file: Path = getattr(served, name)

    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text()) == 64


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG GET dir",
        "CONFIG SET dir /tmp",
        "DEBUG SLEEP 0",
        "MODULE LIST",
        "REPLICAOF 127.0.0.1 1",
        "SHUTDOWN NOSAVE",
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "MONITOR",
        "ACL LIST",
        "BGSAVE",
        "MIGRATE 127.0.0.1 1 key 0 1",
        "EVAL return 0",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
        "CLIENT KILL TYPE normal",
    ],
)
def test_sams_user_does_not_administer_redis(served: Locations, command: str) -> None:
    with redis_of(served) as client:
        client.set("kept", "1")
        with pytest.raises(ResponseError, match=r"permissions|not allowed"):
            client.execute_command(*command.split())
        assert client.get("kept") == b"1"


def test_sams_user_runs_its_scripts_and_the_supervisor_administers(served: Locations) -> None:
    with redis_of(served) as client:
        script = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert script(keys=["sam:count"], args=[2]) == 2
        with client.pipeline() as commands:
            script(keys=["sam:count"], args=[3], client=commands)
            assert commands.execute() == [5]
        lock = client.lock("sam:lock", timeout=10)
        assert lock.acquire()
        lock.release()

    with Redis.from_url(redis_admin_url(served)) as admin:
        assert admin.config_get("dir") == {"dir": str(served.redis_data)}
        assert admin.flushall()


def former_cluster(locations: Locations, monkeypatch: pytest.MonkeyPatch) -> None:
    """As commit 9ed3f98 made it: the role ``sam`` is the first superuser and owns everything."""
    module = "samproject.supervisor.postgres"
    monkeypatch.setattr(f"{module}.OWNER", "sam")
    monkeypatch.setattr(f"{module}._ACCESS", "local all sam peer map=sam\n")
    monkeypatch.setattr(f"{module}.arrange", lambda _connect, _password: None)
    with EmbeddedServices(locations, redis=False):
        with connect(locations, "", database="postgres") as connection:
            connection.execute("CREATE DATABASE sam")
        with connect(locations, "") as connection:
            for statement in FORMER:
                connection.execute(statement.encode())
    monkeypatch.undo()


FORMER = [
    "CREATE TABLE memory (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, word text)",
    "CREATE TABLE child (id serial PRIMARY KEY, memory bigint REFERENCES memory)",
    "INSERT INTO memory (word) VALUES ('kept')",
    "CREATE VIEW words AS SELECT word FROM memory",
    "CREATE SEQUENCE counted",
    "CREATE TYPE mood AS ENUM ('glad')",
    'CREATE SCHEMA "Odd Name"',
    'CREATE TABLE "Odd Name"."a""b" (x int)',
    "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
]


def test_a_data_folder_whose_sam_was_superuser_is_mended_and_stays_usable(
    locations: Locations, monkeypatch: pytest.MonkeyPatch
) -> None:
    former_cluster(locations, monkeypatch)

    for _ in range(2):
        with EmbeddedServices(locations, redis=False):
            assert run(locations, "SELECT word FROM words") == [("kept",)]
            run(locations, "INSERT INTO child (memory) SELECT id FROM memory")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                run(locations, "COPY memory TO PROGRAM 'cat > /tmp/sam-was-here'")
            owners = run(
                locations,
                "SELECT DISTINCT relowner::regrole::text FROM pg_class "
                "WHERE relnamespace::regnamespace::text IN ('public', '\"Odd Name\"')",
            )
            assert owners == [("sam",)]
    with EmbeddedServices(locations, redis=False):
        run(locations, "ALTER TABLE memory ADD COLUMN more int")
        run(locations, "ALTER TYPE mood ADD VALUE 'sad'")
        run(locations, "DROP FUNCTION one()")
        run(locations, 'DROP SCHEMA "Odd Name" CASCADE')
        roles = run(locations, "SELECT rolname, rolsuper FROM pg_roles WHERE rolname !~ '^pg_'")

    assert sorted(roles) == [("sam", False), ("sam_owner", True)]
    assert not Path("/tmp/sam-was-here").exists()
