"""What the shell offers for an argument that is an id: the shell asks at each Tab, so nothing is told of errors."""

from __future__ import annotations

from contextlib import suppress

from engines.runtime_names import list_model_types, list_runtimes
from samproject.cli.errors import CommandError
from samproject.cli.session import Session

OFFERED = 50


def complete_models(incomplete: str) -> list[str]:
    """Return the catalog's ids that begin like this."""
    return _offer("/catalog", "model_id", incomplete)


def complete_plans(incomplete: str) -> list[str]:
    """Return the ids of the newest plans that begin like this."""
    return _offer("/plans", "id", incomplete)


def complete_runtimes(incomplete: str) -> list[str]:
    """Return the runtimes that begin like this."""
    return [name for name in list_runtimes() if name.startswith(incomplete)]


def complete_model_types(incomplete: str) -> list[str]:
    """Return the types of models that begin like this."""
    return [name for name in list_model_types() if name.startswith(incomplete)]


def _offer(path: str, field: str, incomplete: str) -> list[str]:
    # A shell's prompt is no place for a sentence; the command itself tells it.
    with suppress(CommandError):
        rows = Session().api.rows(path, limit=OFFERED)
        return [str(row[field]) for row in rows if str(row[field]).startswith(incomplete)]
    return []
