"""SAM's settings and engines in this process, for commands that ask no SAM."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from engines.exceptions import SamError
from engines.long_lived import loading
from samproject.cli.errors import CommandError
from samproject.env import settle_settings_module


@contextmanager
def lend(module: str) -> Iterator[Any]:
    """Lend a module of this room; what is refused while it is lent becomes a CommandError."""
    settle_settings_module()
    try:
        with loading():
            django.setup()
        yield importlib.import_module(f"samproject.cli.trying.{module}")
    except (SamError, ImproperlyConfigured) as error:
        raise CommandError(str(error)) from error
    except OperationalError as error:
        raise CommandError(
            f"The database does not answer: {' '.join(str(error).split())} Start `manage.py up` with "
            "the same SAM_DATA_DIR, or judge a file on this machine: leave out --host and the catalog."
        ) from error
