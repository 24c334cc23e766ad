"""Addresses below /settings/."""

from __future__ import annotations

from django.urls import path

from migrations_app.pages.settings.account import AccountView, SessionsView
from migrations_app.pages.settings.preferences import PreferencesView
from migrations_app.pages.settings.tokens import TokensView, TokenView
from migrations_app.pages.settings.usage import UsageView

urlpatterns = [
    path("", AccountView.as_view(), name="settings-account"),
    path("sessions/", SessionsView.as_view(), name="settings-sessions"),
    path("tokens/", TokensView.as_view(), name="settings-tokens"),
    path("tokens/<int:token_id>/end/", TokenView.as_view(), name="settings-token-end"),
    path("usage/", UsageView.as_view(), name="settings-usage"),
    path("preferences/", PreferencesView.as_view(), name="settings-preferences"),
]
