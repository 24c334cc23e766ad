"""Bodies for the doors of programs, made of valid ones by changes that know what a body consists of."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

from tests.attacks.valid_bodies import Door, Json

Place = tuple[str | int, ...]

HALF, OTHER_HALF = "\ud83d", "\ude00"
TEXTS = (
    *("", " ", "\n", "a\x00b", HALF, OTHER_HALF, f"a{HALF}b", f"{OTHER_HALF}{HALF}"),
    *(
        "\ufeff",
        "\u202e",
        "é" * 300,
        "x" * 20_000,
        "<|im_end|>",
        "[INST]",
        "{}",
        "[",
        "null",
        "NaN",
    ),
    *("sam", "auto", "none", "required", "tool", "assistant", "text", "json_object", "1e309"),
    *("..", "/", "'; --", "%s", "{{ 7*7 }}", "\\u0000", "data:image/png;base64,AAAA", "^(?=a)*$"),
)
NUMBERS = (
    *(0, 1, -1, 2, 0.1, -0.0, 1e-300, 1e308, 1.5, 2**31 - 1, 2**31, 2**53 + 1, 2**63, -(2**63)),
    *(2**64, 10**30, -(10**30)),
)
PLAIN: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    [None],
    {"": None},
    {"a": {"b": [1]}},
)
ROLES = ("system", "developer", "user", "assistant", "tool", "function", "critic", "")
TYPES = (
    *(
        "text",
        "image_url",
        "input_audio",
        "refusal",
        "function",
        "tool_use",
        "tool_result",
        "thinking",
    ),
    *("redacted_thinking", "image", "document", "reasoning", "message", "function_call", "custom"),
    *("json_schema", "json_object", "object", "array", "string", "null", "web_search", ""),
)
FIELDS = (
    *("stream", "tools", "n", "logprobs", "stop", "max_tokens", "extra", "response_format", "echo"),
    *(
        "temperature",
        "messages",
        "prompt",
        "input",
        "cache_control",
        "name",
        "type",
        "$ref",
        "enum",
    ),
    *(
        "function",
        "id",
        "content",
        "tool_calls",
        "parameters",
        "__proto__",
        "Model",
        "maxtokens",
        "\ud83d",
    ),
)
LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict"})
"""Of an answer's length: a valid one without bound would only keep the engine busy."""
DEEPEST = 400


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Yield the way to every value inside a body, without the body itself."""
    if isinstance(value, dict):
        steps: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    else:
        return
    for step, inner in steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


def make_body(door: Door, draw: Random) -> bytes:
    """Return a body for a door: a valid one with one to four changes, seldom none, seldom cut as a text."""
    body = copy.deepcopy(draw.choice(door.valid))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        draw.choice(CHANGES)(body, draw)
    # As ASCII, so that half a character can be sent at all.
    text = json.dumps(body).encode()
    return draw.choice(SPOILS)(text, draw) if draw.random() < SPOILED else text


def _parent(body: Json, draw: Random) -> tuple[Any, Any]:
    """A value inside a body, as what holds it and its name or number there."""
    place = draw.choice(list(places(body)) or [("model",)])
    inner: Any = body
    for step in place[:-1]:
        inner = inner[step]
    return inner, place[-1]


def _value(draw: Random, name: Any, old: Any) -> Any:
    if name == "role" and draw.random() < 0.7:
        return draw.choice(ROLES)
    if name == "type" and draw.random() < 0.7:
        return draw.choice(TYPES)
    if draw.random() < 0.5:
        same = {str: TEXTS, int: NUMBERS, float: NUMBERS, bool: (True, False)}.get(type(old), PLAIN)
        return draw.choice(same)
    return draw.choice(draw.choice((TEXTS, NUMBERS, PLAIN)))


def _replace(body: Json, draw: Random) -> None:
    holder, name = _parent(body, draw)
    value = _value(draw, name, holder[name] if name in holder or isinstance(name, int) else None)
    holder[name] = copy.deepcopy(value)


def _remove(body: Json, draw: Random) -> None:
    holder, name = _parent(body, draw)
    if name not in LIMITS and (isinstance(name, int) or name in holder):
        del holder[name]


def _add(body: Json, draw: Random) -> None:
    holder, _ = _parent(body, draw)
    if isinstance(holder, dict):
        name = draw.choice(FIELDS)
        holder[name] = copy.deepcopy(_value(draw, name, None))
    else:
        holder.insert(draw.randrange(len(holder) + 1), copy.deepcopy(_value(draw, 0, "")))


def _repeat(body: Json, draw: Random) -> None:
    holder, name = _parent(body, draw)
    if isinstance(holder, list) and len(holder) < 64:
        # What nests deeper than Python copies is already more than any door takes.
        with suppress(RecursionError):
            holder += [copy.deepcopy(holder[name]) for _ in range(draw.choice((1, 2, 9)))]


def _shuffle(body: Json, draw: Random) -> None:
    holder, _ = _parent(body, draw)
    if isinstance(holder, list):
        draw.shuffle(holder)


def _swap(body: Json, draw: Random) -> None:
    """Put one value of the body where another is."""
    (holder, name), (other, inner) = _parent(body, draw), _parent(body, draw)
    if isinstance(inner, int) or inner in other:
        holder[name] = copy.deepcopy(other[inner])


def _nest(body: Json, draw: Random) -> None:
    holder, name = _parent(body, draw)
    depth = draw.choice((2, 20, 99, DEEPEST))
    value: Any = holder[name] if isinstance(name, int) or name in holder else None
    for _ in range(depth):
        value = (
            [value] if draw.random() < 0.5 else {draw.choice(("items", "properties", "a")): value}
        )
    holder[name] = value


def _break_text(body: Json, draw: Random) -> None:
    """Write something into a text, or cut it."""
    holder, name = _parent(body, draw)
    old = holder[name] if isinstance(name, int) or name in holder else None
    if isinstance(old, str):
        at = draw.randrange(len(old) + 1)
        holder[name] = old[:at] + draw.choice((*TEXTS, "")) + draw.choice((old[at:], ""))


Change = Callable[[Json, Random], None]
CHANGES: tuple[Change, ...] = (
    *(_replace, _replace, _replace, _remove, _add, _add),
    *(_repeat, _shuffle, _swap, _nest, _break_text, _break_text),
)

SPOILED = 0.06
Spoil = Callable[[bytes, Random], bytes]
SPOILS: tuple[Spoil, ...] = (
    lambda text, draw: text[: draw.randrange(len(text))],
    lambda text, draw: text.replace(b'"', b'"\xff', 1),
    lambda text, draw: text.replace(b": ", b": NaN, ", 1),
    lambda text, draw: text[:-1] + b', "model": "sam", "model": 1}',
    lambda text, draw: b"[" + text + b"]",
    lambda text, draw: b"[" * 5_000 + text + b"]" * 5_000,
    lambda text, draw: b"\xef\xbb\xbf" + text,
    lambda text, draw: text.decode().encode("utf-16"),
    lambda text, draw: bytes(draw.randrange(256) for _ in range(64)),
    lambda text, draw: b"",
)
