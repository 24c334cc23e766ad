"""What is asked again and again of plans reads few of those that ended in years."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from migrations_app.models import Plan
from migrations_app.plans.housekeeping import retained_plans
from migrations_app.states import PLAN_OPEN, PlanKind, PlanStatus

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        (lambda: Plan.objects.filter(status=PlanStatus.PENDING), "open_plans"),
        (lambda: Plan.objects.filter(status__in=PLAN_OPEN), "open_plans"),
        (retained_plans, "ways_back"),
    ],
    ids=["drafts", "open", "kept"],
)
def test_few_of_many_are_found_by_an_index(asked: Callable[[], QuerySet[Plan]], index: str) -> None:
    ended = timezone.now()
    Plan.objects.bulk_create(
        Plan(kind=PlanKind.DOWNLOAD, status=status, finished_at=ended, retention_until=ended)
        for status in (PlanStatus.CANCELLED, PlanStatus.COMPLETED)
        for _ in range(2_000)
    )
    with connection.cursor() as cursor:
        # Of an empty table any index is as good.
        cursor.execute("ANALYZE migrations_app_plan")

        assert index in asked().explain()
