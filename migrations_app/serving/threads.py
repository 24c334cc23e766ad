"""From an event loop to the database and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Do something in a thread of its own; no database connection is held when it has ended."""

    def run() -> Result:
        try:
            return work()
        finally:
            close_old_connections()

    return await sync_to_async(run, thread_sensitive=False)()
