"""Ensures progress: whatever was forgotten, lost or left by the dead is found by a query and sent again.

Beat calls it, and slowly every worker does; two at once do no harm, and one lock lets only one look.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import connection
from django.db.models import Exists, OuterRef
from django.utils import timezone

from engines.db.session_locks import only_one
from engines.exceptions import ConflictError, HostUnavailableError
from engines.models import KnowledgeBase
from engines.services.hosts import SEEN_WITHIN, mark_hosts_lost
from engines.services.knowledge.documents import adopt_index
from engines.services.knowledge.keep_up import lagging_indexes
from engines.services.knowledge.words.rows import fill_words
from engines.services.people.fallbacks import end_incidents
from engines.services.people.notices import forget_old_notices
from engines.services.people.outbox import has_due_mail
from engines.services.people.tokens import end_dead_tokens
from migrations_app.backups import start_due_backups
from migrations_app.collection.collect import (
    collect,
    is_collection_due,
    own_place,
    sum_of,
)
from migrations_app.collection.vectors_and_files import PartRule
from migrations_app.controller import get_migration_controller
from migrations_app.models import Plan, Step
from migrations_app.moves.turn import has_mass_moves
from migrations_app.plans.housekeeping import (
    copies_here,
    drop_forgotten_drafts,
    end_stale_downloads,
    release_writers,
    retained_index_ids,
    wake_folders,
    wake_keep_up,
)
from migrations_app.plans.stuck_steps import free_stuck_steps
from migrations_app.plans.transitions import claim_step, request_cancel
from migrations_app.states import PlanStatus, StepStatus
from migrations_app.wakeups import (
    call_collector,
    call_mail_sender,
    call_mover,
    publish_step,
)
from worker.host.resources import artifact_store, scratch_folder

logger = logging.getLogger(__name__)

WHO = "sweeper"
LOCK = 0x53414D01
"""Any number that no other advisory lock of this database has."""
MAX_STEPS = 500
MAX_BASES = 100
MAX_INDEXES = 100
MAX_GAP_SECONDS = 300
WORD_PAGES = 4
"""Pages of passages that get their words in one look; the next look is seconds away."""
LEFTOVER_AGE = timedelta(hours=24)

# Gaps grow with each message, so that steps nobody takes do not fill Redis; a host that is away or does
# not know the kind gets none.
_DUE = """
SELECT step.id
FROM migrations_app_step AS step
JOIN migrations_app_plan AS plan ON plan.id = step.plan_id
LEFT JOIN engines_host AS host ON host.id = step.host_id
WHERE ((step.status = 'pending' AND step.ready_at <= clock_timestamp())
       OR (step.status = 'in_progress' AND step.lease_until < clock_timestamp()))
  AND plan.status = 'in_progress'
  AND (step.published_at IS NULL OR step.published_at < clock_timestamp()
       - make_interval(secs => least(power(2, least(step.publish_count, 20)), %s)))
  AND (step.host_id IS NULL
       OR (host.status IN ('active', 'draining') AND jsonb_exists(host.announces, step.kind)
           AND host.last_seen > clock_timestamp() - make_interval(secs => %s)))
ORDER BY step.ready_at LIMIT %s
"""


def sweep() -> str:
    """Look once for everything that must not be forgotten; returns a sentence."""
    with only_one(LOCK) as mine:
        if not mine:
            return "Another sweep is running."
        lost = mark_hosts_lost(SEEN_WITHIN.total_seconds(), who=WHO)
        cancelled = _cancel_asked()
        freed = free_stuck_steps(who=WHO)
        started = get_migration_controller().start_due_migrations() + _start_due_backups()
        sent = _send_due_steps()
        _adopt_indexes()
        indexes = _wake_lagging_indexes()
        wake_folders()
        fill_words(pages=WORD_PAGES)
        release_writers()
        end_stale_downloads()
        drop_forgotten_drafts(who=WHO)
        end_incidents()
        end_dead_tokens()
        forget_old_notices()
        if has_due_mail():
            call_mail_sender()
        if has_mass_moves():
            call_mover()
        if is_collection_due():
            call_collector()
    return (
        f"{sent} steps sent again, {cancelled} plans cancelled, {lost} hosts lost, "
        f"{freed} stuck plans freed, {started} plans started at their time, "
        f"{indexes} indexes called to keep up."
    )


def _cancel_asked() -> int:
    """Cancel what was asked to stop and nobody works on any more."""
    asked = Plan.objects.filter(cancel_requested_at__isnull=False, status=PlanStatus.IN_PROGRESS)
    return sum(_cancel(plan) for plan in asked)


def _cancel(plan: Plan) -> bool:
    try:
        running = plan.steps.filter(status=StepStatus.IN_PROGRESS).first()
        if running is None:
            request_cancel(plan.pk, who=WHO)
        else:
            # Claims nothing of a plan to be cancelled: once the lease has ended it cancels it.
            claim_step(running.pk, WHO)
    except ConflictError as error:
        logger.warning("plan %s is not cancelled: %s", plan.pk, error)
    plan.refresh_from_db(fields=["status"])
    return plan.status == PlanStatus.CANCELLED


def _start_due_backups() -> int:
    try:
        return start_due_backups()
    except HostUnavailableError as error:
        logger.info("backups are due and wait: %s", error)
        return 0


def _send_due_steps() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [MAX_GAP_SECONDS, SEEN_WITHIN.total_seconds(), MAX_STEPS])
        ids = [row[0] for row in cursor.fetchall()]
    steps = Step.objects.select_related("plan", "host").in_bulk(ids)
    sent = 0
    for step_id in ids:
        if step_id in steps and not publish_step(steps[step_id]):
            break
        sent += 1
    return sent


def _wake_lagging_indexes() -> int:
    """Call hosts to embed what live and kept indexes lack; returns how many indexes.

    Those whose embedder no present host has are passed over: a look that began with them came to no other.
    """
    here = copies_here().filter(revision=OuterRef("fingerprint__revision"))
    lagging = lagging_indexes(retained_index_ids()).filter(Exists(here))
    return sum(wake_keep_up(index) for index in lagging.order_by("pk")[:MAX_INDEXES])


def _adopt_indexes() -> None:
    """Give bases that began before their engine's facts were known the index they wait for.

    By chance, so that each has its turn: many may wait for an engine that nobody chooses.
    """
    waiting = KnowledgeBase.objects.filter(live_index__isnull=True, write_seq__gt=0)
    for base in waiting.order_by("?")[:MAX_BASES]:
        adopt_index(base.pk)


def collect_when_due() -> str:
    """Remove what nobody needs, unless that was done within the hour; returns a sentence."""
    if not is_collection_due():
        return "The last collection was within the hour."
    done = collect(own_place())
    if done is None:
        return "Another collection is running."
    total = sum_of(done)
    return f"{total.count} things removed, {total.size} bytes."


def remove_leftovers() -> None:
    """Remove what interrupted work of this machine left behind more than a day ago."""
    before = timezone.now() - LEFTOVER_AGE
    PartRule().collect(own_place())
    artifact_store().remove_leftovers(before)
    for path in scratch_folder().rglob("*"):
        if path.is_file() and path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)
