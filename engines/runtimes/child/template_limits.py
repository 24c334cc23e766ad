"""Limits on a model's chat template, which is a program from outside (Jinja, sandboxed)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jinja2 import TemplateError

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.child.cpu_time import cpu_limit, interrupt_after
from engines.runtimes.text.printable import make_printable

RENDER_SECONDS = 5.0
KILL_SECONDS = 10
"""CPU time after which the child is ended: a long operation inside C code cannot be interrupted."""
MAX_RENDERED_CHARS = 16 * 1024 * 1024
"""Characters; far beyond the longest context in use."""
MAX_REASON_CHARS = 300
ADVICE = "Use another model, or set the chat format of its family."

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
def limit_rendering() -> Iterator[None]:
    """Raise InvalidRequestError when the template in the block fails or costs too much CPU time."""
    too_long = InvalidRequestError(
        f"The model's chat template did not finish within {RENDER_SECONDS:.0f} s. {ADVICE}"
    )
    try:
        with cpu_limit(KILL_SECONDS), interrupt_after(RENDER_SECONDS, too_long):
            yield
    except _RAISED_BY_TEMPLATES as error:
        raise InvalidRequestError(
            f"The model's chat template refuses these messages: {_reason(error)}."
        ) from error


@contextmanager
def limit_compilation() -> Iterator[None]:
    """Raise EngineError when the template in the block is not valid."""
    try:
        with cpu_limit(KILL_SECONDS):
            yield
    except (*_RAISED_BY_TEMPLATES, SyntaxError) as error:
        raise EngineError(
            f"The model's chat template is not valid: {_reason(error)}. {ADVICE}"
        ) from error


def require_prompt_size(prompt: str) -> str:
    """Return the prompt; InvalidRequestError when a template made it absurdly long."""
    if len(prompt) > MAX_RENDERED_CHARS:
        raise InvalidRequestError(
            f"The model's chat template wrote {len(prompt)} characters and the limit is "
            f"{MAX_RENDERED_CHARS}. {ADVICE}"
        )
    return prompt


def _reason(error: BaseException) -> str:
    return make_printable(error, MAX_REASON_CHARS).rstrip(".") or type(error).__name__
