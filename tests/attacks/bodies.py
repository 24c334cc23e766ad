"""Bodies for the doors of programs, made of valid ones by changes that know what a body consists of."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

Json = dict[str, Any]
Place = tuple[str | int, ...]

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "pattern": "^[A-Z]"},
        "days": {"type": "integer", "minimum": 1},
        "near": {"type": "array", "items": {"type": "string"}},
        "kind": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/kind"}]},
    },
    "$defs": {"kind": {"enum": ["a", "b"]}},
    "required": ["city"],
}
FUNCTION = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Graz"}'},
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
HISTORY: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "Oh."}]},
    {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
    {"role": "tool", "content": "Rain.", "tool_call_id": "call_1"},
]
SAMPLING: Json = {
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "seed": 7,
    "stop": ["x", "y"],
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "repeat_penalty": 1.1,
}
SAID: Json = {"model": "sam", "max_tokens": 4}
ASKED: list[Json] = [{"role": "user", "content": "Hi."}]
BLOCKS: list[Json] = [
    {"role": "user", "content": [{"type": "text", "text": "Hi."}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Graz"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "Rain.", "is_error": False}
        ],
    },
]
ITEMS: list[Json] = [
    {"role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
    {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "Hm."}]},
    {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
]


class Door(NamedTuple):
    """An address with valid bodies for it."""

    path: str
    protocol: str
    """Whose form its refusals have: ``openai``, ``anthropic`` or ``ollama``."""
    valid: tuple[Json, ...]


DOORS = (
    Door(
        "/v1/chat/completions",
        "openai",
        (
            {**SAID, "messages": ASKED, **SAMPLING},
            {**SAID, "messages": HISTORY, "tools": [TOOL], "tool_choice": "auto"},
            {**SAID, "messages": ASKED, "response_format": FORM, "stream": True},
            {
                **SAID,
                "messages": ASKED,
                "stream": True,
                "stream_options": {"include_usage": True},
                "chat_template_kwargs": {"enable_thinking": False},
                "reasoning": {"effort": "low"},
                "knowledge": {"k": 1},
            },
        ),
    ),
    Door(
        "/v1/completions",
        "openai",
        ({**SAID, "prompt": "Hi", **SAMPLING}, {**SAID, "prompt": ["Hi"], "stream": True}),
    ),
    Door(
        "/v1/embeddings",
        "openai",
        (
            {"model": "sam", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8},
            {"model": "sam", "input": [[1, 2, 3], [4]]},
        ),
    ),
    Door(
        "/v1/responses",
        "openai",
        (
            {"model": "sam", "input": "Hi.", "max_output_tokens": 16, "temperature": 0.5},
            {
                "model": "sam",
                "input": ITEMS,
                "instructions": "Be brief.",
                "max_output_tokens": 16,
                "tools": [{"type": "function", "strict": True, **FUNCTION}],
                "reasoning": {"effort": "low"},
                "stream": True,
            },
            {
                "model": "sam",
                "input": "Hi.",
                "max_output_tokens": 16,
                "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
            },
        ),
    ),
    Door(
        "/v1/messages",
        "anthropic",
        (
            {**SAID, "messages": ASKED, "system": [{"type": "text", "text": "Be brief."}]},
            {
                **SAID,
                "messages": BLOCKS,
                "tools": [{"name": "get_weather", "description": "d", "input_schema": SCHEMA}],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "stop_sequences": ["x"],
                "stream": True,
            },
        ),
    ),
    Door(
        "/v1/rerank",
        "openai",
        (
            {
                "model": "sam",
                "query": "rain",
                "documents": ["a", {"text": "b"}],
                "top_n": 1,
                "return_documents": True,
            },
        ),
    ),
    Door(
        "/api/chat",
        "ollama",
        (
            {
                "model": "sam",
                "messages": [
                    *ASKED,
                    {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [
                            {"function": {"name": "get_weather", "arguments": {"city": "Graz"}}}
                        ],
                    },
                    {"role": "tool", "content": "Rain.", "tool_name": "get_weather"},
                ],
                "tools": [TOOL],
                "options": {"num_predict": 4, "temperature": 0.5, "stop": ["x"], "num_ctx": 512},
            },
            {
                "model": "sam",
                "messages": ASKED,
                "stream": False,
                "format": SCHEMA,
                "options": {"num_predict": 4},
            },
        ),
    ),
    Door(
        "/api/generate",
        "ollama",
        (
            {
                "model": "sam",
                "prompt": "Hi",
                "system": "Be brief.",
                "think": False,
                "options": {"num_predict": 4, "seed": 1},
                "keep_alive": "5m",
            },
            {"model": "sam", "prompt": "Hi", "raw": True, "options": {"num_predict": 4}},
        ),
    ),
    Door("/api/embed", "ollama", ({"model": "sam", "input": ["a", "b"], "truncate": True},)),
)

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
PLAIN = (None, True, False, [], {}, [[]], [{}], [None], {"": None}, {"a": {"b": [1]}})
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
        holder.extend(copy.deepcopy(holder[name]) for _ in range(draw.choice((1, 2, 9))))


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
