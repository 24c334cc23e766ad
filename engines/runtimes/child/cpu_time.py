"""Limits on the CPU time of one thread, by the clock that the scheduler itself keeps (Linux).

Not RLIMIT_CPU: it counts timer ticks, which differ from the time really used by seconds on a busy
host, and it counts all threads, so that vectors computed beside would end a chat template.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from engines.exceptions import SamError

CLOCK_THREAD_CPUTIME = 3
"""Of the thread that makes the timer."""
SIGEV_SIGNAL = 0


class _TimerEvent(ctypes.Structure):
    """``struct sigevent``, 64 bytes."""

    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_byte * 48),
    ]


class _TimerTimes(ctypes.Structure):
    """``struct itimerspec``: the period, then the first time; seconds and nanoseconds."""

    _fields_ = [("period", ctypes.c_long * 2), ("first", ctypes.c_long * 2)]


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """End this process by SIGXCPU when the block costs this thread more CPU time."""
    with _timer(seconds, signal.SIGXCPU):
        yield


@contextmanager
def interrupt_after(seconds: float, error: SamError) -> Iterator[None]:
    """Raise ``error`` when the block, run by the main thread, costs more CPU time; Python code only."""

    def raise_it(_signal: int, _frame: FrameType | None) -> None:
        raise error

    before = signal.signal(signal.SIGVTALRM, raise_it)
    try:
        with _timer(seconds, signal.SIGVTALRM):
            yield
    finally:
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _timer(seconds: float, number: signal.Signals) -> Iterator[None]:
    """Send a signal to this process, once, when this thread has used so much more CPU time."""
    libc = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    event = _TimerEvent(signal=number, notify=SIGEV_SIGNAL)
    _require(libc.timer_create(CLOCK_THREAD_CPUTIME, ctypes.byref(event), ctypes.byref(timer)))
    try:
        first = (ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 1e9))
        times = _TimerTimes(first=first)
        _require(libc.timer_settime(timer, 0, ctypes.byref(times), None))
        yield
    finally:
        libc.timer_delete(timer)


def _require(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
