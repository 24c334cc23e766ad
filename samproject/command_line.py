"""SAM's command line: ``sam`` where the package is installed, ``manage.py`` in the repository."""

from __future__ import annotations

import sys

try:
    from django.core.management import ManagementUtility, get_commands
    from django.core.management.base import BaseCommand
    from django.db import OperationalError

    from migrations_app.local_caller import COMMAND_TYPED_BY, find_machine_user
    from samproject.cli.app import INTERRUPTED, NAMES, run
    from samproject.env import EnvironmentVariableError, settle_settings_module
except ModuleNotFoundError as error:
    # As after a `git pull`: another version of SAM, and the packages of the one before.
    sys.exit(
        f"The Python package {error.name} is missing, so the packages here are not those of this version of SAM: "
        "run `bash deploy/install.sh` in its folder."
    )

DJANGO = "django"
"""`sam django COMMAND` is Django's own command, also where SAM has one of that name."""
OWN_OPTIONS = frozenset({"--help", "-h", "--install-completion", "--show-completion"})


def main() -> None:
    """Run a command of SAM's or of Django's; what stops it ends it with a sentence."""
    asked = sys.argv[1:2]
    if not asked or asked[0] in NAMES | OWN_OPTIONS or asked == ["help"]:
        if asked == ["help"]:
            sys.argv[1:] = [*sys.argv[2:], "--help"]
        run()
        return
    if asked == [DJANGO]:
        sys.argv[1:] = sys.argv[2:]
        _run_django(ManagementUtility(sys.argv))
        return
    try:
        _run_django(_Commands(sys.argv))
    except _UnknownError:
        # Which names it is like is known here.
        run()


class _UnknownError(Exception):
    """Neither Django nor a package has a command of this name."""


class _Commands(ManagementUtility):
    def fetch_command(self, subcommand: str) -> BaseCommand:
        if subcommand not in get_commands():
            raise _UnknownError
        return super().fetch_command(subcommand)


def _run_django(utility: ManagementUtility) -> None:
    settle_settings_module()
    COMMAND_TYPED_BY.set(find_machine_user())
    try:
        utility.execute()
    except KeyboardInterrupt:
        # Whoever pressed Ctrl-C knows why it ends.
        sys.exit(INTERRUPTED)
    except EnvironmentVariableError as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(
            f"The database does not answer: {' '.join(str(error).split())} "
            "Start `manage.py up` with the same SAM_DATA_DIR, or check DATABASE_URL."
        )
