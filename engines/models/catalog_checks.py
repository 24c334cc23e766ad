"""What a catalog entry may name: one GGUF file in one repository, no path out of anywhere."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

from engines.exceptions import UnsafeNameError
from engines.paths import check_name

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def validate_model_filename(name: str) -> None:
    """Raise Django's ValidationError unless this is a plain relative name of a GGUF file."""
    try:
        check_name(name)
    except UnsafeNameError as error:
        raise ValidationError(str(error)) from error
    if not name.lower().endswith(".gguf"):
        raise ValidationError("SAM runs GGUF files; the name ends in .gguf.")


def validate_repository(name: str) -> None:
    """Raise Django's ValidationError unless this is organisation/name as the Hub writes it."""
    if REPOSITORY.fullmatch(name) is None or ".." in name:
        raise ValidationError("Write the repository as organisation/name.")
