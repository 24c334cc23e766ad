"""Errors of foreign and own code turned into SAM's, and database calls that outlive a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from engines.exceptions import InvalidRequestError, SamError
from worker.watchdog import is_draining

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_WAIT = 0.2
LONGEST_WAIT = 5.0
LARGEST_ID = 2**63 - 1
TRIES = 15
"""Waits of 0.2, 0.4 … 5 s: about a minute, in which PostgreSQL restarts and recovers."""


class InterruptedServiceError(SamError):
    """PostgreSQL or Redis went away in the middle; the work is put back and tried again."""

    code = "service_interrupted"
    transient = True


class UnexpectedError(SamError):
    """A bug or a broken installation; the worker's log has the details."""

    code = "unexpected"


def guarded(call: Callable[[], Result]) -> Result:
    """Return what ``call`` returns; every error comes out as a SamError with a sentence."""
    try:
        return call()
    except SamError:
        raise
    except (OperationalError, InterfaceError, RedisError, BrokerError) as error:
        raise InterruptedServiceError(
            f"PostgreSQL or Redis was interrupted ({_first_line(error)}); it is tried again."
        ) from error
    except Exception as error:
        # The one broad except: a step must end with a sentence, not when its lease runs out.
        logger.exception("unexpected error")
        raise UnexpectedError(
            f"An unexpected {type(error).__name__} stopped this ({_first_line(error)}); the "
            "worker's log has the details."
        ) from error


@contextmanager
def bounded_transaction() -> Iterator[None]:
    """Open a transaction that PostgreSQL ends when this process falls asleep in it for a lease.

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


def with_database(call: Callable[[], Result]) -> Result:
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
                raise
            logger.warning("database: %s; trying again in %.1f s", _first_line(error), wait)
            connection.close()
        if is_draining():
            break
        threading.Event().wait(wait)
        wait = min(2 * wait, LONGEST_WAIT)
    raise InterruptedServiceError("PostgreSQL does not answer; the step is taken up again later.")


def checked_id(value: object) -> int:
    """Return a row's key from a message; InvalidRequestError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID:
        return value
    raise InvalidRequestError(f"The message carries {value!r:.50}; it must be a row's key.")


def in_transaction(call: Callable[[], Result]) -> Result:
    """Run ``call`` in a bounded transaction, again after a restart of PostgreSQL."""

    def bounded() -> Result:
        with bounded_transaction():
            return call()

    return with_database(bounded)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:300]
