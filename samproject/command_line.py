"""SAM's command line: ``sam`` where the package is installed, ``manage.py`` in the repository."""

from __future__ import annotations

import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

from samproject.env import EnvironmentVariableError, settle_settings_module


def main() -> None:
    """Run a management command; a wrong setting or a missing database ends it with a sentence."""
    settle_settings_module()
    try:
        execute_from_command_line(sys.argv)
    except EnvironmentVariableError as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(
            f"The database does not answer: {' '.join(str(error).split())} "
            "Start `manage.py up` with the same SAM_DATA_DIR, or check DATABASE_URL."
        )
