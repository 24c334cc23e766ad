"""What an operator lets a host do at once, and how much of it SAM may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from django.core.exceptions import ValidationError

MAX_LIMIT = 2**53 - 1
"""Beyond it a number does not survive every reader of JSON."""


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Each 0 is no limit. What a host is told in ``limits``, by these names."""

    plans: int = 0
    """Steps of plans that run at once."""
    plans_per_person: int = 0
    downloads: int = 0
    """Steps among them that bring model files."""
    downloads_per_person: int = 0
    embedding_threads: int = 0
    """Ranges of texts that are embedded at once."""
    embedding_threads_per_person: int = 0
    memory_bytes: int = 0
    """Of the machine's memory, as if it had no more."""
    disk_bytes: int = 0
    """Of all model files together."""

    def as_row(self) -> dict[str, int]:
        """Return what a host's row keeps: the limits that are set."""
        return {name: value for name, value in asdict(self).items() if value}


LIMIT_NAMES = tuple(field.name for field in fields(HostLimits))


def parse_limits(value: object) -> HostLimits:
    """Return the limits that a row or a request names; ValidationError says what is wrong."""
    if not isinstance(value, Mapping):
        raise ValidationError("Limits are an object of names and whole numbers.")
    for name, number in value.items():
        if name not in LIMIT_NAMES:
            raise ValidationError(
                f"A host has no limit {name!r:.80}; it has {', '.join(LIMIT_NAMES)}."
            )
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_LIMIT:
            raise ValidationError(
                f"The limit {name} is a whole number from 0 (no limit) on, not {number!r:.80}."
            )
    return HostLimits(**value)


def validate_limits(value: object) -> None:
    """Refuse what no host could keep to; a validator of the field."""
    parse_limits(value)
