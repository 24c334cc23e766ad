"""Addresses of people's pages: one line for each subject."""

from __future__ import annotations

from django.urls import include, path

from migrations_app.pages.badge import keyed_badge, own_badge
from migrations_app.pages.home import HomeView
from migrations_app.pages.styleguide import StyleguideView
from migrations_app.pages.theme import choose_theme
from migrations_app.pages.wizard.history import HistoryView

urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("migrate/", include("migrations_app.pages.wizard.urls")),
    path("plans/", HistoryView.as_view(), name="plans"),
    path("badge/engine.svg", own_badge, name="own-badge"),
    path("badge/<str:key>/engine.svg", keyed_badge, name="badge"),
    path("theme/", choose_theme, name="theme"),
    path("styleguide/", StyleguideView.as_view(), name="styleguide"),
]
