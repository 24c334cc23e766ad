"""Shows a plan while it runs: one bar a step on a terminal, one line a change elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column

from deploy.demo.errors import DemoError
from deploy.demo.rest import Api

LOOK_SECONDS = 0.25
_FINAL = frozenset({"completed", "failed", "cancelled", "rolled_back"})
_MARKS = {"completed": "✓", "in_progress": "▸", "pending": "·", "cancelled": "-"}
_QUARTERS = 4

Row = dict[str, Any]


class _Screen(Protocol):
    def show(self, steps: list[Row]) -> None: ...


class _Bars:
    """One bar a step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[int, TaskID] = {}

    def show(self, steps: list[Row]) -> None:
        for step in steps:
            number = step["position"]
            if number not in self._tasks:
                self._tasks[number] = self._progress.add_task(step["kind"], total=1.0, line="")
            done = 1.0 if step["status"] == "completed" else step["progress"]
            self._progress.update(self._tasks[number], completed=done, line=_line(step))


class _Lines:
    """A line when a step changes its status or passes another quarter."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[int, tuple[str, int]] = {}

    def show(self, steps: list[Row]) -> None:
        for step in steps:
            state = (step["status"], int(step["progress"] * _QUARTERS))
            if step["status"] != "pending" and self._seen.get(step["position"]) != state:
                self._seen[step["position"]] = state
                done = 1.0 if step["status"] == "completed" else step["progress"]
                self._console.print(f"  {step['kind']:<13}{done:>5.0%}  {_line(step)}")


def follow(console: Console, api: Api, plan_id: str) -> Row:
    """Show a plan to its end and return it as the API tells it; a step that waits is an error."""
    pause = threading.Event()
    with _screen(console) as screen:
        while True:
            plan: Row = api.get(f"plans/{plan_id}")
            screen.show(plan["steps"])
            if plan["status"] in _FINAL:
                return plan
            _refuse_waiting(plan)
            pause.wait(LOOK_SECONDS)


@contextmanager
def _screen(console: Console) -> Iterator[_Screen]:
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("  {task.description:<13}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[line]}", table_column=Column(overflow="ellipsis", no_wrap=True)),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


def _line(step: Row) -> str:
    sentence = step["error"] or step["detail"] or step["status"].replace("_", " ")
    return f"{_MARKS.get(step['status'], '!')} {escape(sentence)}"


def _refuse_waiting(plan: Row) -> None:
    waiting = [step for step in plan["steps"] if step["status"] == "needs_operator"]
    if waiting:
        raise StepWaitsError(f"The step {waiting[0]['kind']} gave up: {waiting[0]['error']}")


class StepWaitsError(DemoError):
    """A step spent its retries and waits for an operator."""

    code = "needs_operator"
