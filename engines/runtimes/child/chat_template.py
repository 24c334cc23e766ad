"""A model's chat template, compiled so that nothing of it runs before it is asked to (Jinja, sandboxed).

Jinja computes constant expressions while it compiles: a template of a few bytes took gigabytes there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engines.exceptions import EngineError, InvalidRequestError
from engines.gguf.limits import MAX_TEMPLATE_BYTES
from engines.runtimes.child.template_limits import (
    limit_compilation,
    limit_rendering,
    require_prompt_size,
)

ORDINARY, WITH_TOOLS = "default", "tool_use"
"""Names of templates where a model has several; the others are for uses that SAM has not."""
MAX_BITS = 4096
"""Bits of a number that a template may compute."""
_UNUSED = ("functions", "function_call", "tool_choice")
"""Variables that a template may ask for, and that have no value here."""
_GROWING = frozenset({"append", "pop"})
"""Methods of lists with which templates keep what they have seen; time and memory bound them."""
MAX_LENGTH = 16 * 1024 * 1024
"""Characters or entries of what a template may repeat."""


class _GenerationTag(Extension):
    """``{% generation %}`` of the Hub's templates, which marks text for training and changes nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        parser.stream.skip(1)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    """Computes nothing while compiling, and refuses operators whose result would be without bound."""

    # Jinja never folds an operator that the sandbox looks at, and only these can grow by themselves.
    intercepted_binops = frozenset({"**", "*", "+", "-", "/", "//", "%"})
    intercepted_unops = frozenset({"-", "+"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if type(obj) is list and attr in _GROWING:
            return True
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            _require_small_power(left, right)
        elif operator == "*":
            _require_small_product(left, right)
        return super().call_binop(context, operator, left, right)


class ChatTemplate:
    """Turns messages into a prompt; whoever calls it sets limits of time."""

    def __init__(self, source: str, **tokens: str) -> None:
        """Compile ``source``; ``tokens`` are those that it may write, such as ``bos_token``.

        Raises what Jinja raises where it is no template.
        """
        environment = _Environment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_GenerationTag, loopcontrols],
            optimized=False,
            # A context is needed to write a value, so that none can be written while compiling.
            finalize=pass_context(lambda _context, value: value),
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        self._tokens = tokens
        self._template = environment.from_string(source)

    def render(self, messages: Sequence[Any], tools: Sequence[Any] | None, **variables: Any) -> str:
        """The prompt for these messages, open for an answer; raises what the template raises."""
        usual = {"add_generation_prompt": True, **dict.fromkeys(_UNUSED)}
        return self._template.render(
            messages=messages,
            tools=tools,
            **usual | self._tokens | variables,
        )


class ChatTemplates:
    """The template of a model, or its two: one for messages, one for messages with tools; within limits."""

    def __init__(self, sources: Mapping[str, str], tokens: Mapping[str, str]) -> None:
        """Compile them by their names; EngineError for one that is not valid or too long.

        ``tokens`` are those that they may write.
        """
        used = {name: sources[name] for name in (ORDINARY, WITH_TOOLS) if sources.get(name)}
        self._compiled = {name: _compile(source, tokens) for name, source in used.items()}
        self.source = "\n".join(used.values())

    def __bool__(self) -> bool:
        return bool(self._compiled)

    def render(self, messages: Sequence[Any], tools: Sequence[Any] | None, **variables: Any) -> str:
        """The prompt, open for an answer; InvalidRequestError where the template refuses."""
        template = self._compiled.get(WITH_TOOLS) if tools else None
        template = template or self._compiled.get(ORDINARY)
        if template is None:
            raise InvalidRequestError(
                "This model has no chat template; set the chat format of its family."
            )
        with limit_rendering():
            prompt = template.render(list(messages), tools, **variables)
        return require_prompt_size(prompt)


def _compile(source: str, tokens: Mapping[str, str]) -> ChatTemplate:
    if len(source) > MAX_TEMPLATE_BYTES:
        raise EngineError(
            f"The model's chat template has {len(source)} characters and the limit is "
            f"{MAX_TEMPLATE_BYTES}. Use another model."
        )
    with limit_compilation():
        return ChatTemplate(source, **tokens)


def _require_small_power(base: Any, exponent: Any) -> None:
    numbers = isinstance(base, int) and isinstance(exponent, int)
    if numbers and abs(base).bit_length() * abs(exponent) > MAX_BITS:
        raise SecurityError("it computes a number that is too large")


def _require_small_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_BITS:
            raise SecurityError("it computes a number that is too large")
        return
    for whole, count in ((left, right), (right, left)):
        repeats = isinstance(count, int) and isinstance(whole, (str, bytes, list, tuple))
        if repeats and len(whole) * count > MAX_LENGTH:
            raise SecurityError("it repeats something too often")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - as templates call it
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002 - as templates call it
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _refuse(message: str) -> None:
    raise ValueError(message)


def _now(pattern: str) -> str:
    return datetime.now().strftime(pattern)  # noqa: DTZ005 - the day of the place SAM runs at
