"""A process of a benchmark's own that answers one line of JSON with another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process said, and the processor seconds of all processes below this one meanwhile."""

    content: dict[str, Any]
    cpu_seconds: float


class LineProcess:
    """``python -m module arguments``, alive inside the ``with``."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, **(variables or {})},
        )

    def __enter__(self) -> LineProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closing its input ends the process."""
        self._process.communicate(timeout=60)

    def ask(self, question: dict[str, Any]) -> Answer:
        """Raises RuntimeError when the process has ended instead of answering."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        before = _cpu_seconds_below()
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended; its last words are above.")
        return Answer(json.loads(line), _cpu_seconds_below() - before)


def _cpu_seconds_below() -> float:
    """Of living processes and of those that they have outlived: PostgreSQL's sessions come and go."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
