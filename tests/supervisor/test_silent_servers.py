"""What people write is in no log and no file of the servers that SAM runs."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from redis import Redis

from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.locations import Locations
from tests.supervisor.sql import redis_admin_url, run

MARK = "marked-7f3a91"


def with_mark(statement: str) -> str:
    return statement.replace("MARK", MARK)


def files_with_mark(folder: Path) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and MARK.encode() in path.read_bytes()
    ]


def test_postgresql_logs_that_it_runs_and_nothing_of_statements(locations: Locations) -> None:
    with EmbeddedServices(locations, redis=False):
        run(locations, "CREATE TABLE notes (text varchar(20) UNIQUE, number integer)")
        run(locations, with_mark("INSERT INTO notes VALUES ('MARK', 1)"))
        for wrong in (
            "INSERT INTO notes VALUES ('MARK', 1)",
            "INSERT INTO notes VALUES ('MARK MARK MARK', 1)",
            "SELECT * FROM notes WHERE number = 'MARK'",
            "SELECT 'MARK' FROM nowhere",
            "DO $$ BEGIN RAISE EXCEPTION 'MARK'; END $$",
            "DO $$ BEGIN RAISE WARNING 'MARK'; PERFORM 1/0; END $$",
        ):
            with pytest.raises(psycopg.Error):
                run(locations, with_mark(wrong))

    log = (locations.logs / "postgresql.log").read_text()
    assert "ready to accept connections" in log
    assert files_with_mark(locations.logs) == []


def test_redis_keeps_nothing_and_removes_what_an_earlier_one_kept(locations: Locations) -> None:
    with EmbeddedServices(locations, postgres=False):
        pass
    kept = [
        locations.redis_data / name
        for name in ("appendonly.aof", "dump.rdb", "appendonlydir/appendonly.aof.1.incr.aof")
    ]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text(MARK)

    with (
        EmbeddedServices(locations, postgres=False),
        Redis.from_url(redis_admin_url(locations)) as client,
    ):
        client.set("question", MARK)
        assert client.config_get("appendonly") == {"appendonly": "no"}

    assert files_with_mark(locations.data) == []
    with (
        EmbeddedServices(locations, postgres=False),
        Redis.from_url(redis_admin_url(locations)) as client,
    ):
        assert client.get("question") is None
