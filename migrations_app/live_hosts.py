"""Which hosts can answer a live request now, the least busy first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import QuerySet
from redis import Redis

from engines.clock import seconds_from_now
from engines.exceptions import HostUnavailableError, NotFoundError
from engines.models import CopyStatus, Fingerprint, Host, HostStatus, ModelRevision
from engines.services.preferences import effective_engine

Row = TypeVar("Row")

BEAT_SECONDS = 10.0
"""How often a worker writes its host's ``last_seen``."""
MISSED_BEATS = 5
SEEN_WITHIN = timedelta(seconds=BEAT_SECONDS * MISSED_BEATS)
"""A host that was silent longer is taken for lost."""
UNKNOWN_LOAD = 10_000
"""Where a host is put whose live worker has not said how busy it is, as after Redis was emptied."""


def presence_key(host_name: str) -> str:
    """Name the key in which a live worker says how many requests it is working on."""
    return f"sam:live-host:{host_name}"


def present_hosts() -> QuerySet[Host]:
    """Return the active hosts that were seen lately, by the database's clock."""
    return Host.objects.filter(
        status=HostStatus.ACTIVE, last_seen__gt=seconds_from_now(-SEEN_WITHIN.total_seconds())
    )


def hosts_for(redis: Redis, kind: str, payload: Mapping[str, Any]) -> list[str]:
    """Return the names of the hosts that can answer, the least busy first.

    Raises HostUnavailableError when there is none, NotFoundError for an unknown person or model.
    """
    hosts = present_hosts().filter(announces__contains=[f"live.{kind}"])
    revision = _needed_revision(kind, payload)
    if revision is not None:
        held = revision.copies.filter(status=CopyStatus.DOWNLOADED)
        hosts = hosts.filter(pk__in=held.values("host"))
    names = list(hosts.order_by("name").values_list("name", flat=True))
    if not names:
        wanted = f"has {revision}" if revision is not None else "is connected"
        raise HostUnavailableError(f"No active host {wanted}; start one, or try again later.")
    return sorted(names, key=_loads(redis, names).__getitem__)


def _needed_revision(kind: str, payload: Mapping[str, Any]) -> ModelRevision | None:
    """Return whose file a host needs; a search embeds elsewhere when the host lacks the embedder."""
    if "fingerprint_id" in payload:
        return _found(Fingerprint.objects.filter(pk=payload["fingerprint_id"]).first()).revision
    if "revision_id" in payload:
        return _found(ModelRevision.objects.filter(pk=payload["revision_id"]).first())
    if kind == "generate":
        return effective_engine(_found(User.objects.filter(pk=payload["user_id"]).first()))[1]
    return None


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFoundError("There is no such person or model; read the list again.")
    return row


def _loads(redis: Redis, names: list[str]) -> dict[str, int]:
    values = redis.mget([presence_key(name) for name in names])
    return {
        name: UNKNOWN_LOAD if value is None else int(value)
        for name, value in zip(names, values, strict=True)
    }
