"""Answers held to a schema or to a tool: by models of random weights, and whatever the schema is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deploy.demo.models.tiny_models import LLAMA_TEMPLATE
from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.text.generation import ToolCall
from engines.specs import EngineSpec
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted

CHAT: list[ChatMessage] = [{"role": "user", "content": "Say something."}]
DAYS = {"type": "integer", "minimum": 1, "maximum": 7}
CITY = {"type": "string", "maxLength": 9}
WEATHER = {
    "type": "object",
    "properties": {"city": CITY, "days": DAYS},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"left": {"$ref": "#"}, "size": DAYS},
    "required": ["size"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any]] = [
    WEATHER,
    {"enum": ["rain", "snow", None]},
    {"type": "array", "items": DAYS, "minItems": 2, "maxItems": 3},
    {"anyOf": [{"type": "boolean"}, {"const": {"a": [1]}}]},
    {"type": "string", "pattern": "^[a-f]{3}-[0-9]{2}$"},
    {"type": "string", "format": "date"},
]
ROWS = {f"p{number}": {"type": "string"} for number in range(1500)}
NESTED: dict[str, Any] = {"type": "string"}
for _ in range(60):
    NESTED = {"items": NESTED, "type": "array"}
LEVELS = {
    f"n{level}": {
        "anyOf": [
            {"type": "array", "items": {"$ref": f"#/$defs/n{level + 1}"}, "maxItems": most}
            for most in range(1, 9)
        ]
    }
    for level in range(12)
}
REFUSED: dict[str, dict[str, Any]] = {
    "a reference to itself": {"$ref": "#"},
    "references in a circle": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    },
    "a reference to another host": {"$ref": "https://example.com/schema"},
    "a file": {"$ref": "file:///etc/passwd"},
    "nothing fits": {"enum": []},
    "an unknown word": {"not": {"type": "string"}},
    "a number too large": {"type": "integer", "maximum": 10**400},
    "many rests": {"type": "integer", "multipleOf": 10**9 + 7},
    "many properties": {"type": "object", "properties": ROWS},
    "all of everything": {
        "allOf": [
            {"anyOf": [{"properties": {f"a{i}{j}": {"type": "string"}}} for j in range(10)]}
            for i in range(20)
        ]
    },
    "brackets": {"type": "string", "pattern": "(" * 5000 + ")" * 5000},
    "repeated repeats": {"type": "string", "pattern": "^((a{9}){999}){999}$"},
    "a wrong type": {"type": "text"},
    "a wrong shape": {"properties": [1, 2]},
}
KEPT: dict[str, dict[str, Any]] = {
    "many items": {"type": "array", "items": DAYS, "maxItems": 10**9},
    "long texts": {"type": "string", "maxLength": 10**9},
    "nested choices": {"$defs": {**LEVELS, "n12": DAYS}, "$ref": "#/$defs/n0"},
    "nested arrays": NESTED,
    "nested repeats": {"type": "string", "pattern": "^((a*)*)*$"},
    "a tree": TREE,
    "looking back": {"type": "string", "pattern": "(?<=a)b"},
    "many values": {"enum": [f"value {number}" for number in range(3000)]},
    "words of the library": {"type": "integer", "x-guidance": {"lenient": True}},
}


def tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    more = {} if parameters is None else {"parameters": parameters}
    return {"type": "function", "function": {"name": name, **more}}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    spec = EngineSpec("llama", "Tiny llama", str(tiny_llama), threads=1, family="llama")
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        yield engine


@pytest.mark.parametrize("temperature", [0, 1.5])
@pytest.mark.parametrize("schema", SCHEMAS, ids=[json.dumps(schema)[:40] for schema in SCHEMAS])
def test_an_answer_keeps_its_schema(
    llama: LlamaCppEngine, schema: dict[str, Any], temperature: float
) -> None:
    answer = llama.complete(CHAT, response_format=form(schema), temperature=temperature, seed=5)

    assert answer.finish_reason == "stop"
    Draft202012Validator(schema).validate(json.loads(answer.text))
    again = llama.stream(CHAT, response_format=form(schema), temperature=temperature, seed=5)
    assert "".join(again) == answer.text


def test_an_answer_is_an_object_where_only_json_is_asked_for(llama: LlamaCppEngine) -> None:
    asked = {"type": "json_object"}
    answer = llama.complete(CHAT, response_format=asked, temperature=0, max_tokens=30)

    assert answer.text.startswith("{")
    assert answer.finish_reason == "length"


@pytest.mark.parametrize("family", ["llama", "qwen", "mistral", "gemma"])
def test_a_model_of_random_weights_calls_when_it_must(tiny_qwen: Path, family: str) -> None:
    tools = [tool("f", WEATHER), tool("g", {"type": "object", "additionalProperties": False})]
    asked: dict[str, Any] = {"tools": tools, "temperature": 1.5, "seed": 3, "max_tokens": 700}
    spec = EngineSpec("e", "E", str(tiny_qwen), threads=1, family=family)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        some = called(engine, tool_choice="required", **asked)
        one = called(engine, tool_choice=tool("f"), **asked)

    assert {call.name for call in some} <= {"f", "g"}
    assert [call.name for call in one] == ["f"]
    for call in [*some, *one]:
        if call.name == "f":
            Draft202012Validator(WEATHER).validate(json.loads(call.arguments))


def called(engine: LlamaCppEngine, **asked: Any) -> list[ToolCall]:
    """The calls of an answer that consists of nothing else."""
    pieces = list(engine.stream_pieces(CHAT, **asked))
    calls = [piece.tool_call for piece in pieces if piece.tool_call]
    assert calls
    assert not "".join(piece.text for piece in pieces).strip()
    return calls


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
def test_a_schema_that_cannot_be_kept_is_refused_and_costs_nobody_anything(
    llama: LlamaCppEngine, schema: dict[str, Any]
) -> None:
    before = llama.get_engine_info()["pid"]

    with pytest.raises(InvalidRequestError, match="Make it simpler") as caught:
        llama.complete(CHAT, response_format=form(schema), temperature=0, max_tokens=40)

    assert str(caught.value).isprintable()
    assert llama.is_available()
    assert llama.get_engine_info()["pid"] == before


@pytest.mark.parametrize("schema", KEPT.values(), ids=KEPT)
def test_what_would_end_or_block_llama_cpp_is_answered(
    llama: LlamaCppEngine, schema: dict[str, Any]
) -> None:
    before = llama.get_engine_info()["pid"]

    answer = llama.complete(
        CHAT, response_format=form(schema), temperature=1.5, seed=2, max_tokens=60
    )

    assert answer.text
    if answer.finish_reason == "stop":
        Draft202012Validator(schema).validate(json.loads(answer.text))
    assert llama.get_engine_info()["pid"] == before


def test_answers_beside_a_held_one_are_not_touched(llama: LlamaCppEngine) -> None:
    def ask(number: int) -> str:
        held = {"response_format": form(SCHEMAS[number])} if number % 2 else {}
        return llama.complete(CHAT, temperature=0, max_tokens=40, **held).text

    alone = [ask(number) for number in range(6)]
    with ThreadPoolExecutor(6) as together:
        assert list(together.map(ask, range(6))) == alone


def test_a_reasoning_that_the_prompt_opened_ends_before_the_held_answer(tmp_path: Path) -> None:
    spoken = words(4)
    opened = LLAMA_TEMPLATE + "{% if add_generation_prompt %}{{ '<think>\\n' }}{% endif %}"
    for marks in ((), ("<think>", "</think>")):
        script = [*spoken[:3], "</think>" if marks else spoken[3]]
        path = write_scripted(tmp_path / f"{len(marks)}.gguf", script, template=opened, marks=marks)
        spec = EngineSpec("e", "E", str(path), threads=1, family="deepseek")
        with LlamaCppEngine.from_spec(spec) as engine:
            engine.load_model()
            answer = engine.complete(CHAT, response_format=form(DAYS), temperature=0, max_tokens=60)

        assert answer.reasoning.startswith("".join(spoken[:3]).strip())
        if marks:
            assert json.loads(answer.text) in range(1, 8)
