"""Files that people name on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from samproject.cli.errors import CommandError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; CommandError for anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JSON text: {error}.") from error
    if not isinstance(document, dict):
        raise CommandError(f'{path} holds no catalog: it begins with an object with "models".')
    return document
