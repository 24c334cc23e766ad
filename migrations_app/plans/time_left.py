"""How long work takes that is under way: the one place where a rate and the time left are estimated.

A rate is measured over the last quarter of the work's time, so that it follows work that slows down and
does not jump with each batch. A pause (the machine slept, a host was busy) is not taken for slow work,
and while nothing moves the time left is unknown rather than a number that nobody believes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal

Unit = Literal["bytes", "texts"]

MB = 1e6
MINUTE, HOUR = 60, 3600
SHORT_SECONDS = 57.5
"""Below it seconds are told, five by five."""
WINDOW_SHARE = 0.25
"""Of the time worked so far, over which the rate is measured."""
MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS = 20.0, 300.0
MIN_SECONDS = 1.0
"""Of work, before a rate is told."""
SAMPLE_SECONDS = 0.25
"""Reports that come faster are one sample."""
PAUSE_FACTOR, MIN_PAUSE_SECONDS = 5.0, 5.0
"""A gap so many times longer than usual, and at least so long, is a pause."""
MIN_GAPS, MAX_GAPS = 3, 7
"""Gaps between movements that tell what is usual."""
STALL_SECONDS = 15.0
"""Without any movement for so long, and longer than usual, the time left is unknown."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of a step's work is done; ``doing`` tells phases of different speed apart."""

    done: float
    total: float
    unit: Unit
    doing: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """Units a second, and the seconds until all is done; None while they cannot be told."""

    rate: float | None = None
    seconds_left: float | None = None

    def in_words(self, unit: Unit) -> str:
        """Return both as people read them; empty while they are not known."""
        if self.rate is None or self.seconds_left is None:
            return ""
        speed = f"{self.rate / MB:.1f} MB/s" if unit == "bytes" else f"{self.rate:.3g} texts/s"
        return f"{speed}, {say_time_left(self.seconds_left)}"


@dataclass(frozen=True, slots=True)
class _Sample:
    worked: float
    """Seconds of work, pauses left out."""
    done: float


class PaceMeter:
    """Measures one piece of work from what it reports; times are a monotonic clock's seconds."""

    def __init__(self) -> None:
        self._amount: Amount | None = None
        self._samples: deque[_Sample] = deque()
        self._gaps: deque[float] = deque(maxlen=MAX_GAPS)
        self._worked = 0.0
        self._moved_at = 0.0

    def add(self, amount: Amount, now: float) -> None:
        """Take a report; one of other work, or of work that begins anew, starts the measuring anew."""
        last = self._amount
        if last is None or _is_other(last, amount):
            self._begin(amount, now)
            return
        if amount.done == last.done:
            return
        gap = now - self._moved_at
        self._worked += gap if gap <= self._longest_gap() else median(self._gaps)
        self._gaps.append(gap)
        self._amount, self._moved_at = amount, now
        self._keep(_Sample(self._worked, amount.done))

    def pace(self, now: float) -> Pace:
        """Return the rate and the time left as they are known now."""
        amount = self._amount
        if amount is None or not self._samples:
            return Pace()
        first, last = self._samples[0], self._samples[-1]
        idle = now - self._moved_at
        if last.worked - first.worked < MIN_SECONDS or idle > max(
            STALL_SECONDS, self._longest_gap(default=0.0)
        ):
            return Pace()
        rate = (last.done - first.done) / (last.worked - first.worked)
        left = max((amount.total - amount.done) / rate - idle, 0.0)
        return Pace(rate, left)

    def _begin(self, amount: Amount, now: float) -> None:
        self._samples.clear()
        self._gaps.clear()
        self._samples.append(_Sample(0.0, amount.done))
        self._amount, self._worked, self._moved_at = amount, 0.0, now

    def _longest_gap(self, default: float = float("inf")) -> float:
        """Return how long nothing may move without that being a pause."""
        if len(self._gaps) < MIN_GAPS:
            return default
        return max(MIN_PAUSE_SECONDS, PAUSE_FACTOR * median(self._gaps))

    def _keep(self, sample: _Sample) -> None:
        samples = self._samples
        if len(samples) > 1 and sample.worked - samples[-2].worked < SAMPLE_SECONDS:
            samples[-1] = sample
        else:
            samples.append(sample)
        window = min(max(WINDOW_SHARE * sample.worked, MIN_WINDOW_SECONDS), MAX_WINDOW_SECONDS)
        while len(samples) > 2 and sample.worked - samples[1].worked >= window:  # noqa: PLR2004
            samples.popleft()


def _is_other(last: Amount, amount: Amount) -> bool:
    same = (last.unit, last.doing, last.total) == (amount.unit, amount.doing, amount.total)
    return not same or amount.done < last.done


def say_time_left(seconds: float) -> str:
    """Return a time left in words, no more exact than it is known."""
    if seconds < SHORT_SECONDS:
        return f"about {max(5 * round(seconds / 5), 5)} s left"
    if seconds < HOUR:
        return f"about {round(seconds / MINUTE)} min left"
    return f"about {seconds / HOUR:.1f} h left"
