"""What an operator does with hosts: who depends on one, limits, draining, taking back, retiring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from engines.db.clock import ClockTimestamp
from engines.exceptions import ConflictError
from engines.models import (
    CopyStatus,
    Host,
    HostStatus,
    ModelCopy,
    ModelRevision,
)
from engines.services.hosts import limit_host as set_limits
from engines.services.hosts import lock_host, mark_copies_gone, move_host
from migrations_app.models import EmbedRange, Step
from migrations_app.plans.lease_owners import owned_on
from migrations_app.plans.revision_needs import people_needing
from migrations_app.plans.transitions import call_waiting
from migrations_app.serving.load import running_on
from migrations_app.serving.redis_keys import redis_client
from migrations_app.states import STEP_FINAL, PlanStatus, StepStatus

MAX_NAMED = 5


class HostNeededError(ConflictError):
    """People would lose what only this host holds; nothing was changed."""

    code = "host_needed"


@dataclass(frozen=True, slots=True)
class SoleHolderImpact:
    """Who would be without engine or search if a host went."""

    people: int
    engines: list[str]

    @property
    def sentence(self) -> str:
        """Say it with the numbers; empty when nobody depends on the host."""
        if not self.people:
            return ""
        named = ", ".join(self.engines[:MAX_NAMED])
        more = len(self.engines) - MAX_NAMED
        rest = f" and {more} more" if more > 0 else ""
        return f"{self.people} people need what only this host holds: {named}{rest}."


def sole_holder_impact(host: Host) -> SoleHolderImpact:
    """Return the people and engines that no other active host could serve."""
    needed = people_needing(_files_only_on(host))
    names = ModelRevision.objects.filter(pk__in=needed).values_list("model__model_id", flat=True)
    return SoleHolderImpact(len(set().union(*needed.values())), sorted(names))


def drain_host(host: Host, *, who: str, force: bool = False) -> Host:
    """Let a host finish what it does and take nothing new; HostNeededError unless ``force``.

    Draining twice is a no-op.
    """
    with transaction.atomic():
        locked = lock_host(host.name)
        if locked.status == HostStatus.DRAINING:
            return locked
        needs = sole_holder_impact(locked).sentence
        if needs and not force:
            raise HostNeededError(
                f"{needs} Download it to another host first, or drain it knowing this."
            )
        return move_host(
            locked, HostStatus.DRAINING, who=who, why=needs or "Nobody needs it alone."
        )


def resume_host(host: Host, *, who: str) -> Host:
    """Take a draining host back into service; one whose workers are gone is lost again soon."""
    with transaction.atomic():
        locked = lock_host(host.name)
        if locked.status == HostStatus.ACTIVE:
            return locked
        return move_host(locked, HostStatus.ACTIVE, who=who, why="Taken back into service.")


def retire_host(host: Host, *, who: str) -> Host:
    """Let a drained host go for good; its rows stay, its files count as gone.

    IllegalMoveError unless it is draining, HostNeededError while people need what it alone holds,
    ConflictError while something runs there. Retiring twice is a no-op.
    """
    with transaction.atomic():
        locked = lock_host(host.name)
        if locked.status == HostStatus.RETIRED:
            return locked
        gone = move_host(
            locked, HostStatus.RETIRED, who=who, why="Drained, and nothing runs there."
        )
        needs = sole_holder_impact(locked).sentence
        if needs:
            raise HostNeededError(f"{needs} Download it to another host first.")
        _refuse_while_running(locked)
        mark_copies_gone(locked)
        return gone


def limit_host(host: Host, limits: Mapping[str, object], *, who: str) -> Host:
    """Set what a host may do at once and how much of it SAM may use, in place of what was set before.

    InvalidRequestError names what is wrong and changes nothing. What runs goes on; steps that wait for
    room are called.
    """
    with transaction.atomic():
        limited = set_limits(lock_host(host.name), limits, who=who)
    call_waiting(limited.pk)
    return limited


def _files_only_on(host: Host) -> list[int]:
    there = ModelCopy.objects.filter(status=CopyStatus.DOWNLOADED)
    elsewhere = there.filter(host__status=HostStatus.ACTIVE).exclude(host=host)
    mine = there.filter(host=host).exclude(revision__in=elsewhere.values("revision"))
    return list(mine.values_list("revision", flat=True))


def _refuse_while_running(host: Host) -> None:
    started = Step.objects.filter(host=host, plan__status=PlanStatus.IN_PROGRESS)
    steps = started.exclude(status__in=STEP_FINAL).count()
    # Of a range whose step has ended, or whose lease has, nobody is at work any more.
    ranges = EmbedRange.objects.filter(
        owned_on(host.name),
        status=StepStatus.IN_PROGRESS,
        step__status=StepStatus.IN_PROGRESS,
        lease_until__gte=ClockTimestamp(),
    ).count()
    requests = running_on(redis_client(settings.REDIS_URL), host.name)
    if steps or ranges or requests:
        raise ConflictError(
            f"{host.name} still has {steps} steps of running plans, {ranges} ranges to embed and "
            f"{requests} requests; wait for them, or cancel the plans."
        )
