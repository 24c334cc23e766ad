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
from engines.models import (
    CopyStatus,
    EnginePreference,
    Fingerprint,
    Host,
    HostStatus,
    ModelCopy,
    ModelRevision,
)
from engines.services.copies import refuse_unsafe
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

    Raises HostUnavailableError when there is none, UnsafeModelFileError when all there are crashed
    an engine, NotFoundError for an unknown person or model.
    """
    hosts = present_hosts().filter(announces__contains=[f"live.{kind}"])
    revision_id = _needed_revision(kind, payload)
    if revision_id is not None:
        held = ModelCopy.objects.filter(revision=revision_id, status=CopyStatus.DOWNLOADED)
        hosts = hosts.filter(pk__in=held.values("host"))
    names = list(hosts.order_by("name").values_list("name", flat=True))
    if not names:
        _refuse_if_unsafe(revision_id)
        raise HostUnavailableError(
            f"No active host {_wanted(revision_id)}; start one, or try again later."
        )
    return sorted(names, key=_loads(redis, names).__getitem__)


def _refuse_if_unsafe(revision_id: int | None) -> None:
    """Waiting does not help when every copy there is crashed an engine."""
    copies = ModelCopy.objects.filter(revision=revision_id).select_related("revision", "host")
    unsafe = copies.filter(status=CopyStatus.UNSAFE).first()
    if unsafe is not None and not copies.filter(status=CopyStatus.DOWNLOADED).exists():
        refuse_unsafe(unsafe)


def _wanted(revision_id: int | None) -> str:
    if revision_id is None:
        return "is connected"
    return f"has {_found(ModelRevision.objects.filter(pk=revision_id).first())}"


def _needed_revision(kind: str, payload: Mapping[str, Any]) -> int | None:
    """Return whose file a host needs; a search embeds elsewhere when the host lacks the embedder."""
    if "fingerprint_id" in payload:
        spaces = Fingerprint.objects.filter(pk=payload["fingerprint_id"])
        return _found(spaces.values_list("revision", flat=True).first())
    if "revision_id" in payload:
        revisions = ModelRevision.objects.filter(pk=payload["revision_id"])
        return _found(revisions.values_list("pk", flat=True).first())
    if kind in ("generate", "stream"):
        return _active_revision(payload["user_id"])
    return None


def _active_revision(user_id: int) -> int | None:
    """Return the active engine's revision: of a person with a choice, in one query."""
    own = EnginePreference.objects.filter(user=user_id, engine__isnull=False)
    chosen = own.values_list("revision", "engine__current_revision").first()
    if chosen is not None:
        pinned, current = chosen
        return pinned or current
    revision = effective_engine(_found(User.objects.filter(pk=user_id).first()))[1]
    return revision.pk if revision is not None else None


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
