"""The Celery tasks: each a name over one function, so that Flower reads like the story."""

from __future__ import annotations

from celery import shared_task

from engines.services.people.outbox import send_due_mails
from migrations_app.moves.turn import take_turn
from migrations_app.serving.protocol import LIVE_KINDS, TASK_PREFIX
from migrations_app.states import ALL_TASKS
from migrations_app.wakeups import (
    COLLECT_TASK,
    LOOK_TASK,
    MAIL_TASK,
    MOVES_TASK,
    SAMPLE_TASK,
    call_mover,
)
from worker import startup
from worker.live.requests import answer
from worker.live.taking import LiveTask
from worker.steps.embedding import help_embedding, keep_index_up
from worker.steps.folders import look_at_folder
from worker.steps.runner import run_step
from worker.steps.sampling import sample_quality
from worker.sweeper import collect_when_due, sweep

startup.connect()


def _step_task(name: str) -> None:
    @shared_task(name=name)
    def step(step_id: int) -> str:
        return run_step(step_id)


def _live_task(kind: str) -> None:
    # Without events: Flower is to tell of work, and an answer would wait for three more messages.
    @shared_task(name=f"{TASK_PREFIX}{kind}", base=LiveTask, send_events=False)
    def live(request_id: str) -> str:
        return answer(kind, request_id)


for _name in ALL_TASKS:
    _step_task(_name)
for _kind in LIVE_KINDS:
    _live_task(_kind)


@shared_task(name="knowledge.embed_ranges")
def embed_ranges(step_id: int) -> str:
    """Help another host with a step's ranges."""
    return help_embedding(step_id)


@shared_task(name="knowledge.keep_up")
def catch_index_up(index_id: int) -> str:
    """Let one index catch up with what people wrote."""
    return keep_index_up(index_id)


@shared_task(name=LOOK_TASK)
def look_at_watched_folder(folder_id: int) -> str:
    """Bring a base up to date with a folder of this host."""
    return look_at_folder(folder_id)


@shared_task(name=SAMPLE_TASK)
def sample_plan(plan_id: str) -> str:
    """Measure how well a plan's new embedder would find."""
    return sample_quality(plan_id)


# Without events: it comes every few seconds, and Flower would tell of little else.
@shared_task(name="control.sweep", send_events=False)
def control_sweep() -> str:
    """Look for what was forgotten."""
    return sweep()


@shared_task(name=COLLECT_TASK)
def control_collect() -> str:
    """Remove what nobody needs any more."""
    return collect_when_due()


@shared_task(name=MAIL_TASK)
def control_mail() -> str:
    """Send what people are told by e-mail."""
    return send_due_mails()


@shared_task(name=MOVES_TASK)
def control_mass_moves() -> str:
    """Plan and start the people of mass moves, a few seconds' worth; what is left calls again."""
    turn = take_turn()
    if turn.has_more:
        call_mover()
    return turn.describe()
