"""Addresses that other protocols have of their own: Ollama's beside the REST API's, MCP's and Cohere's."""

from __future__ import annotations

from django.urls import path, re_path

from migrations_app.compatible_api import mcp_views, ollama_views
from migrations_app.openai_api import views
from migrations_app.openai_api.errors import WITHOUT_BASE

OLLAMAS_OWN = r"^api/(?:pull|push|create|copy|delete|blobs|me|signout|user|web_search|web_fetch|experimental|api)(?:/[\s\S]*)?$"
"""What Ollama's clients ask for besides, and SAM does in other ways or not at all."""
BELOW_SERVED = r"^api/(?:chat|generate|embed|embeddings|tags|show|ps|version)/[\s\S]+$"
"""What is written after an address that is served."""

app_name = "own_addresses"

urlpatterns = [
    path("mcp", mcp_views.mcp, name="mcp"),
    path("api/chat", ollama_views.chat, name="chat"),
    path("api/generate", ollama_views.generate, name="generate"),
    path("api/embed", ollama_views.embed, name="embed"),
    path("api/embeddings", ollama_views.embeddings, name="embeddings"),
    path("api/tags", ollama_views.tags, name="tags"),
    path("api/show", ollama_views.show, name="show"),
    path("api/ps", ollama_views.running, name="running"),
    path("api/version", ollama_views.version, name="version"),
    re_path(OLLAMAS_OWN, ollama_views.unserved, name="unserved"),
    re_path(BELOW_SERVED, ollama_views.unserved, name="below-served"),
    re_path(r"^mcp/[\s\S]+$", mcp_views.unknown, name="below-mcp"),
    path("v2/rerank", views.rerank, name="rerank"),
    re_path(r"^v2/[\s\S]*$", views.unknown, name="newer"),
    path("v1", views.unknown, name="base"),
    *(path(address[1:], views.unknown, name="no-base") for address in WITHOUT_BASE),
]
