"""How a command ends that cannot do what it was asked."""

from __future__ import annotations


class CommandError(Exception):
    """What is wrong and what to do next, as one sentence or more; exit code 1."""
