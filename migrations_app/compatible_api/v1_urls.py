"""The addresses under ``/v1/`` that are not OpenAI's older ones, or not its alone."""

from __future__ import annotations

from django.urls import path, re_path

from migrations_app.compatible_api import views

app_name = "compatible"

urlpatterns = [
    path("messages", views.messages, name="messages"),
    path("messages/count_tokens", views.message_tokens, name="message-tokens"),
    path("responses", views.responses, name="responses"),
    path("models", views.model_list, name="models"),
    path("models/<path:name>", views.model_detail, name="model"),
    re_path(r"^(?:messages/|v1/messages)[\s\S]*$", views.unknown_message, name="unknown-message"),
]
