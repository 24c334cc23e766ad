"""An installation of years: what happened long ago goes, and a clock that was ahead holds nothing up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from engines.models import FallbackIncident
from migrations_app.collection.collect import collect, is_collection_due, own_place
from migrations_app.models import CollectionRun
from tests.knowledge.world import make_model

pytestmark = pytest.mark.django_db

HISTORY = timedelta(days=settings.SAM_HISTORY_DAYS)
MINUTES = timedelta(minutes=5)


def test_when_another_engine_answered_goes_with_the_history() -> None:
    now = timezone.now()
    asked, answered = make_model("asked"), make_model("answered")
    fields = {"revision": asked, "answered_by": answered, "reason": "Away.", "last_at": now}
    FallbackIncident.objects.create(**fields, ended_at=now)
    under_way = FallbackIncident.objects.create(**fields)

    collect(replace(own_place(), now=now + HISTORY - MINUTES))
    assert FallbackIncident.objects.count() == 2

    collect(replace(own_place(), now=now + HISTORY + MINUTES))
    assert FallbackIncident.objects.get() == under_way


def test_a_run_of_a_time_to_come_puts_off_no_other() -> None:
    CollectionRun.objects.create(started_at=timezone.now() + timedelta(days=400))

    assert is_collection_due()

    CollectionRun.objects.create(started_at=timezone.now())
    assert not is_collection_due()
