"""The one way a worker ends: it drains, and whatever has not stopped after 20 s ends with the process.

Celery's soft shutdown cannot be used: with the threads pool it fails and never says that it began.
"""

from __future__ import annotations

import logging
import os
import threading

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0
EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: what was unfinished is taken over when its lease ends."""

_draining = threading.Event()


def is_draining() -> bool:
    """Tell whether this worker was asked to end; steps then give their lease back."""
    return _draining.is_set()


def begin_drain(*_: object, **__: object) -> None:
    """Let no new work begin, and end the process after ``DRAIN_SECONDS`` whatever still runs.

    Called while Celery handles SIGTERM, so it only sets a flag and starts a timer. Children that hold
    models end with their pipes.
    """
    if _draining.is_set():
        return
    _draining.set()
    timer = threading.Timer(DRAIN_SECONDS, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    logger.warning("Work is still running %.0f s after the stop; ending now.", DRAIN_SECONDS)
    logging.shutdown()
    os._exit(EXIT_CODE)
