"""The endpoints of newer protocols under ``/v1/``."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from migrations_app.compatible_api.anthropic_answers import MessagesFace, TokenCount, show_error
from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.responses_answers import ResponsesFace
from migrations_app.openai_api.access import named_revision, spender
from migrations_app.openai_api.answering import answer
from migrations_app.openai_api.endpoint import endpoint
from migrations_app.openai_api.errors import nothing_at
from migrations_app.openai_api.requests import read_body
from migrations_app.openai_api.response_bodies import body_response
from migrations_app.serving.answers import count_tokens


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
async def unknown_message(request: HttpRequest) -> HttpResponseBase:
    """Answer an unknown address below Anthropic's as its clients read it."""
    return show_error(nothing_at(request.path))


@endpoint("POST")
async def responses(request: HttpRequest) -> HttpResponseBase:
    """Answer as OpenAI's newer API does; nothing of it is kept."""
    face = ResponsesFace()
    return await answer(face, request, face.read)
