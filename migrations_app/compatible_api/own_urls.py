"""Addresses that other protocols have of their own: Ollama's beside the REST API's, and MCP's."""

from __future__ import annotations

from django.urls import path

from migrations_app.compatible_api import mcp_views, ollama_views

app_name = "own_addresses"

urlpatterns = [
    path("mcp", mcp_views.mcp, name="mcp"),
    path("api/chat", ollama_views.chat, name="chat"),
    path("api/generate", ollama_views.generate, name="generate"),
    path("api/embed", ollama_views.embed, name="embed"),
    path("api/embeddings", ollama_views.embeddings, name="embeddings"),
    path("api/tags", ollama_views.tags, name="tags"),
    path("api/show", ollama_views.show, name="show"),
    path("api/version", ollama_views.version, name="version"),
]
