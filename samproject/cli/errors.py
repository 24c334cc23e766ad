"""How a command ends that cannot do what it was asked."""

from __future__ import annotations


class CommandError(Exception):
    """What is wrong and what to do next, as one sentence or more; exit code 1."""


class RefusedError(CommandError):
    """What a SAM answered instead of doing it; ``code`` names the problem for programs."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class UnreachableError(CommandError):
    """No SAM was there to be asked; the same may be asked again later."""
