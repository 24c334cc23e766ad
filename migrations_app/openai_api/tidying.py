"""Bodies as programs write them, brought into the one form that is checked afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from engines.runtimes.text.generation import RANDOM_SEED
from engines.runtimes.text.patterns import loosen_patterns, without_nulls
from engines.runtimes.text.response_format import Json, is_shallow, make_name
from migrations_app.openai_api.errors import refuse

Tool = TypeVar("Tool")

WITH_KNOWLEDGE = "+knowledge"
"""At the end of a model's name: answers stand on the person's knowledge, for clients that send no other field."""
NO_LIMIT = (-1, -2)
"""What llama.cpp's and Ollama's clients say for as many tokens as fit."""
DEFAULTS_ELSEWHERE: dict[str, tuple[int, ...]] = {
    "max_tokens": NO_LIMIT,
    "max_completion_tokens": NO_LIMIT,
    "top_k": (-1,),
    "seed": (-1, RANDOM_SEED),
}
"""Numbers that ask other servers for what nothing at all asks for here."""
OTHER_NAMES = {"random_seed": "seed", "n_predict": "max_tokens"}
"""What Mistral's and llama.cpp's clients call them."""
WORDS_OF_CHOICE = {"auto": "auto", "none": "none", "any": "required", "required": "required"}
"""Which tools may be called, as programs for Anthropic write it in an object; ``any`` is Mistral's word too."""
MAX_NAME = 64
_KIND = re.compile(r"[a-z0-9_:.-]{1,64}")
"""Kinds as providers name them (``openrouter:web_search``); what is left out is named in a header."""
_DAY = re.compile(r"_(?:\d{8}|\d{4}_\d\d_\d\d)$")
"""At the end of a kind of tool: from when on it is as it is."""


class TidyBody(NamedTuple):
    """A body in our form, and what of it changes nothing here."""

    fields: Json
    ignored: list[str]


def tidy_text(body: Mapping[str, object]) -> TidyBody:
    """Return a body of either endpoint for text under our names, without what means nothing."""
    fields = {name: _without_null_fields(value) for name, value in body.items()}
    for theirs, ours in OTHER_NAMES.items():
        value = fields.pop(theirs, None)
        if fields.get(ours) is None and value is not None:
            fields[ours] = value
    for name, values in DEFAULTS_ELSEWHERE.items():
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value in values:
            # Without a restriction, as every token is drawn from.
            fields[name] = 0 if name == "top_k" else None
    return TidyBody(fields, [])


def tidy_chat(body: Mapping[str, object]) -> TidyBody:
    """Return a body of chat completions in the form that is checked."""
    fields, ignored = tidy_text(body)
    if isinstance(tools := fields.get("tools"), list):
        numbered, left_out = numbered_tools(tools, _kind_of)
        fields["tools"] = [_tidy_tool(tool, ignored) for _, tool in numbered]
        ignored += left_out
    _tidy_choice(fields)
    fields["response_format"] = _tidy_format(fields.get("response_format"), ignored)
    return TidyBody(fields, ignored)


def _without_null_fields(value: Any) -> Any:
    """Return what was sent in a field, of an object without what is null in it."""
    if not isinstance(value, Mapping):
        return value
    return {name: inner for name, inner in value.items() if inner is not None}


def provider_kind(kind: object, schema: object, plain: str) -> str | None:
    """Return of which kind a tool is that only its provider knows, without its day; None for every other.

    Such a tool has no schema of its own: what it takes is known where it runs.
    """
    if kind == plain or schema is not None or not is_kind(kind):
        return None
    return _DAY.sub("", str(kind))


def openai_kind(tool: Mapping[str, Any]) -> str | None:
    """Return the same of a tool as OpenAI's clients send it."""
    return provider_kind(tool.get("type"), tool.get("function", tool.get("parameters")), "function")


def _kind_of(tool: object) -> str | None:
    return openai_kind(tool) if isinstance(tool, Mapping) else None


def is_kind(given: object) -> bool:
    """Whether a type is one that a provider could have named so."""
    return isinstance(given, str) and _KIND.fullmatch(given) is not None


