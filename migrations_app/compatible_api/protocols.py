"""Which protocol an address belongs to, for what is refused before a view is asked."""

from __future__ import annotations

from django.http import HttpResponse

from engines.exceptions import SamError
from migrations_app.compatible_api import anthropic_answers, mcp_views, ollama_answers
from migrations_app.openai_api.errors import error_response
from migrations_app.openai_api.middleware import plain_path


def error_at(path: str, error: SamError) -> HttpResponse:
    """Return an error as the clients of an address read it."""
    plain = plain_path(path)
    if plain.startswith("/v1/messages"):
        return anthropic_answers.show_error(error)
    if plain.startswith("/api/"):
        return ollama_answers.show_error(error)
    if plain == "/mcp":
        return mcp_views.show_error(error)
    return error_response(error)
