"""Locks that somebody else holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connections, transaction


@contextmanager
def held_elsewhere(take: Callable[[], object]) -> Iterator[None]:
    """Have another connection take locks and hold them for the length of the block."""
    is_locked, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            take()
            is_locked.set()
            let_go.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_locked.wait(30)
        yield
    finally:
        let_go.set()
        thread.join()
