"""What a process holds for as long as it lives is no garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while SAM is loaded, nor afterwards among that: next to all of it stays.

    Otherwise a fifth of the time in which a command or a server starts goes into looking, hundreds of times.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Or else the first look goes through all of it.
        gc.freeze()
        if was_enabled:
            gc.enable()


def spare_collector() -> None:
    """Have the garbage collector leave alone what is there now; to be called once, after the start.

    Modules, models and routes are some 160,000 objects. To look through them all takes Python almost a tenth
    of a second, again and again, in which nobody's answer goes on.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
