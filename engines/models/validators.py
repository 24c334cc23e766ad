"""What the fields of a catalog entry may hold: no path out of anywhere, no key in an address.

Patterns only: database migrations import this file, and must not need an engine for it.
"""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

from engines.addresses import parse_endpoint
from engines.exceptions import InvalidRequestError, UnsafeNameError
from engines.files.names import check_name
from engines.specs import MAX_GPUS

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
POOLINGS = ("mean", "cls", "last")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:,-]{0,63}")
RUNTIME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
MAX_ENDPOINT_LENGTH = 500


def validate_model_filename(name: str) -> None:
    """Raise Django's ValidationError unless this is a plain relative name of a GGUF file."""
    validate_folder(name)
    if not name.lower().endswith(".gguf"):
        raise ValidationError("SAM fetches GGUF files; the name ends in .gguf.")


def validate_folder(name: str) -> None:
    """Raise Django's ValidationError unless this is a plain relative name."""
    try:
        check_name(name)
    except UnsafeNameError as error:
        raise ValidationError(str(error)) from error


def validate_repository(name: str) -> None:
    """Raise Django's ValidationError unless this is organisation/name as the Hub writes it."""
    if REPOSITORY.fullmatch(name) is None or ".." in name:
        raise ValidationError("Write the repository as organisation/name.")


def validate_runtime(name: str) -> None:
    """Raise Django's ValidationError unless this can be a runtime's name.

    Whether there is such a runtime is for ``services.catalog.validation`` to say.
    """
    if RUNTIME.fullmatch(name) is None:
        raise ValidationError("Write a runtime's name, like llama_cpp.")


def validate_endpoint(address: str) -> None:
    """Raise Django's ValidationError unless this is a plain HTTP(S) address without credentials."""
    try:
        parse_endpoint(address)
    except InvalidRequestError as error:
        raise ValidationError(str(error)) from error
    if not address.isprintable() or " " in address:
        raise ValidationError("An address has no spaces.")


def validate_remote_name(name: str) -> None:
    """Raise Django's ValidationError for characters that cannot be seen."""
    if not name.isprintable() or name != name.strip():
        raise ValidationError("Write the name exactly as the server lists it.")


def validate_pooling(name: str) -> None:
    """Raise Django's ValidationError, with the known names, unless this is a pooling."""
    if name not in POOLINGS:
        raise ValidationError(
            f"There is no pooling {name!r}; known are {', '.join(POOLINGS)}, and empty for the "
            "model's own."
        )


def validate_device(name: str) -> None:
    """Raise Django's ValidationError unless this can name devices."""
    if DEVICE.fullmatch(name) is None:
        raise ValidationError(
            "Write auto, cpu, gpu, or devices as the runtime lists them, like CUDA0,CUDA1."
        )


def validate_tensor_split(shares: object) -> None:
    """Raise Django's ValidationError unless this is a list of each GPU's share."""
    listed = shares if isinstance(shares, list) and len(shares) <= MAX_GPUS else [None]
    if any(type(share) not in (int, float) for share in listed):
        raise ValidationError("Write a list with each GPU's share, like [1, 1], or an empty one.")
