"""Whether a host may begin one more step, by its limits; and who is called when one has ended.

Claims of a limited host are counted one after the other, under an advisory lock that ends with the
transaction: a worker that dies leaves neither a lock nor a place that stays taken, because only steps
under a lease count. Hosts without limits pay one look at their row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from django.db import connection, transaction

from engines.db.clock import ClockTimestamp
from engines.models import Host, HostLimits
from migrations_app.models import Step
from migrations_app.states import BRINGING_FILES, PlanStatus, StepStatus
from migrations_app.wakeups import publish_step

ROOM_LOCK = 0x53414D02
"""With a host's key it names one advisory lock."""
WAITED_SECONDS = 1.0
"""A step that is ready for so long waits for a thread or for room, not for its message."""
MAX_READY = 500
"""Steps that are called when a worker begins; the sweeper calls the rest."""
MAX_CALLED = 8
"""People whose waiting step is called when a place is free; the sweeper calls the rest."""

# Who waits longest first, one step a person: one person's steps do not fill the call.
_WAITING = """
SELECT id FROM (
    SELECT DISTINCT ON (coalesce(plan.user_id, plan.created_by_id)) step.id, step.ready_at
    FROM migrations_app_step AS step JOIN migrations_app_plan AS plan ON plan.id = step.plan_id
    WHERE step.host_id = %s AND step.status = 'pending' AND plan.status = 'in_progress'
      AND step.ready_at <= clock_timestamp() - make_interval(secs => %s)
    ORDER BY coalesce(plan.user_id, plan.created_by_id), step.ready_at, step.id
) AS first_of_each ORDER BY ready_at, id LIMIT %s
"""


def lock_room(host_id: int) -> None:
    """Let one transaction at a time count what runs on a host."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ROOM_LOCK, host_id])


def describe_no_room(step: Step) -> str:
    """Say why a step's host may not begin it now; empty when it may. Inside the claim's transaction."""
    if step.host_id is None:
        return ""
    host = Host.objects.get(pk=step.host_id)
    limits = host.parsed_limits()
    if not any(_step_limits(limits)):
        return ""
    lock_room(host.pk)
    return _describe_full(step, host, limits, beside=step)


def is_waited_for(step: Step, host: Host | None = None, besides: Collection[int] = ()) -> bool:
    """Whether a step of another plan has waited a while and could begin if this one left.

    On the step's host, or another ``host`` that helps with it; steps of ``besides`` do not count.
    """
    host_id = step.host_id if host is None else host.pk
    if host_id is None:
        return False
    waiting = [
        found
        for found in _waiting_steps(host_id, WAITED_SECONDS)
        if found.plan_id != step.plan_id and found.pk not in besides
    ]
    if not waiting:
        return False
    # Read anew: its limits may have changed since the caller read it.
    host = Host.objects.get(pk=host_id)
    limits = host.parsed_limits()
    return any(not _describe_full(found, host, limits, beside=step) for found in waiting)


def _describe_full(step: Step, host: Host, limits: HostLimits, *, beside: Step) -> str:
    """Say which limit a step would exceed, were ``beside`` not running; empty for none."""
    running = Step.objects.filter(
        host=host, status=StepStatus.IN_PROGRESS, lease_until__gte=ClockTimestamp()
    ).exclude(pk=beside.pk)
    person = step.plan.user_id or step.plan.created_by_id
    rows = list(running.values_list("kind", "plan__user", "plan__created_by"))
    kinds = [kind for kind, _, _ in rows]
    own = [kind for kind, user, by in rows if person is not None and person == (user or by)]
    counted = [(limits.plans, kinds, "steps"), (limits.plans_per_person, own, "of your steps")]
    if step.kind in BRINGING_FILES:
        counted += [
            (limits.downloads, _bringing(kinds), "downloads"),
            (limits.downloads_per_person, _bringing(own), "of your downloads"),
        ]
    full = ((running, what) for most, running, what in counted if most and len(running) >= most)
    for found, what in full:
        return f"Waits its turn: {host.name} runs {len(found)} {what}, as many as it may."
    return ""


def _bringing(kinds: Iterable[str]) -> list[str]:
    return [kind for kind in kinds if kind in BRINGING_FILES]


def call_waiting_on_commit(host_id: int | None) -> None:
    """Wake steps that wait for room on a limited host, once what made room is committed."""
    if host_id is not None:
        transaction.on_commit(partial(call_waiting, host_id), robust=True)


def call_waiting(host_id: int) -> int:
    """Send the wake-ups of steps that a limited host did not take before; returns how many."""
    host = Host.objects.filter(pk=host_id).first()
    if host is None or not any(_step_limits(host.parsed_limits())):
        return 0
    return sum(publish_step(step) for step in _waiting_steps(host_id))


def call_ready(host: Host | None) -> int:
    """Send again the wake-ups of a host's steps (None: the control plane's) that are ready; returns how many.

    For a worker that begins: the one before it may have read messages of work that it had no place for.
    """
    ready = Step.objects.filter(
        host=host,
        status=StepStatus.PENDING,
        plan__status=PlanStatus.IN_PROGRESS,
        ready_at__lte=ClockTimestamp(),
    )
    oldest = ready.select_related("plan", "host").order_by("ready_at", "pk")[:MAX_READY]
    return sum(publish_step(step) for step in oldest)


def _waiting_steps(host_id: int, seconds: float = 0.0) -> list[Step]:
    """Return the steps that have been ready on a host for so long, one a person, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [host_id, seconds, MAX_CALLED])
        ids = [row[0] for row in cursor.fetchall()]
    steps = Step.objects.select_related("plan", "host").in_bulk(ids)
    return [steps[pk] for pk in ids if pk in steps]


def _step_limits(limits: HostLimits) -> tuple[int, ...]:
    return (
        *(limits.plans, limits.plans_per_person),
        *(limits.downloads, limits.downloads_per_person),
    )
