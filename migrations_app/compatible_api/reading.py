"""What other protocols send, read with its types; what is asked becomes a body of chat completions.

So checking, admission, choice of the engine and everything after it stand where they stand for
``/v1/chat/completions``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from msgspec import Struct

from engines.parsing import UNREADABLE, convert, fault_of
from engines.runtimes.text.response_format import Json
from migrations_app.openai_api.errors import RefusedError, refuse, unknown_field
from migrations_app.openai_api.request_bodies import given_hints
from migrations_app.openai_api.requests import AskedText, Body

Parsed = TypeVar("Parsed", bound=Struct)
_NAMED = re.compile(r"(?P<name>\w+)(?:\[(?P<number>\d+)\])?(?:\.(?P<inner>\w+))?")
"""What a refusal's sentence begins with, and where it says the fault is."""


class Placed(NamedTuple):
    """A message as chat completions take it, and where it stood in what was sent."""

    place: str
    message: Json


class Sent(NamedTuple):
    """What a client of another protocol sent, so that it is told of in its own words."""

    body: Struct
    names: Mapping[str, str]
    """Its names of what chat completions call otherwise."""
    messages: Sequence[Placed] = ()
    tools: Sequence[str] = ()
    """Where each tool stood that is served."""
    left_out: Sequence[str] = ()

    def named(self, text: str) -> str:
        """Return a place, or a sentence that begins with one, as the client knows it."""
        found = _NAMED.match(text)
        if found is None:
            return text
        name, number, inner = found["name"], found["number"], found["inner"]
        places = {"messages": [one.place for one in self.messages], "tools": self.tools}
        listed = places.get(name, ())
        if number is None:
            place = self.names.get(name, name)
        elif int(number) < len(listed):
            place = listed[int(number)]
        else:
            place = f"{self.names.get(name, name)}[{number}]"
        ending = f".{self.names.get(inner, inner)}" if inner else ""
        return f"{place}{ending}{text[found.end() :]}"


def read_sent(read: Callable[[Body], AskedText], chat: Json, sent: Sent) -> AskedText:
    """Return a translated body, checked; what is refused or changes nothing is named as it was sent."""
    try:
        asked = read(chat)
    except RefusedError as error:
        param = error.param and sent.named(error.param)
        raise RefusedError(
            sent.named(str(error)), param=param, status=error.status, code=error.code
        ) from None
    named = [sent.named(name) for name in asked.ignored]
    ignored = (*given_hints(sent.body), *named, *sent.left_out)
    return replace(
        asked, ignored=ignored, switch=sent.named(asked.switch), effort=sent.named(asked.effort)
    )


def read_as(body: Body, kind: type[Parsed]) -> Parsed:
    """Return a body with its types, null being left out; RefusedError names the field at fault."""
    given = {name: value for name, value in body.items() if value is not None}
    if unknown := set(given) - set(kind.__struct_fields__):
        raise unknown_field(unknown)
    try:
        return convert(given, kind)
    except UNREADABLE as error:
        fault = fault_of(error, kind)
        raise RefusedError(f"{fault}.", param=fault.place or None) from None


def given_fields(asked: Struct, names: Mapping[str, str]) -> Json:
    """Return the fields that were sent, under the names that they have in chat completions."""
    values = {ours: getattr(asked, theirs) for theirs, ours in names.items()}
    return {name: value for name, value in values.items() if value is not None}


def read_text(place: str, part: object, kinds: tuple[str, ...]) -> str:
    """Return a part's text, of one of these types; RefusedError for what no engine here can read."""
    if not isinstance(part, Mapping):
        refuse(place, "must be an object with a type")
    kind = part.get("type")
    if kind not in kinds:
        refuse(
            place,
            f"is of type {kind!r:.60}, and the engines here read text only; send text instead",
        )
    name = "refusal" if kind == "refusal" else "text"
    text = part.get(name)
    if not isinstance(text, str):
        refuse(f"{place}.{name}", "must be a text")
    return text


def read_texts(place: str, content: object, kinds: tuple[str, ...]) -> list[Json]:
    """Return content, a text or a list of parts, as parts of a chat's message."""
    if content is None:
        return []
    if isinstance(content, str):
        return [text_part(content)] if content else []
    if not isinstance(content, list):
        refuse(place, "must be a text or a list of parts")
    return [
        text_part(read_text(f"{place}[{number}]", part, kinds))
        for number, part in enumerate(content)
    ]


def text_part(text: str) -> Json:
    """Return a text as a part of a chat's message."""
    return {"type": "text", "text": text}


def read_field(place: str, part: Mapping[str, object], name: str) -> str:
    """Return a field that must be a text with something in it."""
    value = part.get(name)
    if not isinstance(value, str) or not value:
        refuse(f"{place}.{name}", "must be a text that is not empty")
    return value


def function_call(call_id: str | None, name: str, arguments: str) -> Json:
    """Return a call as a chat's message holds it."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def arguments_text(given: object) -> str:
    """Return a call's arguments as the text that a chat's message holds; some programs keep them as an object."""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def function_tool(name: object, description: object, parameters: object, strict: object) -> Json:
    """Return a tool as chat completions take it; what is None is left out."""
    fields = {
        "name": name,
        "description": description,
        "parameters": parameters,
        "strict": strict,
    }
    return {
        "type": "function",
        "function": {key: value for key, value in fields.items() if value is not None},
    }


def schema_form(name: str, schema: object) -> Json:
    """Return the response format that holds an answer to a schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
