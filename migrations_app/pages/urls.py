"""Addresses of people's pages: one line for each subject."""

from __future__ import annotations

from django.urls import include, path

from migrations_app.pages.home import HomeView
from migrations_app.pages.join import JoinView
from migrations_app.pages.notices import NoticesView, NoticeView
from migrations_app.pages.styleguide import StyleguideView
from migrations_app.pages.theme import choose_theme

urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("join/", JoinView.as_view(), name="join"),
    path("notices/", NoticesView.as_view(), name="notices"),
    path("notices/<int:notice_id>/", NoticeView.as_view(), name="notice"),
    path("settings/", include("migrations_app.pages.settings.urls")),
    path("theme/", choose_theme, name="theme"),
    path("styleguide/", StyleguideView.as_view(), name="styleguide"),
]
