"""The endpoints of newer protocols under ``/v1/``."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.exceptions import DisallowedHost
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from engines.exceptions import InvalidRequestError
from migrations_app.api.problems import problem_response
from migrations_app.compatible_api.anthropic_answers import (
    MessagesFace,
    TokenCount,
    listed_models,
    show_error,
    shown_model,
)
from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.protocols import error_at
from migrations_app.compatible_api.responses_answers import ResponsesFace
from migrations_app.openai_api import views as openai_views
from migrations_app.openai_api.access import caller, named_revision, spender
from migrations_app.openai_api.answering import answer
from migrations_app.openai_api.endpoint import endpoint
from migrations_app.openai_api.errors import error_response, nothing_at
from migrations_app.openai_api.middleware import is_for_programs
from migrations_app.openai_api.model_entries import list_models, need_entry
from migrations_app.openai_api.requests import read_body
from migrations_app.openai_api.response_bodies import body_response
from migrations_app.pages.errors import error_page, page_not_found
from migrations_app.serving.answers import count_tokens

JSON = "application/json"
VERSION_HEADER = "anthropic-version"
"""By which a client of Anthropic's is known where an address is another protocol's as well."""


@endpoint("POST", show_error)
async def messages(request: HttpRequest) -> HttpResponseBase:
    """Answer messages as Anthropic's API does."""
    return await answer(MessagesFace(), request, messages_request)


@endpoint("POST", show_error)
async def message_tokens(request: HttpRequest) -> HttpResponseBase:
    """Count the tokens that an engine would read for messages."""
    return body_response(TokenCount(await sync_to_async(_counted)(request)))


def _counted(request: HttpRequest) -> int:
    user = spender(request)
    asked = messages_request(read_body(request))
    (question,) = asked.requests_of(user.pk, named_revision(user, asked.model))
    try:
        return count_tokens(question)
    finally:
        close_old_connections()


@csrf_exempt
async def model_list(request: HttpRequest) -> HttpResponseBase:
    """List the models that the caller may name, as the client that asks reads them."""
    shown = _anthropics_models if VERSION_HEADER in request.headers else openai_views.model_list
    return await shown(request)


@csrf_exempt
async def model_detail(request: HttpRequest, name: str) -> HttpResponseBase:
    """Return one model of the list."""
    shown = _anthropics_model if VERSION_HEADER in request.headers else openai_views.model_detail
    return await shown(request, name=name)


@endpoint("GET", show_error)
async def _anthropics_models(request: HttpRequest) -> HttpResponseBase:
    entries = await sync_to_async(lambda: list_models(caller(request)))()
    return body_response(listed_models(entries))


@endpoint("GET", show_error)
async def _anthropics_model(request: HttpRequest, *, name: str) -> HttpResponseBase:
    entry = await sync_to_async(lambda: need_entry(caller(request), name))()
    return body_response(shown_model(entry))


@csrf_exempt
async def unknown_message(request: HttpRequest) -> HttpResponseBase:
    """Answer an unknown address below Anthropic's as its clients read it."""
    return show_error(nothing_at(request.path))


def nothing_here(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer an address that nobody knows: a program as OpenAI's clients read it, a person with a page."""
    accepted = request.headers.get("Accept", "")
    speaks_json = request.content_type == JSON or (JSON in accepted and "html" not in accepted)
    if speaks_json:
        return error_response(nothing_at(request.path))
    return page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what the framework itself refuses, such as a name that is not SAM's, as whoever asks reads it."""
    sentence = ""
    if isinstance(exception, DisallowedHost):
        name = request.headers.get("Host", "")
        sentence = f"SAM does not answer at {name!r:.100}; ask at a name of its own, or have this one added to SAM_ALLOWED_HOSTS."
    error = InvalidRequestError(sentence or "The request cannot be read; send another.")
    if is_for_programs(request.path_info):
        return error_at(request.path_info, error)
    if request.path_info.startswith("/api/"):
        return problem_response(error)
    return error_page(request, 400, sentence)


@endpoint("POST")
async def responses(request: HttpRequest) -> HttpResponseBase:
    """Answer as OpenAI's newer API does; nothing of it is kept."""
    face = ResponsesFace()
    return await answer(face, request, face.read)
