"""Transactions of bounded length, and database calls that survive a restart of PostgreSQL."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from worker.process.errors import InterruptedServiceError, Result, first_line
from worker.process.shutdown import is_draining

logger = logging.getLogger(__name__)

FIRST_WAIT = 0.2
MAX_WAIT = 5.0
TRIES = 15
"""Waits of 0.2, 0.4 … 5 s: about a minute, in which PostgreSQL restarts and recovers."""


@contextmanager
def bounded_transaction() -> Iterator[None]:
    """Open a transaction that PostgreSQL ends when this process is idle in it for as long as a lease.

    Otherwise a frozen worker would keep its rows locked, and nobody could take its step over.
    """
    milliseconds = int(settings.SAM_LEASE_SECONDS * 1000)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, true)",
                [str(milliseconds)],
            )
        yield


def retry_database(call: Callable[[], Result]) -> Result:
    """Run ``call``, a whole transaction that may be run twice, through a restart of PostgreSQL.

    Raises InterruptedServiceError when the database stays away for about a minute, or the worker
    is to end meanwhile.
    """
    wait = FIRST_WAIT
    for _ in range(TRIES):
        try:
            return call()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block:
                # An outer transaction is lost as well; only its owner can run all of it again.
                raise
            logger.warning("database: %s; trying again in %.1f s", first_line(error), wait)
            # A session that ended stays broken; the next query opens another.
            connection.close()
        if is_draining():
            break
        threading.Event().wait(wait)
        wait = min(2 * wait, MAX_WAIT)
    raise InterruptedServiceError("PostgreSQL does not answer; the step is retried later.")


def in_transaction(call: Callable[[], Result]) -> Result:
    """Run ``call`` in a bounded transaction, again after a restart of PostgreSQL."""

    def bounded() -> Result:
        with bounded_transaction():
            return call()

    return retry_database(bounded)