def numbered_tools(
    tools: Sequence[Tool], kind_of: Callable[[Tool], str | None]
) -> tuple[list[tuple[int, Tool]], list[str]]:
    """Return the tools to serve with their places, and what of the list is left out.

    Tools that only their provider knows, whose kind is told, are left out where others remain: programs send
    them unasked beside those that they need. Alone they are what is asked for, and stay to be refused.
    """
    numbered = list(enumerate(tools))
    kept = [(number, tool) for number, tool in numbered if kind_of(tool) is None]
    if not kept:
        return numbered, []
    kinds = {kind for tool in tools if (kind := kind_of(tool)) is not None}
    return kept, [f"tools.{kind}" for kind in sorted(kinds)]


def split_name(name: object) -> tuple[object, bool]:
    """Return a model's name without what asks for knowledge, and whether that was there."""
    if isinstance(name, str) and name.endswith(WITH_KNOWLEDGE):
        return name.removesuffix(WITH_KNOWLEDGE), True
    return name, False


def _tidy_tool(tool: Any, ignored: list[str]) -> Any:
    if not isinstance(tool, Mapping):
        return tool
    tidy = _without_null_fields(tool)
    if "function" not in tidy and "name" in tidy and tidy.get("type", "function") == "function":
        # As /v1/responses takes it.
        tidy = {"function": {name: value for name, value in tidy.items() if name != "type"}}
    if isinstance(tidy.get("function"), Mapping):
        function = _without_null_fields(tidy["function"])
        tidy = {"type": "function", **tidy, "function": function}
        if "parameters" in function:
            function["parameters"] = without_nulls(function["parameters"])
    for part in (tidy, tidy.get("function")):
        if isinstance(part, dict) and part.pop("cache_control", None) is not None:
            ignored += [name for name in ["tools.cache_control"] if name not in ignored]
    return tidy


def _tidy_choice(fields: Json) -> None:
    """Bring the choice of tools into one form; where only some are allowed, the others are left out."""
    choice = fields.get("tool_choice")
    if choice == "any":
        fields["tool_choice"] = WORDS_OF_CHOICE[choice]
    if not isinstance(choice, Mapping):
        return
    if isinstance(word := choice.get("type"), str) and word in WORDS_OF_CHOICE:
        fields["tool_choice"] = WORDS_OF_CHOICE[word]
    if choice.get("type") in ("function", "tool") and "function" not in choice:
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        _allow_some(fields, allowed if isinstance(allowed, Mapping) else {})


def _allow_some(fields: Json, allowed: Mapping[str, Any]) -> None:
    listed, tools = allowed.get("tools"), fields.get("tools")
    # What is left out of the tools may be left out here as well.
    served = numbered_tools(listed, _kind_of)[0] if isinstance(listed, list) else []
    names = [_name_of(tool) for _, tool in served]
    kept = [tool for tool in tools if _name_of(tool) in names] if isinstance(tools, list) else []
    if not kept or len(kept) < len(names) or None in names:
        refuse("tool_choice", "must allow tools that are in tools, each by its name")
    fields["tools"], fields["tool_choice"] = kept, allowed.get("mode", "auto")


def _name_of(tool: object) -> object:
    """Return a tool's name, in whichever form it was sent."""
    if not isinstance(tool, Mapping):
        return None
    function = tool.get("function")
    return function.get("name") if isinstance(function, Mapping) else tool.get("name")


def _tidy_format(given: Any, ignored: list[str]) -> Any:
    """Return a format in OpenAI's form: llama.cpp's servers and ``/v1/responses`` take a schema beside the type."""
    if not isinstance(given, Mapping):
        return given
    named, kind = given.get("json_schema"), given.get("type")
    if "schema" in given and kind in ("json_object", "json_schema") and named is None:
        named = {key: value for key, value in given.items() if key != "type"}
        given = {"type": kind}
    if not isinstance(named, Mapping):
        return given
    named = {"name": "answer", **_without_null_fields(named)}
    if isinstance(named["name"], str):
        named["name"] = make_name(named["name"], MAX_NAME)
    if "schema" in named:
        named["schema"] = without_nulls(named["schema"])
        _name_loosened(named["schema"], ignored)
    return {**given, "type": "json_schema", "json_schema": named}


def _name_loosened(schema: object, ignored: list[str]) -> None:
    """Say that patterns are not held which look ahead or back: no grammar can."""
    if isinstance(schema, dict) and is_shallow(schema) and loosen_patterns(schema).places:
        ignored.append("response_format.pattern")
