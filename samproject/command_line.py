"""SAM's command line: ``sam`` where the package is installed, ``manage.py`` in the repository."""

from __future__ import annotations

import sys
import textwrap

from django.core.management import ManagementUtility, get_commands, load_command_class
from django.db import OperationalError

from samproject.env import EnvironmentVariableError, settle_settings_module

OURS = frozenset({"samproject", "migrations_app"})
"""The applications whose commands are SAM's own."""

WIDTH = 100


class _CommandLine(ManagementUtility):
    """Django's, except that its help begins with what people come for."""

    def main_help_text(self, commands_only: bool = False) -> str:  # noqa: FBT001, FBT002 - Django's
        if commands_only:
            return super().main_help_text(commands_only)
        apps = get_commands()
        own = sorted(name for name, app in apps.items() if app in OURS)
        rows = [_row(name, load_command_class(apps[name], name).help) for name in own]
        others = f"Django's: {', '.join(sorted(set(apps) - set(own)))}."
        return "\n".join(
            [
                f"Type '{self.prog_name} help <command>' for help on a specific command.",
                "",
                "SAM's commands:",
                "",
                *rows,
                "",
                textwrap.fill(others, WIDTH),
            ]
        )


def _row(name: str, what: str) -> str:
    return textwrap.fill(f"{name:<11} {what}", WIDTH, subsequent_indent=" " * 12)


def main() -> None:
    """Run a management command; a wrong setting or a missing database ends it with a sentence."""
    settle_settings_module()
    try:
        _CommandLine(sys.argv).execute()
    except EnvironmentVariableError as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(
            f"The database does not answer: {' '.join(str(error).split())} "
            "Start `manage.py up` with the same SAM_DATA_DIR, or check DATABASE_URL."
        )
