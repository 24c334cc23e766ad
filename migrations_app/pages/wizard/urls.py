"""Addresses of the wizard: each step has its own, so that leaving, coming back and the back button work."""

from __future__ import annotations

from django.urls import path

from migrations_app.pages.wizard import base
from migrations_app.pages.wizard.base import ContinueView
from migrations_app.pages.wizard.choose import ChooseView
from migrations_app.pages.wizard.comparison import TryView
from migrations_app.pages.wizard.confirm import AgainView, ConfirmView, DropView
from migrations_app.pages.wizard.meaning import MeaningView
from migrations_app.pages.wizard.options import OptionsView
from migrations_app.pages.wizard.progress import ProgressView
from migrations_app.pages.wizard.result import ResultView

PLAN = "<uuid:plan_id>/"

urlpatterns = [
    path("", ChooseView.as_view(), name=base.CHOOSE),
    path(PLAN, ContinueView.as_view(), name="plan"),
    path(f"{PLAN}meaning/", MeaningView.as_view(), name=base.MEANING),
    path(f"{PLAN}options/", OptionsView.as_view(), name=base.OPTIONS),
    path(f"{PLAN}confirm/", ConfirmView.as_view(), name=base.CONFIRM),
    path(f"{PLAN}progress/", ProgressView.as_view(), name=base.PROGRESS),
    path(f"{PLAN}result/", ResultView.as_view(), name=base.RESULT),
    path(f"{PLAN}try/", TryView.as_view(), name=base.TRY),
    path(f"{PLAN}drop/", DropView.as_view(), name="migrate-drop"),
    path(f"{PLAN}again/", AgainView.as_view(), name="migrate-again"),
]
