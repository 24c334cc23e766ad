"""Errors at the edge of a task."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from engines.exceptions import SamError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


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


def first_line(error: Exception) -> str:
    """Return an error in one line, for a log or a sentence."""
    return (str(error).strip().splitlines() or ["no message"])[0][:300]
