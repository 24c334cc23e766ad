"""``/v1`` as OpenAPI: valid, and true of what is accepted, refused and answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema
from msgspec import to_builtins

from engines.services.answers.messages import (
    Citation,
    EndEvent,
    Event,
    FallbackCause,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
)
from migrations_app.openai_api.description import openapi_document
from migrations_app.openai_api.errors import RefusedError, error_body
from migrations_app.openai_api.requests import (
    chat_request,
    completion_request,
    embedding_request,
    rank_request,
)
from migrations_app.openai_api.responses import (
    ChatShape,
    CompletionShape,
    Opening,
    chunks,
    whole_answer,
)

READERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "/v1/chat/completions": chat_request,
    "/v1/completions": completion_request,
    "/v1/embeddings": embedding_request,
    "/v1/rerank": rank_request,
}
LEAST: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "sam", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/completions": {"model": "sam", "prompt": "Once"},
    "/v1/embeddings": {"model": "sam", "input": ["a"]},
    "/v1/rerank": {"query": "?", "documents": ["a", {"text": "b"}]},
}
TOOL = {"type": "function", "function": {"name": "f"}}
MORE: list[tuple[str, dict[str, Any], bool]] = [
    ("/v1/chat/completions", {"temperature": 0.5, "top_k": 3, "stop": ["x"], "seed": -1}, True),
    ("/v1/chat/completions", {"stream": True, "stream_options": {"include_usage": True}}, True),
    ("/v1/chat/completions", {"knowledge": {"k": 3, "bases": [1], "min_score": 0}}, True),
    ("/v1/chat/completions", {"knowledge": True, "n": 1, "user": "x", "tools": [TOOL]}, True),
    ("/v1/chat/completions", {"temperature": 11}, False),
    ("/v1/chat/completions", {"max_tokens": 0}, False),
    ("/v1/chat/completions", {"n": 2, "seed": 7}, True),
    ("/v1/chat/completions", {"n": 129}, False),
    ("/v1/chat/completions", {"knowledge": {"k": 21}}, False),
    ("/v1/chat/completions", {"messages": []}, False),
    ("/v1/chat/completions", {"messages": [{"role": "root", "content": "x"}]}, False),
    ("/v1/chat/completions", {"temprature": 1}, False),
    ("/v1/completions", {"prompt": ["Once"], "max_tokens": 5, "echo": False}, True),
    ("/v1/completions", {"prompt": ["a", "b"], "n": 2}, True),
    ("/v1/completions", {"prompt": [1, 2]}, False),
    ("/v1/completions", {"messages": []}, False),
    ("/v1/embeddings", {"encoding_format": "base64", "input_type": "query"}, True),
    ("/v1/embeddings", {"encoding_format": "hex"}, False),
    ("/v1/embeddings", {"input": [""]}, False),
    ("/v1/chat/completions", {"knowledge": {"mode": "words"}}, True),
    ("/v1/chat/completions", {"knowledge": {"mode": "guess"}}, False),
    ("/v1/rerank", {"model": "x", "top_n": 3, "return_documents": True}, True),
    ("/v1/rerank", {"top_n": 0}, False),
    ("/v1/rerank", {"documents": []}, False),
    ("/v1/rerank", {"documents": ["a", ""]}, False),
    ("/v1/rerank", {"documents": [{"title": "a"}]}, False),
    ("/v1/rerank", {"texts": ["a"]}, False),
]


def body_schema(path: str) -> dict[str, Any]:
    """The schema of an endpoint's body, with all that it refers to."""
    document = openapi_document()
    content = document["paths"][path]["post"]["requestBody"]["content"]
    return {**content["application/json"]["schema"], "components": document["components"]}


def validate(path: str, answer: Any, media_type: str = "application/json") -> None:
    document = openapi_document()
    content = document["paths"][path]["post"]["responses"]["200"]["content"]
    schema = {**content[media_type]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)


def test_the_description_is_valid_and_served_to_everybody(client: Client) -> None:
    validate_schema(openapi_document())  # type: ignore[no-untyped-call]

    answer = client.get("/api/schema/openai/")

    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(openapi_document()))


@pytest.mark.parametrize("path", READERS)
def test_each_field_that_is_read_is_described_and_no_other(path: str) -> None:
    reference = body_schema(path)["$ref"].rsplit("/", 1)[1]
    described = openapi_document()["components"]["schemas"][reference]
    everywhere = {
        name
        for schema in openapi_document()["components"]["schemas"].values()
        for name in schema.get("properties", ())
    }

    def is_known(name: str) -> bool:
        try:
            READERS[path]({**LEAST[path], name: object()})
        except RefusedError as error:
            return "There is no field" not in str(error)
        return True

    assert set(described["properties"]) == set(filter(is_known, {*everywhere, "temprature"}))
    assert described["additionalProperties"] is False


@pytest.mark.parametrize(("path", "more", "is_served"), MORE)
def test_what_is_described_is_what_is_accepted(
    path: str, more: dict[str, Any], is_served: bool
) -> None:
    body = {**LEAST[path], **more}

    described = jsonschema.Draft202012Validator(body_schema(path)).is_valid(body)
    try:
        READERS[path](body)
        accepted = True
    except RefusedError:
        accepted = False

    assert (described, accepted) == (is_served, is_served)


async def played() -> AsyncIterator[Event]:
    yield ReasoningEvent("Hm.")
    yield TextEvent("Hi")
    yield ToolCallEvent(index=0, id="1", name="f", arguments="{}")
    yield EndEvent(finish_reason="stop", prompt_tokens=1, completion_tokens=2)


@pytest.mark.parametrize("shape", [ChatShape(), CompletionShape()])
def test_answers_whole_and_in_pieces_are_as_described(shape: ChatShape | CompletionShape) -> None:
    path = "/v1/chat/completions" if isinstance(shape, ChatShape) else "/v1/completions"
    citation = Citation(
        number=1, chunk_id=1, document_id=1, base_id=1, title="T", text="t", score=0.5,
        content_hash="00",
    )  # fmt: skip
    opening = Opening(
        "tiny", 3, [citation], fallback_for=FallbackCause("x", 2, "Gone."), left_out=4
    )

    async def collect() -> list[bytes]:
        return [part async for part in chunks(shape, opening, played(), include_usage=True)]

    whole = asyncio.run(whole_answer(shape, opening, played()))
    parts = asyncio.run(collect())

    validate(path, to_builtins(whole))
    assert len(parts) > 3
    for part in parts[:-1]:
        validate(path, json.loads(part.removeprefix(b"data: ")), "text/event-stream")


def test_an_error_is_as_described() -> None:
    document = openapi_document()
    schema = {"$ref": "#/components/schemas/ErrorBody", "components": document["components"]}

    jsonschema.Draft202012Validator(schema).validate(
        to_builtins(error_body(RefusedError("No.", param="n")))
    )
