"""The addresses under ``/v1/``."""

from __future__ import annotations

from django.urls import path, re_path

from migrations_app.openai_api import views

app_name = "openai"

urlpatterns = [
    path("chat/completions", views.chat_completions, name="chat-completions"),
    path("completions", views.completions, name="completions"),
    path("embeddings", views.embeddings, name="embeddings"),
    path("deployments/<path:engine>/chat/completions", views.chat_completions, name="azure-chat"),
    path("deployments/<path:engine>/completions", views.completions, name="azure-completions"),
    path("deployments/<path:engine>/embeddings", views.embeddings, name="azure-embeddings"),
    path("models", views.model_list, name="models"),
    path("models/<path:name>", views.model_detail, name="model"),
    path("rerank", views.rerank, name="rerank"),
    re_path(r"^[\s\S]*$", views.unknown, name="unknown"),
]
