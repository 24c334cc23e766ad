"""Rules of llguidance for one call, in each of the forms that calls have, and for the values in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engines.runtimes.notation.description import HOLE, KEY, CallForm, CallNotation
from engines.runtimes.text.patterns import loosen_patterns
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import (
    choices_of,
    is_text_only,
    kinds_of,
    parameters_of,
    resolve,
)

HOLE_RULE = "/[A-Za-z0-9]{1,9}/"
"""What a model writes as an id or a number of a call."""
Mark = Callable[[str], str]
"""How a mark is named in a grammar: texts, and the control tokens in it."""
NO_ARGUMENTS: Json = {"type": "object", "properties": {}, "additionalProperties": False}
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
        schema = resolve({**shared, **schema}, shared)
        if choices := choices_of(schema):
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


def write_mark(mark: str, name: Mark) -> str:
    """Return a mark as a part of a rule: its texts and control tokens, and ids or numbers between them."""
    return f" {HOLE_RULE} ".join(name(part) for part in mark.split(HOLE) if part)


def write_text_rules(name: str, closing: str) -> list[str]:
    """Rules for any text up to a mark, which is texts or begins with a control token."""
    if closing.startswith('"') and "<[" not in closing:
        return [f"{name}[suffix={closing}]: /(.|\\n)*/"]
    return [f"{name}: {name.upper()} {closing}", f"{name.upper()}: /(.|\\n)*/"]


def schema_of_arguments(function: Json) -> Json:
    """Return the schema of a tool's arguments; a tool without parameters takes none."""
    schema = function.get("parameters")
    if not schema:
        return NO_ARGUMENTS
    is_empty = schema.get("type") == "object" and schema.get("properties") == {}
    if is_empty and not schema.get("additionalProperties"):
        return NO_ARGUMENTS
    return dict(schema)


@dataclass(frozen=True, slots=True)
class CallRules:
    """Writes the rules of calls in one notation, without the marks around each."""

    form: CallNotation
    mark: Mark

    def rules_of(self, name: str, function: Json) -> list[str]:
        """Return the rules of a call of this function; the first is called ``name``."""
        form = self.form.form
        if form is CallForm.OBJECT:
            return [f"{name}: {self._object(function)}"]
        called = json.dumps(str(function["name"]))
        head = f"{called} {write_mark(self.form.after_name, self.mark)}"
        if form is CallForm.NAMED:
            return [f"{name}: {head} {write_json_rule(schema_of_arguments(function))}"]
        if form is CallForm.TAGGED:
            return self._tagged(name, head, function)
        return self._listed(name, head, function)

    @property
    def _is_python(self) -> bool:
        return self.form.form in (CallForm.PYTHON, CallForm.LINES)

    def _object(self, function: Json) -> str:
        called, arguments = (
            json.dumps(function["name"]),
            write_json_rule(schema_of_arguments(function)),
        )
        if not self.form.name_key:
            return f"{json.dumps(f'{{{called}: ')} {arguments} {json.dumps('}')}"
        opened = f'{{"{self.form.name_key}": {called}, "{self.form.arguments_key}": '
        return f"{json.dumps(opened)} {arguments} {json.dumps('}')}"

    def _tagged(self, name: str, head: str, function: Json) -> list[str]:
        required = _required(function)
        parts, rules = [head], []
        for number, (key, schema) in enumerate(_schemas_of(function)):
            part = f"{name}_{number}"
            rules += self._argument(part, key, schema, function)
            parts.append(part if key in required else f"{part}?")
        return [f"{name}: {' '.join(parts)}", *rules]

    def _argument(self, name: str, key: str, schema: Json, function: Json) -> list[str]:
        marks = self.form.argument
        if marks is None:
            return []
        is_text = is_text_only(schema)
        kind = ("true" if is_text else "false") if "string=" in marks.after_key else ""
        kind = kind or ("string" if is_text else "number")
        padding = "\n" if marks.is_padded else ""
        opening = marks.opening + key + marks.after_key.replace(HOLE, kind) + padding
        closing = self.mark(padding + marks.closing.replace(KEY, key))
        head = f"{name}: {self.mark(opening)}"
        choices = choices_of(schema) if is_text else []
        if choices:
            return [f"{head} ({' | '.join(map(json.dumps, choices))}) {closing}"]
        if is_text:
            return [f"{head} {name}_text", *write_text_rules(f"{name}_text", closing)]
        return [f"{head} {write_json_rule({**_definitions(function), **schema})} {closing}"]

    def _listed(self, name: str, head: str, function: Json) -> list[str]:
        """Arguments one after the other with commas, in Python's notation or in Gemma's."""
        is_python = self._is_python
        opening, equals, comma, closing = (
            ("(", "=", ", ", ")") if is_python else ("{", ":", ",", "}")
        )
        required = _required(function)
        parts, rules = [], []
        for number, (key, schema) in enumerate(_schemas_of(function)):
            part = f"{name}_{number}"
            rules += self._listed_value(f"{part}", f"{key}{equals}", schema, function)
            parts.append((part, key in required))
        chain = _chain(name, parts, json.dumps(comma))
        first = f"{name}_list" if parts else ""
        return [
            f"{name}: {head} {json.dumps(opening)} {first} {json.dumps(closing)}",
            *chain,
            *rules,
        ]

    def _listed_value(self, name: str, key: str, schema: Json, function: Json) -> list[str]:
        quote = self.form.quote
        if quote and is_text_only(schema) and not choices_of(schema):
            written = f"{name}: {json.dumps(key)} {self.mark(quote)} {name}_text"
            return [written, *write_text_rules(f"{name}_text", self.mark(quote))]
        shared = _definitions(function)
        values = ValueRules(self._is_python, quote, self.mark)
        return [f"{name}: {json.dumps(key)} ({values.rule_of(schema, shared)})"]


def _chain(name: str, parts: list[tuple[str, bool]], comma: str) -> list[str]:
    """Rules for parts in their order, those that are not required left out or not.

    ``_list`` has not begun yet, ``_rest_N`` follows a part and begins with a comma.
    """
    rules = []
    starts = []
    for number, (part, is_required) in enumerate(parts):
        starts.append(f"{part} {name}_rest_{number + 1}")
        follows = f"{comma} {part}"
        follows = follows if is_required else f"({follows})?"
        rules.append(f"{name}_rest_{number}: {follows} {name}_rest_{number + 1}")
        if is_required:
            break
    else:
        starts.append('""')
    remaining = parts[len(rules) :]
    for number, (part, is_required) in enumerate(remaining, len(rules)):
        follows = f"{comma} {part}" if is_required else f"({comma} {part})?"
        rules.append(f"{name}_rest_{number}: {follows} {name}_rest_{number + 1}")
    return [f"{name}_list: {' | '.join(starts)}", *rules, f'{name}_rest_{len(parts)}: ""']


def _required(function: Json) -> set[str]:
    schema = function.get("parameters") or {}
    given = schema.get("required")
    return {str(key) for key in given} if isinstance(given, list) else set()


def _definitions(function: Json) -> Json:
    """Return what references in a schema may name."""
    whole = function.get("parameters") or {}
    return {key: whole[key] for key in ("$defs", "definitions") if key in whole}


def _schemas_of(function: Json) -> list[tuple[str, Json]]:
    """Return the parameters with their schemas; one that is no object allows anything."""
    found = parameters_of(function).items()
    return [(key, schema if isinstance(schema, dict) else {}) for key, schema in found]
