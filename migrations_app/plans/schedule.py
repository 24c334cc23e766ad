"""Plans that were confirmed for later."""

from __future__ import annotations

from django.db.models import Q

from engines.db.clock import ClockTimestamp
from migrations_app.models import Plan
from migrations_app.states import PlanStatus

MAX_DUE = 200
"""Plans of one look; the next look is seconds away."""


def list_due_plans() -> list[Plan]:
    """Return the confirmed plans whose time has come, the longest due first; of people who may sign in."""
    waiting = Plan.objects.filter(
        Q(user=None) | Q(user__is_active=True),
        status=PlanStatus.PENDING,
        confirmed_at__isnull=False,
        not_before__lte=ClockTimestamp(),
    )
    return list(waiting.select_related("host").order_by("not_before", "pk")[:MAX_DUE])
