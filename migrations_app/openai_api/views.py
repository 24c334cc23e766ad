"""The endpoints under ``/v1/``, for any client of OpenAI's API."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from migrations_app.openai_api import responses as answers
from migrations_app.openai_api.access import caller, spender
from migrations_app.openai_api.answering import answer, name_ignored
from migrations_app.openai_api.embedding import embed_texts
from migrations_app.openai_api.endpoint import endpoint
from migrations_app.openai_api.errors import error_response, nothing_at
from migrations_app.openai_api.model_entries import list_models, need_entry
from migrations_app.openai_api.ranking import rank_texts
from migrations_app.openai_api.request_bodies import given_hints
from migrations_app.openai_api.requests import (
    chat_request,
    completion_request,
    embedding_request,
    of_engine,
    rank_request,
    read_body,
)
from migrations_app.openai_api.response_bodies import ModelEntry, ModelList, body_response


@endpoint("POST")
async def chat_completions(request: HttpRequest, *, engine: str = "") -> HttpResponseBase:
    """Answer messages with the named or the active engine."""
    read = of_engine(chat_request, engine)
    return await answer(answers.ChatShape(), request, read)


@endpoint("POST")
async def completions(request: HttpRequest, *, engine: str = "") -> HttpResponseBase:
    """Continue a raw prompt with the named or the active engine."""
    read = of_engine(completion_request, engine)
    return await answer(answers.CompletionShape(), request, read)


@endpoint("POST")
async def embeddings(request: HttpRequest, *, engine: str = "") -> HttpResponseBase:
    """Return vectors of texts by the named embedder, or the one the active engine searches with."""
    user = await sync_to_async(spender)(request)
    asked = of_engine(embedding_request, engine)(read_body(request))
    done = await sync_to_async(embed_texts)(user, asked)
    shown = answers.embeddings(done.model, done.vectors, done.tokens, packed=asked.base64)
    return name_ignored(body_response(shown), done.ignored)


@endpoint("POST")
async def rerank(request: HttpRequest) -> HttpResponseBase:
    """Return texts in the order in which they answer a question, by a rank model."""
    user = await sync_to_async(spender)(request)
    asked = rank_request(read_body(request))
    ranked = await sync_to_async(rank_texts)(user, asked)
    return name_ignored(body_response(ranked), given_hints(asked))


@endpoint("GET")
async def model_list(request: HttpRequest) -> HttpResponseBase:
    """List the active engine under its standing name, and what else the caller may use."""
    return body_response(ModelList(data=await sync_to_async(_models)(request)))


@endpoint("GET")
async def model_detail(request: HttpRequest, *, name: str) -> HttpResponseBase:
    """Return one model of the list."""
    return body_response(await sync_to_async(_model)(request, name))


def _model(request: HttpRequest, name: str) -> ModelEntry:
    return need_entry(caller(request), name)


def _models(request: HttpRequest) -> list[ModelEntry]:
    return list_models(caller(request))


@csrf_exempt
async def unknown(request: HttpRequest) -> HttpResponseBase:
    """Answer an unknown address as everything else."""
    return error_response(nothing_at(request.path))
