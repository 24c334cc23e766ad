"""What the commands that Django runs share: sentences instead of traces, and tables."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import IO, TypeVar, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from engines.exceptions import SamError

PLAIN_WIDTH = 200
"""Columns of output that is no terminal: ids must not be cut."""
DJANGO_OPTIONS = {
    "--version",
    "--verbosity",
    "--settings",
    "--pythonpath",
    "--traceback",
    "--no-color",
    "--force-color",
    "--skip-checks",
}
"""Understood, and of no use to whoever reads the help."""


class SamCommand(BaseCommand, abc.ABC):
    """A command whose errors are sentences, with what commands write."""

    suppressed_base_arguments = {*DJANGO_OPTIONS}

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


Options = TypeVar("Options")


def parse_options(kind: type[Options], options: Mapping[str, object]) -> Options:
    """Return a command's arguments as a dataclass whose fields are named like them."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names})
