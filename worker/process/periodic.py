"""Threads that do one thing again and again as long as the process lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import connections

from engines.exceptions import SamError
from worker.process.errors import translate_errors

logger = logging.getLogger(__name__)


class PeriodicThread:
    """Calls ``action`` every ``seconds`` in a daemon thread; holds no database connection in between."""

    def __init__(self, name: str, seconds: float, action: Callable[[], object]) -> None:
        self._name = name
        self._seconds = seconds
        self._action = action
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ensure_started(self) -> None:
        """Start the thread unless it runs; a thread that ended is started again."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self.run_once()
            pause.wait(self._seconds)

    def run_once(self) -> None:
        """Call the action now; an error is logged and the thread goes on."""
        try:
            translate_errors(self._action)
        except SamError as error:
            logger.warning("%s: %s", self._name, error)
        finally:
            connections.close_all()
