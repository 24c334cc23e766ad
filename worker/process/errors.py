"""Errors at the edge of a task, and the ids that its message carries."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from engines.exceptions import InvalidRequestError, SamError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_ID = 2**63 - 1


class InterruptedServiceError(SamError):
    """PostgreSQL or Redis went away in the middle; the work is released and retried."""

    code = "service_interrupted"
    transient = True


class UnexpectedError(SamError):
    """A bug or a broken installation; the worker's log has the details."""

    code = "unexpected"


def translate_errors(call: Callable[[], Result]) -> Result:
    """Return what ``call`` returns; every error becomes a SamError with a sentence."""
    try:
        return call()
    except SamError:
        raise
    except (OperationalError, InterfaceError, RedisError, BrokerError) as error:
        raise InterruptedServiceError(
            f"PostgreSQL or Redis was interrupted ({first_line(error)}); this is retried."
        ) from error
    except Exception as error:
        # The one broad except: a step must end with a sentence, not by its lease running out.
        logger.exception("unexpected error")
        raise UnexpectedError(
            f"An unexpected {type(error).__name__} stopped this ({first_line(error)}); the "
            "worker's log has the details."
        ) from error


def parse_id(value: object) -> int:
    """Return a row's key from a message; InvalidRequestError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID:
        return value
    raise InvalidRequestError(f"The message carries {value!r:.50}; it must be a row's key.")


def first_line(error: Exception) -> str:
    """Return an error in one line, for a log or a sentence."""
    return (str(error).strip().splitlines() or ["no message"])[0][:300]
