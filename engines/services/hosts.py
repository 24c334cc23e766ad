"""How a host comes, serves and goes: the only writer of a host's status, and of its events."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.exceptions import (
    ConflictError,
    IllegalMoveError,
    InvalidRequestError,
    NotFoundError,
    SamError,
)
from engines.models import (
    CopyStatus,
    Host,
    HostEvent,
    HostInvitation,
    HostSample,
    HostStatus,
    ModelCopy,
    parse_limits,
)
from engines.models.hosts import HOST_NAME

HOST_MOVES: dict[HostStatus, frozenset[HostStatus]] = {
    HostStatus.JOINING: frozenset({HostStatus.ACTIVE, HostStatus.DRAINING}),
    HostStatus.ACTIVE: frozenset({HostStatus.DRAINING, HostStatus.LOST}),
    HostStatus.LOST: frozenset({HostStatus.ACTIVE, HostStatus.DRAINING}),
    HostStatus.DRAINING: frozenset({HostStatus.ACTIVE, HostStatus.RETIRED}),
    HostStatus.RETIRED: frozenset({HostStatus.JOINING}),
}
LEAVING = frozenset({HostStatus.DRAINING, HostStatus.RETIRED})
"""Such a host ends what it does and takes nothing new."""
DEFAULT_HOURS = 24
MAX_HOURS = 24 * 30
TOKEN_BYTES = 32
GONE = "The host was retired."
JOINED_WITH = "Joined with a token that {who} made."


class HostRefusedError(SamError):
    """A machine may not take part under its name; an operator's token admits it."""

    code = "host_refused"


def find_host(name: str) -> Host:
    """Return a host's row; NotFoundError when there is none."""
    host = Host.objects.filter(name=name).first()
    if host is None:
        raise NotFoundError(f"There is no host {name!r:.80}.")
    return host


def lock_host(name: str) -> Host:
    """Lock a host's row; inside a transaction."""
    host = Host.objects.select_for_update(no_key=True).filter(name=name).first()
    if host is None:
        raise NotFoundError(f"There is no host {name!r:.80}.")
    return host


def move_host(host: Host, to: HostStatus, *, who: str, why: str) -> Host:
    """Move a locked host to another status and leave an event; IllegalMoveError changes nothing."""
    current = HostStatus(host.status)
    if to not in HOST_MOVES[current]:
        raise IllegalMoveError(f"The host {host.name} is {current} and cannot become {to}.")
    host.status = to
    host.save(update_fields=["status"])
    HostEvent.objects.create(host=host, from_status=current, to_status=to, who=who, why=why)
    return host


def limit_host(host: Host, limits: Mapping[str, object], *, who: str) -> Host:
    """Give a locked host these limits instead of those it had; InvalidRequestError changes nothing."""
    try:
        wanted = parse_limits(limits)
    except ValidationError as error:
        raise InvalidRequestError(" ".join(error.messages)) from error
    if wanted == host.parsed_limits():
        return host
    host.limits = wanted.as_row()
    host.save(update_fields=["limits"])
    named = ", ".join(f"{name} {value}" for name, value in host.limits.items()) or "none"
    HostEvent.objects.create(
        host=host, from_status=host.status, to_status=host.status, who=who, why=f"Limits: {named}."
    )
    return host


def invite_host(name: str, *, who: str, hours: int = DEFAULT_HOURS) -> tuple[str, HostInvitation]:
    """Return a token with which one machine may join once under ``name``; it is shown only here.

    InvalidRequestError for what is no name of a host or no number of hours, ConflictError for the name of a host.
    """
    try:
        HOST_NAME(name)
    except ValidationError as error:
        raise InvalidRequestError(f"{name!r:.80} is no host's name. {error.message}") from error
    if not 0 < hours <= MAX_HOURS:
        raise InvalidRequestError(f"A token lives 1 to {MAX_HOURS} hours, not {hours}.")
    if _known(name) is not None:
        raise ConflictError(
            f"{name} is a host of SAM already, and its own machine starts without a token; invite another machine under "
            "another name."
        )
    token = secrets.token_urlsafe(TOKEN_BYTES)
    invitation = HostInvitation.objects.create(
        host_name=name,
        token_hash=_hash(token),
        who=who,
        expires_at=timezone.now() + timedelta(hours=hours),
    )
    return token, invitation


