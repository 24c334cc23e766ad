"""Addresses below /settings/."""

from __future__ import annotations

from django.urls import path

from migrations_app.pages.settings.account import AccountView, SessionsView
from migrations_app.pages.settings.adapters import (
    AdapterDeleteView,
    AdaptersView,
    AdapterSwitchView,
)
from migrations_app.pages.settings.backups import (
    BackupDeleteView,
    BackupRestoreView,
    BackupsView,
    BackupVerifyView,
)
from migrations_app.pages.settings.preferences import KeepSearchesView, PreferencesView
from migrations_app.pages.settings.prompts import FamilyView, PromptsView
from migrations_app.pages.settings.tokens import TokensView, TokenView
from migrations_app.pages.settings.usage import UsageView

urlpatterns = [
    path("", AccountView.as_view(), name="settings-account"),
    path("sessions/", SessionsView.as_view(), name="settings-sessions"),
    path("tokens/", TokensView.as_view(), name="settings-tokens"),
    path("tokens/<int:token_id>/end/", TokenView.as_view(), name="settings-token-end"),
    path("usage/", UsageView.as_view(), name="settings-usage"),
    path("preferences/", PreferencesView.as_view(), name="settings-preferences"),
    path("preferences/searches/", KeepSearchesView.as_view(), name="settings-searches"),
    path("adapters/", AdaptersView.as_view(), name="settings-adapters"),
    path(
        "adapters/<int:adapter_id>/switch/",
        AdapterSwitchView.as_view(),
        name="settings-adapter-switch",
    ),
    path(
        "adapters/<int:adapter_id>/delete/",
        AdapterDeleteView.as_view(),
        name="settings-adapter-delete",
    ),
    path("backups/", BackupsView.as_view(), name="settings-backups"),
    path(
        "backups/<int:backup_id>/verify/",
        BackupVerifyView.as_view(),
        name="settings-backup-verify",
    ),
    path(
        "backups/<int:backup_id>/restore/",
        BackupRestoreView.as_view(),
        name="settings-backup-restore",
    ),
    path(
        "backups/<int:backup_id>/delete/",
        BackupDeleteView.as_view(),
        name="settings-backup-delete",
    ),
    path("prompts/", PromptsView.as_view(), name="settings-prompts"),
    path("prompts/<str:family>/", FamilyView.as_view(), name="settings-family"),
]
