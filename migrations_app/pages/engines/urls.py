"""Addresses below /engines/; an engine that is called like one of its parts has no page of its own."""

from __future__ import annotations

from django.urls import path, re_path

from migrations_app.pages.engines.defaults import DefaultsView
from migrations_app.pages.engines.downloads import DownloadsView, DownloadView
from migrations_app.pages.engines.engine import EngineView
from migrations_app.pages.engines.fallbacks import FallbacksView
from migrations_app.pages.engines.files import FilesView
from migrations_app.pages.engines.library import LibraryView
from migrations_app.pages.engines.mine import ChooseAtOnceView, SettingsView

ENGINE = r"^(?P<model_id>[a-z0-9][a-z0-9._:-]{0,127})/"

urlpatterns = [
    path("", LibraryView.as_view(), name="engines"),
    path("downloads/", DownloadsView.as_view(), name="engine-downloads"),
    path("downloads/<uuid:plan_id>/", DownloadView.as_view(), name="engine-download"),
    path("settings/", SettingsView.as_view(), name="engine-settings"),
    path("settings/defaults/", DefaultsView.as_view(), name="engine-defaults"),
    path("settings/fallbacks/", FallbacksView.as_view(), name="engine-fallbacks"),
    re_path(rf"{ENGINE}$", EngineView.as_view(), name="engine"),
    re_path(rf"{ENGINE}files/$", FilesView.as_view(), name="engine-files"),
    re_path(rf"{ENGINE}choose/$", ChooseAtOnceView.as_view(), name="engine-choose"),
]
