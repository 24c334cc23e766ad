"""Database connections that are closed and used again, by one process and its threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from threading import Barrier

import pytest
from django.db import connection, transaction

from engines.db.session_locks import in_turn, only_one
from engines.models import Host
from samproject.database.base import DatabaseWrapper
from samproject.database.idle_connections import MAX_KEPT
from tests.world.workers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

LOCK = 7919


def session() -> int:
    """The process of PostgreSQL that answers this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def session_then_close() -> int:
    found = session()
    connection.close()
    return found


def other_sessions() -> set[int]:
    """The sessions of this database besides the one that asks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in cursor.fetchall()}


def test_a_closed_connection_serves_the_next_also_of_another_thread() -> None:
    first = session_then_close()

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(session_then_close).result()

    assert first == second == session()


@pytest.mark.parametrize("take", [only_one, in_turn])
def test_a_lock_of_a_session_ends_with_its_connection_also_where_that_is_kept(
    take: Callable[[int], AbstractContextManager[object]],
) -> None:
    def lock_and_close() -> int:
        with take(LOCK):
            return session_then_close()

    with ThreadPoolExecutor(1) as pool, only_one(LOCK + 1):
        first = pool.submit(lock_and_close).result()
        with only_one(LOCK) as mine:
            assert mine
            assert pool.submit(session_then_close).result() == first


def test_one_that_postgresql_ended_is_replaced_unseen() -> None:
    mine = session()
    with ThreadPoolExecutor(1) as pool:
        kept = pool.submit(session_then_close).result()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [kept])

        assert pool.submit(session_then_close).result() not in (kept, mine)


def test_one_closed_inside_a_transaction_is_really_closed() -> None:
    try:
        with transaction.atomic():
            Host.objects.create(name="nobody")
            closed = session()
            connection.close()
    except transaction.TransactionManagementError:
        connection.close()

    assert session() != closed
    assert not Host.objects.exists()


def test_a_burst_leaves_no_more_than_are_kept() -> None:
    together = Barrier(3 * MAX_KEPT)

    def at_once() -> int:
        found = session()
        together.wait(30)
        connection.close()
        return found

    with ThreadPoolExecutor(3 * MAX_KEPT) as pool:
        used = {call.result() for call in [pool.submit(at_once) for _ in range(3 * MAX_KEPT)]}

    assert len(used) == 3 * MAX_KEPT
    # A session that was closed is listed until its process has ended.
    wait_until(lambda: len(used & other_sessions()) <= MAX_KEPT, "no more sessions than are kept")


def test_one_is_kept_also_by_a_process_with_more_than_a_thousand_files() -> None:
    DatabaseWrapper(connection.settings_dict).close_pool()
    with ExitStack() as files:
        for _ in range(1_024):
            files.enter_context(Path(os.devnull).open("rb"))
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(session_then_close).result()
            second = pool.submit(session_then_close).result()

    assert first == second
