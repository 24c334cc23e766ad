"""What a process holds for as long as it lives is no garbage."""

from __future__ import annotations

import gc


def spare_collector() -> None:
    """Have the garbage collector leave alone what is there now; to be called once, after the start.

    Modules, models and routes are some 160,000 objects. To look through them all takes Python almost a tenth
    of a second, again and again, in which nobody's answer goes on.
    """
    gc.collect()
    gc.freeze()
