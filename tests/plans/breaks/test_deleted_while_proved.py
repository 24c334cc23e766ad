"""Knowledge that is deleted while an index is proved: what is not there any more does not speak against it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from engines.models import Document, Embedding
from engines.services.knowledge.documents import delete_document
from migrations_app.plans.transitions import claim_step
from migrations_app.steps.base import ProbeFailedError
from migrations_app.steps.meaning import draw_questions, prove_sound
from tests.knowledge.world import live_index
from tests.plans.hash_world import HashWorld
from worker.steps.context import WorkerContext
from worker.steps.lease import StepLease

TEXTS = ("The bridge.", "The violin.", "The kitchen.")


def make_context(world: HashWorld) -> WorkerContext:
    step = world.migration("new").steps.get(kind="re_embed")
    claim = claim_step(step.pk, "worker")
    assert claim is not None
    return WorkerContext(step, claim, StepLease("worker", claim, time.monotonic()), world.host)


def test_a_passage_that_is_deleted_after_it_was_drawn_is_passed_over(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    index = live_index(base)
    ctx = make_context(world)
    questions = draw_questions(index, seed=1, size=len(TEXTS))
    assert len(questions) == len(TEXTS)

    delete_document(Document.objects.get(base=base, text=TEXTS[0]).pk)
    prove_sound(ctx, index, questions)

    vector = np.ones(index.fingerprint.facts["dimension"], dtype=np.float16).tobytes()
    Embedding.objects.filter(content_hash=questions[-1].content_hash).update(vector=vector)
    with pytest.raises(ProbeFailedError, match="finds itself"):
        prove_sound(ctx, index, [one for one in questions if one.text != TEXTS[0]])
