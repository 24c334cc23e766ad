"""``/v1`` as OpenAPI, made of the very models that read requests and write answers."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from django.http import HttpRequest, JsonResponse
from msgspec import Struct, json

from engines.runtimes.text.response_format import Json
from migrations_app.openai_api.request_bodies import (
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    RankBody,
)
from migrations_app.openai_api.response_bodies import (
    ChatChunk,
    ChatCompletion,
    EmbeddingList,
    ErrorBody,
    ModelEntry,
    ModelList,
    RankList,
    TextCompletion,
)

REFERENCE = "#/components/schemas/{name}"
ERRORS = {
    "400": "A field is wrong; param names it.",
    "401": "No valid token.",
    "403": "The token may not be used for this.",
    "404": "No such engine is offered to the caller.",
    "413": "The body is too large.",
    "429": "The tokens of the day are used up.",
    "503": "No host can answer now; Retry-After says when to ask again.",
    "default": "Whatever else goes wrong.",
}


class Operation(NamedTuple):
    """One endpoint: what it takes and gives."""

    path: str
    method: str
    summary: str
    answer: type[Struct]
    body: type[Struct] | None = None
    chunk: type[Struct] | None = None
    """What each server-sent event holds when ``stream`` is true; the last one is ``[DONE]``."""


OPERATIONS = (
    Operation(
        "/v1/chat/completions",
        "post",
        "Answer messages with the named or the active engine.",
        ChatCompletion,
        ChatBody,
        ChatChunk,
    ),
    Operation(
        "/v1/completions",
        "post",
        "Continue a raw prompt with the named or the active engine.",
        TextCompletion,
        CompletionBody,
        TextCompletion,
    ),
    Operation(
        "/v1/embeddings",
        "post",
        "Return vectors of texts by the named embedder, or the one the active engine searches with.",
        EmbeddingList,
        EmbeddingBody,
    ),
    Operation(
        "/v1/rerank",
        "post",
        "Return texts in the order in which they answer a question, by a rank model.",
        RankList,
        RankBody,
    ),
    Operation("/v1/models", "get", "List what the caller may name.", ModelList),
    Operation("/v1/models/{name}", "get", "Return one model of the list.", ModelEntry),
)


@cache
def openapi_document() -> Json:
    """Return the description, an OpenAPI 3.1 document."""
    kinds = {kind: None for each in OPERATIONS for kind in (each.body, each.answer, each.chunk)}
    models = [kind for kind in (*kinds, ErrorBody) if kind is not None]
    _, components = json.schema_components(models, ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SAM for clients of OpenAI's API",
            "version": "1",
            "description": "Any client of OpenAI's API works: a SAM token is the API key. Fields that "
            "are not described are refused, and null means that a field is left out.",
        },
        "paths": {each.path: {each.method: _operation(each)} for each in OPERATIONS},
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(each: Operation) -> Json:
    shown = {"application/json": _content(each.answer)}
    if each.chunk is not None:
        shown["text/event-stream"] = _content(each.chunk)
    described: Json = {
        "operationId": re.sub(r"\W+", "_", each.path.removeprefix("/v1/")).strip("_"),
        "summary": each.summary,
        "responses": {
            "200": {"description": "Done.", "content": shown},
            **{status: _error(why) for status, why in ERRORS.items()},
        },
    }
    if each.body is not None:
        content = {"application/json": _content(each.body)}
        described["requestBody"] = {"required": True, "content": content}
    if "{name}" in each.path:
        schema = {"type": "string"}
        name = {"name": "name", "in": "path", "required": True, "schema": schema}
        described["parameters"] = [name]
    return described


def _content(kind: type[Struct]) -> Json:
    return {"schema": {"$ref": REFERENCE.format(name=kind.__name__)}}


def _error(why: str) -> Json:
    return {"description": why, "content": {"application/json": _content(ErrorBody)}}


def description(_request: HttpRequest) -> JsonResponse:
    """Serve the description; like that of the REST API it is public."""
    return JsonResponse(openapi_document())
