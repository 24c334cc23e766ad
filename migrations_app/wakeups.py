"""Tell a worker that there is something to look at; losing the message loses only time.

With ``serving.live_messages``, which composes those of live requests, the one place of this layer that knows Celery.
Messages carry an id and nothing else, are sent by name after the commit, and a broker that is away is logged:
the sweeper sends again what nobody picked up.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, TypedDict
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu import Queue
from kombu.exceptions import OperationalError

from engines.db.clock import ClockTimestamp
from engines.models import Host, HostStatus, VectorIndex, WatchedFolder
from migrations_app.models import Step
from migrations_app.queues import CONTROL_QUEUE, work_queue
from migrations_app.states import task_name

logger = logging.getLogger(__name__)

COLLECT_TASK = "control.collect"
MAIL_TASK = "control.mail"
MOVES_TASK = "control.mass_moves"
SAMPLE_TASK = "knowledge.sample_quality"
LOOK_TASK = "knowledge.look_at_folder"


class Naming(TypedDict, total=False):
    """How Flower shows a task; nothing reads it here."""

    task_id: str
    argsrepr: str


def send(
    name: str,
    *arguments: int | str,
    queue: str,
    expires: float | None = None,
    naming: Naming | None = None,
) -> bool:
    """Send one message now; False when the broker is away."""
    # A Queue object, not a name: names of other hosts are not declared here and would be refused.
    route: Any = Queue(queue, routing_key=queue)
    try:
        current_app.send_task(
            name, args=list(arguments), queue=route, expires=expires, **(naming or {})
        )
    except OperationalError as error:
        logger.warning("Redis did not take the wake-up %s%s: %s", name, arguments, error)
        return False
    return True


def step_task_id(plan_id: UUID, kind: str, number: int) -> str:
    """Name the message that wakes a step for the ``number``-th time; it leads from Flower to the plan."""
    return f"{plan_id}.{kind}.{number}"


def publish_step(step: Step) -> bool:
    """Send a step's wake-up and note when, so that the sweeper leaves it alone for a while."""
    queue = work_queue(step.host.name) if step.host else CONTROL_QUEUE
    number = step.publish_count + 1
    naming: Naming = {
        "task_id": step_task_id(step.plan_id, step.kind, number),
        "argsrepr": f"(step {step.pk} of plan {step.plan_id})",
    }
    sent = send(task_name(step.plan.kind, step.kind), step.pk, queue=queue, naming=naming)
    Step.objects.filter(pk=step.pk).update(published_at=ClockTimestamp(), publish_count=number)
    return sent


def publish_step_on_commit(step_id: int) -> None:
    """Wake the step's worker once the row is there for it to see."""
    transaction.on_commit(partial(call_step, step_id), robust=True)


def call_step(step_id: int) -> None:
    """Wake a step's worker, as often as that was done before."""
    step = Step.objects.select_related("plan", "host").filter(pk=step_id).first()
    if step is not None:
        publish_step(step)


def publish_ranges(step_id: int, busy: Host) -> None:
    """Call the other active hosts to help with a step's ranges."""
    step = Step.objects.get(pk=step_id)
    for host in Host.objects.filter(status=HostStatus.ACTIVE).exclude(pk=busy.pk):
        publish_help(step, host)


def publish_help(step: Step, host: Host) -> bool:
    """Call one host to help with a step's ranges."""
    naming: Naming = {"argsrepr": f"(step {step.pk} of plan {step.plan_id})"}
    queue = work_queue(host.name)
    return send("knowledge.embed_ranges", step.pk, queue=queue, expires=60, naming=naming)


def publish_sample(plan_id: UUID, host: Host) -> bool:
    """Ask a host to measure how well a plan's new embedder would find."""
    naming: Naming = {"argsrepr": f"(plan {plan_id})"}
    queue = work_queue(host.name)
    return send(SAMPLE_TASK, str(plan_id), queue=queue, expires=120, naming=naming)


def publish_keep_up(index: VectorIndex, host: Host) -> bool:
    """Ask a host to embed what an index lacks."""
    naming: Naming = {"argsrepr": f"(index {index.pk} of knowledge base {index.base_id})"}
    queue = work_queue(host.name)
    return send("knowledge.keep_up", index.pk, queue=queue, expires=60, naming=naming)


def publish_look(folder: WatchedFolder) -> bool:
    """Ask a folder's host to look at it, and note when."""
    WatchedFolder.objects.filter(pk=folder.pk).update(called_at=ClockTimestamp())
    naming: Naming = {"argsrepr": f"(folder {folder.pk} of knowledge base {folder.base_id})"}
    queue = work_queue(folder.host.name)
    return send(LOOK_TASK, folder.pk, queue=queue, expires=60, naming=naming)


def call_mail_sender() -> bool:
    """Have the mails sent that are due."""
    return send(MAIL_TASK, queue=CONTROL_QUEUE, expires=60)


def call_collector() -> bool:
    """Have what nobody needs removed; whether the message was sent."""
    return send(COLLECT_TASK, queue=CONTROL_QUEUE, expires=60)


def call_mover() -> bool:
    """Have the people of mass moves planned and started; whether the message was sent."""
    return send(MOVES_TASK, queue=CONTROL_QUEUE, expires=60)
