"""The small JSON files that lie beside a model's weights in a folder of the Hub's kind."""

from __future__ import annotations

import json
from pathlib import Path

from engines.exceptions import ArtifactMissingError, UnsafeModelFileError
from engines.files.durable import open_regular
from engines.runtimes.text.response_format import Json

CONFIG = "config.json"
MAX_CONFIG_BYTES = 1024 * 1024


def read_config(path: Path) -> Json:
    """Return a model's ``config.json``, or another such file; UnsafeModelFileError when it is not a JSON object."""
    config = _load(path)
    if not isinstance(config, dict):
        raise UnsafeModelFileError(f"The {path.name} of {path.parent.name} cannot be read.")
    return config


def read_list(path: Path) -> list[Json]:
    """Return a file that lists JSON objects; UnsafeModelFileError when it is not such a one."""
    found = _load(path)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UnsafeModelFileError(f"The {path.name} of {path.parent.name} cannot be read.")
    return found


def _load(path: Path) -> object:
    # Bounded: the file comes from outside, and this runs in the worker, not in the sandbox. Resolved: it may
    # be a link, as in the Hub's cache, and links are not opened.
    try:
        with open_regular(path.resolve()) as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ArtifactMissingError(
            f"{path.name} of {path.parent.name} cannot be read ({error.strerror})."
        ) from error
    try:
        return json.loads(text) if len(text) <= MAX_CONFIG_BYTES else None
    except (ValueError, RecursionError):
        return None
