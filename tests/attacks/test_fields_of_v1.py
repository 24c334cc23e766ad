"""Every field of ``/v1``'s bodies with what breaks programs, made from its OpenAPI document.

``tests/web/test_hostile_fields`` does the same for ``/api/v1``. Here nobody serves the engine: what is
not refused by its field ends at 503, so that only the reading is tried.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import pytest
from django.test import Client

from migrations_app.openai_api.description import openapi_document
from tests.attacks.plugin import AttackSize, Tally
from tests.attacks.world import make_world
from tests.tokens import token_for
from tests.web.test_hostile_fields import OTHERS, TEXTS, sample, schema_of

pytestmark = pytest.mark.attack

STATUSES = {400, 404, 413, 503}
VALUES: dict[str, Any] = {**TEXTS, **OTHERS, "deep": None}
DEEP = "[" * 5_000 + "]" * 5_000
"""As text: no JSON writer goes so deep."""
PLACE = '"here"'

Path_ = tuple[str | int, ...]
Case = tuple[str, str, str]
"""Address, name, body as JSON."""


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the way to every value inside a body, and to the body itself."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def replaced(body: Any, path: Path_, value: Any) -> Any:
    """A copy of a body with another value at one place."""
    if not path:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FILLED: dict[str, Any] = {
    "model": "sam",
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ],
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
    },
    "knowledge": {"k": 1, "bases": [1], "updated_after": "2026-01-01T00:00:00Z"},
    "chat_template_kwargs": {"enable_thinking": True},
    "stream_options": {"include_usage": True},
    "stop": ["x"],
    "input": ["a"],
    "prompt": "a",
}
"""Fields whose inner form the description leaves open, or of which a sample would be refused."""
LEAST = {"chat/completions": ["messages"], "completions": ["prompt"], "embeddings": ["input"]}


def cases() -> Iterator[Case]:
    """Every place of every field, with everything hostile."""
    document: dict[str, Any] = openapi_document()
    for path, name in LEAST.items():
        operation = document["paths"][f"/v1/{path}"]["post"]
        described = schema_of(
            document, operation["requestBody"]["content"]["application/json"]["schema"]
        )
        least = {field: FILLED[field] for field in ("model", *name)}
        for field, node in described["properties"].items():
            whole = {**least, field: FILLED.get(field, sample(document, node))}
            for place in places(whole[field], (field,)):
                yield from _with_values(f"/v1/{path}", whole, place)
        yield from _with_values(f"/v1/{path}", least, ())


def _with_values(path: str, whole: dict[str, Any], place: Path_) -> Iterator[Case]:
    for name, value in VALUES.items():
        if name == "deep":
            body = json.dumps(replaced(whole, place, "here")).replace(PLACE, DEEP, 1)
        else:
            body = json.dumps(replaced(whole, place, value))
        yield path, f"{'.'.join(map(str, place))}={name}", body
    for name, value in TEXTS.items():
        yield path, f"{place}: {{{name}: …}}", json.dumps(replaced(whole, place, {value: value}))


@cache
def all_cases() -> list[Case]:
    """Made at first need: every process of a run reads this file, and one runs it."""
    return list(cases())


PARTS = 16
"""A test of its own for each, so that none comes near the time limit of a test, however busy the machine is."""


def drawn(size: AttackSize, part: int) -> list[Case]:
    """Every sixteenth case when attacks are asked for; else some of all."""
    if size.is_whole:
        return all_cases()[part::PARTS]
    return Random(size.seed + part).sample(all_cases(), 150)  # noqa: S311 - repeatable on purpose


def test_no_field_is_left_out() -> None:
    document: dict[str, Any] = openapi_document()
    tried = {(path, name.split("=")[0].split(".")[0]) for path, name, _ in all_cases()}

    for path, body in (("chat/completions", "ChatBody"), ("embeddings", "EmbeddingBody")):
        for field in document["components"]["schemas"][body]["properties"]:
            assert (f"/v1/{path}", field) in tried
    assert len(all_cases()) > 1_000


@pytest.mark.parametrize(
    "part", [pytest.param(n, marks=[pytest.mark.slow] if n else []) for n in range(PARTS)]
)
def test_no_field_of_v1_makes_an_error_of_ours(
    part: int, transactional_db: None, attack_size: AttackSize, tally: Tally
) -> None:
    client = Client()
    headers = {"Authorization": f"Bearer {token_for(make_world().people.alice)}"}

    broken = []
    for path, name, body in drawn(attack_size, part):
        answer = client.post(path, body, "application/json", headers=headers)
        if not is_told_well(answer):
            broken.append((path, name[:80], answer.status_code, answer.content[:300]))
        tally.add("hostile fields of /v1")

    assert broken == []


def is_told_well(answer: Any) -> bool:
    """Whether an answer is a described error, in a sentence that no field made long."""
    message = answer.json()["error"]["message"]
    is_sentence = message.endswith((".", "!", "?")) and len(message) < 1_000
    return answer.status_code in STATUSES and is_sentence
