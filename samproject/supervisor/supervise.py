"""Keep a set of processes running until somebody asks to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from samproject.supervisor.errors import SupervisorError

FIRST_DELAY_SECONDS = 1.0
PATIENT_SECONDS = 30.0
"""After so long each member is stopped by its own rules, one after the other."""
STEADY_SECONDS = 60.0
"""A member that ran this long is healthy again: its next failure starts with a short delay."""

LOG_SECONDS = 10.0
"""How often the size of the logs is looked at."""
TELL_SECONDS = 2.0
"""How often people are told for whom a stop waits."""
_LOOK_SECONDS = 0.2


class Member(Protocol):
    """Anything that can be started, watched and stopped."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def running(self) -> bool: ...
    def ask_to_stop(self) -> None: ...
    def stop(self) -> None: ...
    def describe_end(self) -> str: ...
    def bound_log(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Notice:
    """Lines to say once something is so, as that an address answers."""

    is_due: Callable[[], bool]
    lines: Callable[[], Sequence[str]]


@dataclass(slots=True)
class _Watch:
    member: Member
    failures: int = 0
    started: float = 0.0
    retry_at: float | None = None


class Supervisor:
    """Start members, restart the ones that end with growing delays, stop all on a signal."""

    def __init__(self, say: Callable[[str], None], most_delay: float = 30.0) -> None:
        """``most_delay`` is how many seconds a member that keeps ending waits at most."""
        self._say = say
        self._most_delay = most_delay
        self._stopping = False
        self._logs_bounded_at = time.monotonic()

    def listen_to_signals(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to stop cleanly (main thread only)."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def run(
        self,
        running: Sequence[Member],
        to_start: Sequence[Member],
        notices: Sequence[Notice] = (),
    ) -> None:
        """Watch ``running``, start and watch ``to_start``; returns when asked to stop.

        Only ``to_start`` is stopped at the end, all together: the servers they use belong to
        the caller and must outlive them.
        """
        now = time.monotonic()
        watches = [_Watch(member, started=now) for member in running]
        pending = list(notices)
        try:
            for member in to_start:
                watches.append(watch := _Watch(member))
                self._start(watch)
            while not self._stopping:
                for watch in watches:
                    self._tend(watch)
                pending = [notice for notice in pending if not self._give(notice)]
                self._bound_logs(watches)
                # The flag is set by a signal handler, which may not touch an Event's lock.
                threading.Event().wait(_LOOK_SECONDS)
        finally:
            self._stop(to_start)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, watch: _Watch) -> None:
        watch.retry_at = None
        watch.started = time.monotonic()
        try:
            watch.member.start()
        except SupervisorError as error:
            self._plan_restart(watch, str(error))
        else:
            self._say(f"{watch.member.name}: running (process {watch.member.pid})")

    def _tend(self, watch: _Watch) -> None:
        now = time.monotonic()
        if watch.retry_at is not None:
            if now >= watch.retry_at:
                self._start(watch)
        elif not watch.member.running():
            self._plan_restart(watch, f"ended with {watch.member.describe_end()}")

    def _give(self, notice: Notice) -> bool:
        if not notice.is_due():
            return False
        for line in notice.lines():
            self._say(line)
        return True

    def _bound_logs(self, watches: Sequence[_Watch]) -> None:
        if time.monotonic() - self._logs_bounded_at < LOG_SECONDS:
            return
        self._logs_bounded_at = time.monotonic()
        for watch in watches:
            watch.member.bound_log()

    def _plan_restart(self, watch: _Watch, reason: str) -> None:
        now = time.monotonic()
        if now - watch.started > STEADY_SECONDS:
            watch.failures = 0
        delay = min(FIRST_DELAY_SECONDS * 2.0**watch.failures, self._most_delay)
        watch.failures += 1
        watch.retry_at = now + delay
        self._say(f"{watch.member.name}: {reason}; starting it again in {delay:.0f} s")

    def _stop(self, members: Sequence[Member]) -> None:
        for member in members:
            member.ask_to_stop()
        if members:
            # At once: who pressed Ctrl-C during an answer shall not wonder whether it was heard.
            self._say("stopping: answers under way have a few seconds to end")
        self._tell_who_is_waited_for(members)
        for member in members:
            member.stop()
            self._say(f"{member.name}: stopped")

    def _tell_who_is_waited_for(self, members: Sequence[Member]) -> None:
        """Return when all have ended, or when the slowest must be stopped by force."""
        asked_at = told_at = time.monotonic()
        while waiting := [member.name for member in members if member.running()]:
            now = time.monotonic()
            if now - asked_at > PATIENT_SECONDS:
                return
            if now - told_at >= TELL_SECONDS:
                told_at = now
                self._say(f"stopping: waiting for {', '.join(waiting)} to end what they are at")
            threading.Event().wait(_LOOK_SECONDS)