def join_host(name: str, token: str) -> Host:
    """Return the row of a machine that is known already, or is admitted by its token, which it spends.

    HostRefusedError says what is missing; then nothing is changed.
    """
    known = _known(name)
    if known is not None:
        return known
    with transaction.atomic():
        held = HostInvitation.objects.select_for_update(no_key=True)
        invitation = held.filter(token_hash=_hash(token), host_name=name).first()
        # The machine's other worker may have used the token while this one waited for the row.
        known = _known(name)
        if known is not None:
            return known
        if invitation is None or not _is_open(invitation):
            raise HostRefusedError(_refusal(name, token))
        HostInvitation.objects.filter(pk=invitation.pk).update(used_at=ClockTimestamp())
        return _enter(name, who=name, why=JOINED_WITH.format(who=invitation.who))


def admit_host(name: str, *, who: str, why: str) -> Host:
    """Return the row of a machine that is trusted already, made when there is none.

    HostRefusedError when an operator retired it.
    """
    with transaction.atomic():
        host = _known(name)
        if host is None and Host.objects.filter(name=name).exists():
            raise HostRefusedError(_refusal(name, ""))
        return host or _enter(name, who=who, why=why)


def mark_hosts_lost(silent_seconds: float, *, who: str) -> int:
    """Mark the active hosts lost that were not seen for so long; returns how many."""
    with transaction.atomic():
        active = Host.objects.select_for_update(no_key=True, skip_locked=True)
        before = seconds_from_now(-silent_seconds)
        silent = list(active.filter(status=HostStatus.ACTIVE, last_seen__lt=before))
        for host in silent:
            move_host(host, HostStatus.LOST, who=who, why=f"Silent for {silent_seconds:.0f} s.")
    return len(silent)


def mark_copies_gone(host: Host) -> int:
    """Say of all files of a retired host that they are not there any more; returns how many."""
    there = ModelCopy.objects.filter(host=host).exclude(status=CopyStatus.NOT_DOWNLOADED)
    return there.update(status=CopyStatus.MISSING, error=GONE)


def _known(name: str) -> Host | None:
    return Host.objects.filter(name=name).exclude(status=HostStatus.RETIRED).first()


def _enter(name: str, *, who: str, why: str) -> Host:
    """Make a machine's row, or take it up again after it was retired."""
    host, is_new = Host.objects.select_for_update(no_key=True).get_or_create(name=name)
    if is_new:
        HostEvent.objects.create(host=host, to_status=host.status, who=who, why=why)
        return host
    if host.status == HostStatus.RETIRED:
        move_host(host, HostStatus.JOINING, who=who, why=why)
    return host


def _is_open(invitation: HostInvitation) -> bool:
    return invitation.used_at is None and invitation.expires_at > timezone.now()


def _refusal(name: str, token: str) -> str:
    retired = Host.objects.filter(name=name, status=HostStatus.RETIRED).exists()
    what = f"The host {name} was retired" if retired else f"The host {name} is not known"
    given = (
        "its SAM_JOIN_TOKEN is used, expired or for another name" if token else "it has no token"
    )
    return (
        f"{what} and {given}. Have an operator run `manage.py host invite {name}`, and start this "
        "machine with the token as SAM_JOIN_TOKEN."
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


SAMPLE_EVERY = timedelta(minutes=5)
SAMPLES_KEPT = timedelta(days=1)


def note_sample(host: Host, *, load: float, memory_used_bytes: int) -> bool:
    """Keep how busy a host is, at most every five minutes, and forget what is older than a day.

    Called with the host's row locked.
    """
    now = timezone.now()
    samples = HostSample.objects.filter(host=host)
    if samples.filter(at__gt=now - SAMPLE_EVERY).exists():
        return False
    samples.filter(at__lt=now - SAMPLES_KEPT).delete()
    HostSample.objects.create(
        host=host,
        load=round(load, 2),
        memory_used_bytes=memory_used_bytes,
        disk_free_bytes=host.disk_free_bytes,
    )
    return True


HEARTBEAT_SECONDS = 10.0
"""How often a worker writes its host's ``last_seen``."""
MISSED_BEATS = 5
SEEN_WITHIN = timedelta(seconds=HEARTBEAT_SECONDS * MISSED_BEATS)
"""A host that was silent longer is taken for lost."""


def present_hosts() -> QuerySet[Host]:
    """Return the active hosts that were seen lately, by the database's clock."""
    return Host.objects.filter(
        status=HostStatus.ACTIVE, last_seen__gt=seconds_from_now(-SEEN_WITHIN.total_seconds())
    )


def refuse_leaving_host(host: Host | None, *, way_out: str) -> None:
    """Raise ConflictError, which ends with ``way_out``, when new work is meant for a host that takes none."""
    if host is not None and host.status in LEAVING:
        raise ConflictError(
            f"The host {host.name} is {host.status} and takes no new work; {way_out}"
        )
