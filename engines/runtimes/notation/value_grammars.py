"""Rules of llguidance for values that are not written as JSON: in Python's notation, and in Gemma's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engines.runtimes.notation.values import kinds_of
from engines.runtimes.text.patterns import loosen_patterns
from engines.runtimes.text.response_format import Json

WHITE_SPACE = r"( |\n {0,16})?"
"""Between two parts of JSON; without a limit a model may write white space for ever."""
_PYTHON_TEXT = r"""/"([^"\\\n]|\\.)*"/ | /'([^'\\\n]|\\.)*'/"""
_LIMITS_OF_TEXTS = ("pattern", "format", "minLength", "maxLength", "const")


def write_json_rule(schema: Json) -> str:
    """A schema as a part of a rule; each is a document of its own, so its references stay inside."""
    loosened = loosen_patterns(schema).schema
    guided = {**loosened, "x-guidance": {"whitespace_pattern": WHITE_SPACE}}
    return f"%json {json.dumps(guided)}"


@dataclass(frozen=True, slots=True)
class ValueRules:
    """Writes rules of values: what the notation writes as JSON does is held to its schema."""

    is_python: bool
    quote: str
    """Around a text, where that is no sign of JSON."""
    mark: Callable[[str], str]

    def rule_of(self, schema: Json, shared: Json) -> str:
        """Return a rule for a value; ``shared`` are definitions that the schema may refer to."""
        choices = schema.get("enum")
        if isinstance(choices, list) and choices:
            return self._either([self._constant(choice) for choice in choices])
        kinds = sorted(kinds_of(schema))
        if not kinds or "object" in kinds:
            return write_json_rule({**shared, **schema})
        return self._either([self._kind(kind, schema, shared) for kind in kinds])

    def _kind(self, kind: str, schema: Json, shared: Json) -> str:
        if kind == "string" and not any(limit in schema for limit in _LIMITS_OF_TEXTS):
            return self._text()
        if kind in ("boolean", "null") and self.is_python:
            return '"None"' if kind == "null" else '"True" | "False"'
        if kind == "array":
            items = schema.get("items")
            one = f"({self.rule_of(items if isinstance(items, dict) else {}, shared)})"
            comma = '", "' if self.is_python else '","'
            return f'"[" ({one} ({comma} {one})*)? "]"'
        return write_json_rule({**shared, **schema, "type": kind})

    def _text(self) -> str:
        if self.is_python:
            return _PYTHON_TEXT
        return f"{self.mark(self.quote)} /[^<]*/ {self.mark(self.quote)}"

    def _constant(self, value: Any) -> str:
        if isinstance(value, str) and not self.is_python:
            return f"{self.mark(self.quote)} {json.dumps(value)} {self.mark(self.quote)}"
        return json.dumps(repr(value) if self.is_python else json.dumps(value))

    def _either(self, rules: list[str]) -> str:
        return " | ".join(rules)
