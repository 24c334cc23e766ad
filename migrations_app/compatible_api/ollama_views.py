"""Ollama's doors under ``/api/``, for programs that speak nothing else."""

from __future__ import annotations

import time

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from msgspec import Struct

from migrations_app.compatible_api.ollama_answers import (
    OllamaChatFace,
    OllamaFace,
    OllamaPromptFace,
    nothing_asked,
    show_error,
)
from migrations_app.compatible_api.ollama_models import (
    RunningList,
    TagList,
    Version,
    list_running,
    list_tags,
    show_model,
)
from migrations_app.compatible_api.ollama_requests import (
    NothingAskedError,
    ollama_chat,
    ollama_prompt,
    ollama_texts,
    read_show,
)
from migrations_app.openai_api.access import caller, embedder_for, named_revision, spender
from migrations_app.openai_api.answering import Read, answer, name_ignored
from migrations_app.openai_api.embedding import EmbeddedTexts, embed_texts
from migrations_app.openai_api.endpoint import endpoint
from migrations_app.openai_api.errors import NOT_FOUND, RefusedError
from migrations_app.openai_api.requests import read_body
from migrations_app.openai_api.response_bodies import body_response

NOT_SERVED = (
    "There is nothing at this address. Of Ollama's there are /api/chat, generate, embed, embeddings, tags, ps, "
    "show and version; models come and go in SAM's catalog, which /api/docs/ describes."
)


class Embeddings(Struct, frozen=True, kw_only=True):
    """The answer of ``/api/embed``; durations are in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int = 0
    prompt_eval_count: int


class Embedding(Struct, frozen=True):
    """The answer of the older ``/api/embeddings``."""

    embedding: list[float]


@endpoint("POST", show_error)
async def chat(request: HttpRequest) -> HttpResponseBase:
    """Answer messages as Ollama does; without any the model is only looked up."""
    return await _answer(OllamaChatFace(), request, ollama_chat)


@endpoint("POST", show_error)
async def generate(request: HttpRequest) -> HttpResponseBase:
    """Answer a prompt as Ollama does; without one the model is only looked up."""
    return await _answer(OllamaPromptFace(), request, ollama_prompt)


async def _answer(face: OllamaFace, request: HttpRequest, read: Read) -> HttpResponseBase:
    try:
        return await answer(face, request, read)
    except NothingAskedError as nothing:
        name = str(nothing)
        await sync_to_async(_look_up)(request, name)
        return body_response(nothing_asked(face, name))


def _look_up(request: HttpRequest, name: str) -> None:
    named_revision(spender(request), name)


@endpoint("POST", show_error)
async def embed(request: HttpRequest) -> HttpResponseBase:
    """Return vectors of texts, of length one as Ollama's are."""
    began = time.monotonic_ns()
    try:
        done = await _embedded(request)
    except NothingAskedError as nothing:
        await sync_to_async(_look_up_embedder)(request, str(nothing))
        return body_response(
            Embeddings(model=str(nothing), embeddings=[], total_duration=0, prompt_eval_count=0)
        )
    shown = Embeddings(
        model=done.model,
        embeddings=done.vectors.tolist(),
        total_duration=time.monotonic_ns() - began,
        prompt_eval_count=done.tokens,
    )
    return name_ignored(body_response(shown), done.ignored)


@endpoint("POST", show_error)
async def embeddings(request: HttpRequest) -> HttpResponseBase:
    """Return the vector of one prompt, as older clients ask for it."""
    try:
        done = await _embedded(request)
    except NothingAskedError as nothing:
        await sync_to_async(_look_up_embedder)(request, str(nothing))
        return body_response(Embedding([]))
    shown = Embedding(done.vectors[0].tolist())
    return name_ignored(body_response(shown), done.ignored)


def _look_up_embedder(request: HttpRequest, name: str) -> None:
    embedder_for(spender(request), name)


async def _embedded(request: HttpRequest) -> EmbeddedTexts:
    user = await sync_to_async(spender)(request)
    asked = ollama_texts(read_body(request))
    return await sync_to_async(embed_texts)(user, asked)


@endpoint("GET", show_error)
async def tags(request: HttpRequest) -> HttpResponseBase:
    """List what the caller may use."""
    return body_response(await sync_to_async(_tags)(request))


def _tags(request: HttpRequest) -> TagList:
    return list_tags(caller(request))


@endpoint("GET", show_error)
async def running(request: HttpRequest) -> HttpResponseBase:
    """List what the caller may use and some host has in memory."""
    return body_response(await sync_to_async(_running)(request))


def _running(request: HttpRequest) -> RunningList:
    return list_running(caller(request))


@endpoint("POST", show_error)
async def show(request: HttpRequest) -> HttpResponseBase:
    """Show one model of the list."""
    user = await sync_to_async(caller)(request)
    return body_response(await sync_to_async(show_model)(user, read_show(read_body(request))))


@endpoint("GET", show_error)
async def version(request: HttpRequest) -> HttpResponseBase:
    """Tell which version of Ollama's API this is; like Ollama's own it is public."""
    return body_response(Version())


@csrf_exempt
async def unserved(request: HttpRequest) -> HttpResponseBase:
    """Refuse what Ollama's clients do with its files."""
    return show_error(RefusedError(NOT_SERVED, status=NOT_FOUND, code="not_found"))
