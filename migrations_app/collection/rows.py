"""Rows that are needed no more: by which rule each kind is kept, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, QuerySet

from engines.models import (
    FallbackIncident,
    Fingerprint,
    HostEvent,
    HostInvitation,
    Invitation,
    VectorIndex,
)
from engines.services.knowledge.erasure import has_vectors
from engines.services.people.search_history import KEPT_DAYS, outdated_searches
from migrations_app.collection.needed import (
    SPARE,
    release_indexes,
    unneeded_indexes,
    unneeded_tombstones,
)
from migrations_app.collection.rules import RowRule
from migrations_app.models import (
    CollectionRun,
    EmbedRange,
    IdempotencyKey,
    MassMove,
)
from migrations_app.states import PLAN_FINAL

REPEATED = timedelta(days=7)
"""So long a request that is sent again gets its first answer."""
INVITED = timedelta(days=30)
RUNS = timedelta(days=30)


def ended_ranges(now: datetime) -> QuerySet[EmbedRange]:
    """Shares of embedding whose plan ended a while ago."""
    return EmbedRange.objects.filter(
        step__plan__status__in=PLAN_FINAL, step__plan__finished_at__lt=now - SPARE
    )


def empty_spaces(now: datetime) -> QuerySet[Fingerprint]:
    """Spaces without index, range and vector."""
    indexes = VectorIndex.objects.filter(fingerprint=OuterRef("pk"))
    ranges = EmbedRange.objects.filter(fingerprint=OuterRef("pk"))
    return Fingerprint.objects.filter(
        ~Exists(indexes), ~Exists(ranges), ~has_vectors(), created_at__lt=now - SPARE
    )


def old_host_events(now: datetime) -> QuerySet[HostEvent]:
    """What happened to hosts long ago."""
    if not settings.SAM_HISTORY_DAYS:
        return HostEvent.objects.none()
    return HostEvent.objects.filter(at__lt=now - timedelta(days=settings.SAM_HISTORY_DAYS))


def old_mass_moves(now: datetime) -> QuerySet[MassMove]:
    """Mass moves that ended long ago; their plans have rules of their own."""
    if not settings.SAM_HISTORY_DAYS:
        return MassMove.objects.none()
    return MassMove.objects.filter(finished_at__lt=now - timedelta(days=settings.SAM_HISTORY_DAYS))


def old_incidents(now: datetime) -> QuerySet[FallbackIncident]:
    """Times when one engine answered for another, long over."""
    if not settings.SAM_HISTORY_DAYS:
        return FallbackIncident.objects.none()
    before = now - timedelta(days=settings.SAM_HISTORY_DAYS)
    return FallbackIncident.objects.filter(ended_at__lt=before)


def ended_invitations(
    model: type[Invitation] | type[HostInvitation], now: datetime
) -> QuerySet[Any]:
    """Invitations that nobody can use any more."""
    return model.objects.filter(expires_at__lt=now - INVITED)


def ended_sessions(now: datetime) -> QuerySet[Session]:
    """Sessions that let nobody in any more."""
    return Session.objects.filter(expire_date__lt=now)


def unseen_devices(now: datetime) -> QuerySet[UserSession]:
    """Devices whose session must have expired."""
    age = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    return UserSession.objects.filter(last_seen_at__lt=now - age)


ROW_RULES = (
    RowRule(
        "ranges",
        f"What hosts shared out to embed goes {SPARE.days} days after its plan ended.",
        ended_ranges,
    ),
    RowRule(
        "indexes",
        "An index is kept while it is live, a running plan or a way back needs it, and "
        f"{SPARE.days} days more.",
        unneeded_indexes,
        release_indexes,
    ),
    RowRule(
        "tombstones",
        "The place of a deleted text is kept while the file of a needed index has it.",
        unneeded_tombstones,
    ),
    RowRule(
        "searches",
        f"What somebody searched for goes after {KEPT_DAYS} days; it is kept only where they allow it.",
        outdated_searches,
    ),
    RowRule(
        "idempotency_keys",
        f"The answer to a repeated request is kept for {REPEATED.days} days.",
        lambda now: IdempotencyKey.objects.filter(created_at__lt=now - REPEATED),
    ),
    RowRule("mass_moves", "A mass move goes SAM_HISTORY_DAYS after its end.", old_mass_moves),
    RowRule("host_events", "What happened to hosts goes after SAM_HISTORY_DAYS.", old_host_events),
    RowRule(
        "incidents",
        "When one engine answered for another goes SAM_HISTORY_DAYS after its end.",
        old_incidents,
    ),
    RowRule(
        "invitations",
        f"An invitation is kept for {INVITED.days} days after its end.",
        lambda now: ended_invitations(Invitation, now),
    ),
    RowRule(
        "host_invitations",
        f"A host's invitation is kept for {INVITED.days} days after its end.",
        lambda now: ended_invitations(HostInvitation, now),
    ),
    RowRule("sessions", "A session goes when it has expired.", ended_sessions),
    RowRule("devices", "Where somebody was signed in goes with its session.", unseen_devices),
    RowRule(
        "runs",
        f"What the collector did is kept for {RUNS.days} days.",
        lambda now: CollectionRun.objects.filter(started_at__lt=now - RUNS),
    ),
)
"""In this order: what goes with an earlier one is found by a later one."""

SPACES = RowRule(
    "spaces", "A space goes when no index, no range and no vector is in it.", empty_spaces
)
"""After the vectors."""
