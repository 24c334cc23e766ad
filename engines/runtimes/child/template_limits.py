"""Limits on a model's chat template, which is a program from outside (Jinja, sandboxed)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jinja2 import TemplateError

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.child.cpu_time import cpu_limit, interrupted_after
from engines.runtimes.text.printable import make_printable

RENDER_SECONDS = 5.0
KILL_SECONDS = 10
"""CPU time after which the child ends, for a single operation that nothing interrupts."""
LONGEST_PROMPT = 16 * 1024 * 1024
"""Characters; well beyond the longest context in use."""
LONGEST_REASON = 300
NEXT = "Use another model, or set the chat format of its family."

_RAISED_BY_TEMPLATES = (
    TemplateError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    MemoryError,
    RecursionError,
)
"""Jinja does not wrap what expressions raise."""


@contextmanager
def bounded_rendering() -> Iterator[None]:
    """Raise InvalidRequestError when the template in the block fails or costs too much CPU time."""
    too_long = InvalidRequestError(
        f"The model's chat template ran for {RENDER_SECONDS:.0f} s without an end. {NEXT}"
    )
    try:
        with cpu_limit(KILL_SECONDS), interrupted_after(RENDER_SECONDS, too_long):
            yield
    except _RAISED_BY_TEMPLATES as error:
        raise InvalidRequestError(
            f"The model's chat template refuses these messages: {_reason(error)}."
        ) from error


@contextmanager
def bounded_compilation() -> Iterator[None]:
    """Raise EngineError when the template in the block is none."""
    try:
        with cpu_limit(KILL_SECONDS):
            yield
    except (*_RAISED_BY_TEMPLATES, SyntaxError) as error:
        raise EngineError(
            f"The model's chat template is not valid: {_reason(error)}. {NEXT}"
        ) from error


def checked_prompt(prompt: str) -> str:
    """The prompt itself; InvalidRequestError when a template made it absurdly long."""
    if len(prompt) > LONGEST_PROMPT:
        raise InvalidRequestError(
            f"The model's chat template wrote {len(prompt)} characters and the limit is "
            f"{LONGEST_PROMPT}. {NEXT}"
        )
    return prompt


def _reason(error: BaseException) -> str:
    return make_printable(error, LONGEST_REASON).rstrip(".") or type(error).__name__
