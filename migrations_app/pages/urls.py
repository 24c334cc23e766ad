"""Addresses of people's pages: one line for each subject."""

from __future__ import annotations

from django.urls import include, path

from migrations_app.pages.badge import keyed_badge, own_badge, show_mark
from migrations_app.pages.home import HomeView
from migrations_app.pages.join import JoinView
from migrations_app.pages.notices import NoticesView, NoticeView
from migrations_app.pages.styleguide import StyleguideView
from migrations_app.pages.theme import choose_theme
from migrations_app.pages.wizard.history import HistoryView

urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("join/", JoinView.as_view(), name="join"),
    path("notices/", NoticesView.as_view(), name="notices"),
    path("notices/<int:notice_id>/", NoticeView.as_view(), name="notice"),
    path("settings/", include("migrations_app.pages.settings.urls")),
    path("chat/", include("migrations_app.pages.chat.urls")),
    path("knowledge/", include("migrations_app.pages.knowledge.urls")),
    path("engines/", include("migrations_app.pages.engines.urls")),
    path("migrate/", include("migrations_app.pages.wizard.urls")),
    path("plans/", HistoryView.as_view(), name="plans"),
    path("badge/engine.svg", own_badge, name="own-badge"),
    path("badge/<str:key>/engine.svg", keyed_badge, name="badge"),
    path("favicon.ico", show_mark, name="favicon"),
    path("theme/", choose_theme, name="theme"),
    path("styleguide/", StyleguideView.as_view(), name="styleguide"),
]
