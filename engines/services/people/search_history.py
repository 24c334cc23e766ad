"""A person's own searches: kept only where they allow it, a bounded number for a bounded time."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from engines.models import MAX_QUESTION_CHARS, PastSearch, SearchHistory

MAX_SEARCHES = 200
KEPT_DAYS = 180


def is_history_kept(user: User) -> bool:
    """Whether the person allows that their searches are kept; nobody does unless they say so."""
    return SearchHistory.objects.filter(user=user).exists()


def set_history_kept(user: User, *, kept: bool) -> None:
    """Allow it, or forbid it: then all that was kept is erased at once."""
    if kept:
        SearchHistory.objects.get_or_create(user=user)
    else:
        SearchHistory.objects.filter(user=user).delete()


def remember_search(user: User, question: str) -> None:
    """Keep a question where that is allowed; the oldest goes when there are too many."""
    wanted = " ".join(question.replace("\0", "").split())
    if not 0 < len(wanted) <= MAX_QUESTION_CHARS or not is_history_kept(user):
        return
    with transaction.atomic():
        # Locked, so that what is forbidden meanwhile is not written after all.
        history = SearchHistory.objects.select_for_update().filter(user=user).first()
        if history is None:
            return
        PastSearch.objects.update_or_create(
            history=history, question=wanted, defaults={"asked_at": timezone.now()}
        )
        oldest = history.searches.order_by("-asked_at", "-pk").values("pk")[MAX_SEARCHES:]
        PastSearch.objects.filter(pk__in=list(oldest.values_list("pk", flat=True))).delete()


def searches_of(user_id: int | None) -> QuerySet[PastSearch]:
    """Return what a person searched for, the latest first; nothing where there is nobody."""
    if user_id is None:
        return PastSearch.objects.none()
    since = timezone.now() - timedelta(days=KEPT_DAYS)
    return PastSearch.objects.filter(history__user_id=user_id, asked_at__gte=since)


def outdated_searches(now: datetime) -> QuerySet[PastSearch]:
    """Return what was searched so long ago that it goes."""
    return PastSearch.objects.filter(asked_at__lt=now - timedelta(days=KEPT_DAYS))
