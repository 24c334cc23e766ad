"""Ranges of chunks that hosts embed side by side: each is of one step, and of one holder at a time."""

from __future__ import annotations

import pytest

from engines.models import CopyStatus, Host, KnowledgeBase, ModelCopy
from engines.services.knowledge.documents import add_document
from engines.services.knowledge.embeddings import RangeCounts
from migrations_app.models import EmbedRange, Plan
from migrations_app.plans import embed_ranges
from migrations_app.plans.embed_ranges import (
    RangeClaim,
    claim_range,
    count_kept,
    count_texts,
    finish_range,
    ranges_open,
    release_range,
)
from migrations_app.plans.transitions import LeaseLostError, claim_step
from tests.worker.plans import first_step, make_plan
from tests.worker.steps.test_lease import make_range

pytestmark = pytest.mark.django_db(transaction=True)

COUNTS = RangeCounts(embedded=2, already=0, failed=0, cut=0)


def free_range(plan: Plan) -> EmbedRange:
    """A range of a running step that this step's host can embed."""
    step = first_step(plan)
    claim_step(step.pk, "me")
    row = make_range(step.pk, "")
    EmbedRange.objects.filter(pk=row.pk).update(status="pending", lease_until=None)
    ModelCopy.objects.get_or_create(
        revision=row.fingerprint.revision,
        host=host(),
        defaults={"status": CopyStatus.DOWNLOADED, "path": "/m", "checksum": "1" * 64},
    )
    return row


def host() -> Host:
    return Host.objects.order_by("pk")[0]


def state(row: EmbedRange) -> tuple[str, int, str, int]:
    row.refresh_from_db()
    return row.status, row.fence, row.owner, row.embedded


def test_a_step_takes_its_own_ranges_only() -> None:
    of_another, mine = free_range(make_plan()), free_range(make_plan())

    claim = claim_range(mine.step_id, "me", host())

    assert claim is not None
    assert (claim.range, state(of_another)[0]) == (mine, "pending")
    assert claim_range(mine.step_id, "you", host()) is None


def test_who_was_overtaken_neither_ends_nor_releases_a_range() -> None:
    row, beside = free_range(make_plan()), free_range(make_plan())
    overtaken = claim_range(row.step_id, "me", host())
    other = claim_range(beside.step_id, "you", host())
    assert overtaken is not None
    assert other is not None
    # Its lease ended, and you took it; the range beside has the fence that was overtaken.
    EmbedRange.objects.filter(pk=row.pk).update(fence=overtaken.fence + 1, owner="you")
    before = state(row), state(beside)

    with pytest.raises(LeaseLostError):
        finish_range(overtaken)
    release_range(overtaken)

    assert (state(row), state(beside)) == before
    # Both attempts count: what was stored before the lease ended is stored.
    count_kept(overtaken, COUNTS)
    count_kept(RangeClaim(row, overtaken.fence + 1), COUNTS)
    finish_range(RangeClaim(row, overtaken.fence + 1))
    assert (state(row)[0], state(row)[3], ranges_open(row.step_id)) == ("completed", 4, [])
    release_range(other)
    assert state(beside)[0] == "pending"


def test_a_range_that_went_with_its_base_is_no_error() -> None:
    row = free_range(make_plan())
    claim = claim_range(row.step_id, "me", host())
    assert claim is not None
    row.delete()

    finish_range(claim)


def test_only_the_last_range_of_a_base_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_ranges, "RANGE_CHUNKS", 2)
    first = free_range(make_plan())
    base = KnowledgeBase.objects.get(pk=first.base_id)
    ids: list[int] = []
    for number in range(3):
        document = add_document(base.pk, title=f"{number}", text=f"Text number {number}.")
        ids += document.chunks.values_list("pk", flat=True)
    EmbedRange.objects.filter(pk=first.pk).update(first_id=ids[0], last_id=ids[1])
    last = EmbedRange.objects.create(
        step_id=first.step_id,
        base=base,
        fingerprint_id=first.fingerprint_id,
        first_id=ids[2],
        last_id=ids[2],
    )

    assert count_texts(first.step_id) == {first.pk: 2, last.pk: 1}
