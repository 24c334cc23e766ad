"""What the commands share: people by name, sentences instead of traces, tables and progress bars."""

from __future__ import annotations

import abc
import inspect
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from threading import Event
from typing import IO, TypeVar, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from engines.exceptions import SamError
from migrations_app.models import Plan
from migrations_app.serving.progress import read_progress
from migrations_app.states import PLAN_FINAL, PlanStatus, StepStatus

POLL_SECONDS = 0.5
PLAIN_WIDTH = 200
"""Columns of output that is no terminal: ids must not be cut."""


class SamCommand(BaseCommand, abc.ABC):
    """A command whose errors are sentences, with what commands write."""

    def handle(self, *args: object, **options: object) -> None:
        try:
            self.run(options)
        except SamError as error:
            raise CommandError(str(error)) from error

    @abc.abstractmethod
    def run(self, options: Mapping[str, object]) -> None:
        """Do it; a SamError becomes the command's last words."""

    def say(self, sentence: str) -> None:
        """Write one line."""
        self.stdout.write(sentence)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table."""
        table = Table(*columns)
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row))
        self.console().print(table)

    def console(self) -> Console:
        """Return a rich console on this command's output, so that tests can read it."""
        width = None if self.stdout.isatty() else PLAIN_WIDTH
        return Console(file=cast("IO[str]", self.stdout._out), width=width)

    def follow(self, plan_id: UUID | str) -> Plan:
        """Show a plan's progress until it ends or waits for an operator; CommandError if it failed."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console()) as progress:
            bar = progress.add_task("waiting", total=100.0, pace="")
            plan = Plan.objects.get(pk=plan_id)
            while not is_at_rest(plan):
                Event().wait(POLL_SECONDS)
                plan.refresh_from_db()
                done, what = position(plan)
                told = read_progress([plan.pk]).get(str(plan.pk))
                pace = told.pace if told and told.step == plan.current_step else ""
                progress.update(bar, completed=done, description=what, pace=pace)
        return require_finished(plan)


class ActionCommand(SamCommand):
    """A command with one method for each of its actions, named ``do_<action>``.

    The method is given the arguments that it names; one called ``options`` is all of them.
    """

    actions_help: dict[str, str]

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, text in self.actions_help.items():
            action = actions.add_parser(name, help=text, description=text)
            getattr(self, f"arguments_{_method(name)}", _no_arguments)(action)

    def run(self, options: Mapping[str, object]) -> None:
        act = getattr(self, f"do_{_method(str(options['action']))}")
        given = {**options, "options": options}
        act(**{name: given[name] for name in inspect.signature(act).parameters})


Options = TypeVar("Options")


def parse_options(kind: type[Options], options: Mapping[str, object]) -> Options:
    """Return a command's arguments as a dataclass whose fields are named like them."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names})


def _no_arguments(parser: CommandParser) -> None:
    """An action may need none."""


def _method(action: str) -> str:
    return action.replace("-", "_")


def person(name: str) -> User:
    """Return the user of this name, for ``add_argument(type=person)``.

    ArgumentTypeError, which argparse tells as a sentence: Django shows what else is raised while
    arguments are read as a trace.
    """
    user = User.objects.filter(username=name).first()
    if user is None:
        raise ArgumentTypeError(f"there is no user {name!r}; people are created in the admin.")
    return user


def is_at_rest(plan: Plan) -> bool:
    """Whether nothing moves the plan on by itself any more."""
    waits = plan.steps.filter(status=StepStatus.NEEDS_OPERATOR).exists()
    return waits or plan.status in PLAN_FINAL


def position(plan: Plan) -> tuple[float, str]:
    """Return how far the plan is (0 to 100) and what it does now, from its steps."""
    steps = list(plan.steps.order_by("position"))
    done = sum(1.0 if s.status == StepStatus.COMPLETED else s.progress for s in steps)
    current = next((s for s in steps if s.status == StepStatus.IN_PROGRESS), None)
    what = f"{current.kind}: {current.detail}".rstrip(": ") if current else plan.current_step
    return 100.0 * done / max(len(steps), 1), what or str(plan.status)


def require_finished(plan: Plan) -> Plan:
    """Raise CommandError unless the plan was completed; what to do next is named."""
    if plan.status in (PlanStatus.COMPLETED, PlanStatus.ROLLED_BACK):
        return plan
    waiting = plan.steps.filter(status=StepStatus.NEEDS_OPERATOR).first()
    if waiting is not None:
        raise CommandError(
            f"The step {waiting.kind} waits for an operator: {waiting.error} "
            f"Run `manage.py plan retry {plan.pk}` or `manage.py plan abandon {plan.pk}`."
        )
    raise CommandError(f"The plan is {plan.status}. {plan.error_message}".strip())
