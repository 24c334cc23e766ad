"""Addresses of talking."""

from __future__ import annotations

from django.urls import path

from migrations_app.pages.chat.views import (
    ChatView,
    ConversationView,
    DeleteView,
    MessageView,
    RegenerateView,
    RenameView,
)

urlpatterns = [
    path("", ChatView.as_view(), name="chat"),
    path("<int:pk>/", ConversationView.as_view(), name="conversation"),
    path("<int:pk>/regenerate/", RegenerateView.as_view(), name="conversation-regenerate"),
    path("<int:pk>/rename/", RenameView.as_view(), name="conversation-rename"),
    path("<int:pk>/delete/", DeleteView.as_view(), name="conversation-delete"),
    path("<int:pk>/messages/<int:message_id>/", MessageView.as_view(), name="conversation-message"),
]
