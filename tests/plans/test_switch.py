"""The switch: all or nothing, refused by name, and no dearer for much knowledge than for little."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engines.exceptions import SamError
from engines.models import Embedding, KnowledgeBase, VectorIndex
from engines.services.catalog.copies import copy_of, mark_downloaded
from engines.services.knowledge.documents import delete_base
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from migrations_app.models import Plan, PlanEvent
from migrations_app.plans.transitions import (
    CancelAskedError,
    Claim,
    LeaseLostError,
    Outcome,
    claim_step,
    finish_step,
    request_cancel,
)
from migrations_app.states import PlanStatus
from migrations_app.steps.base import ChangedByOthersError, TryAgainError
from migrations_app.steps.switch import switch_effects
from tests.benchmarks.switch import TAIL, person_with_knowledge, plan_at_its_switch

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return person_with_knowledge(30)


@pytest.fixture
def plan(ada: User) -> Plan:
    base = KnowledgeBase.objects.get(owner=ada)
    return plan_at_its_switch(ada, base, target_of(base))


def target_of(base: KnowledgeBase) -> VectorIndex:
    return base.indexes.exclude(live_for=base).get()


def switch(plan: Plan, fence: int = 1) -> None:
    step = plan.steps.get()
    finish_step(Claim(step.pk, fence, "test"), Outcome("Switched.", effects=switch_effects(plan)))


def picture(user: User) -> list[object]:
    """What a switch writes."""
    preference = preference_of(user)
    live = KnowledgeBase.objects.filter(owner=user).order_by("pk")
    return [
        preference.version,
        preference.engine_id,
        preference.prompt_family,
        *live.values_list("live_index_id", "embed_on_write_for_id"),
        user.preference_snapshots.count(),
        PlanEvent.objects.count(),
    ]


def refused(plan: Plan, user: User, error: type[SamError], fence: int = 1) -> None:
    before = picture(user)
    with pytest.raises(error):
        switch(plan, fence)
    assert picture(user) == before


def test_the_switch_moves_everything_at_once(plan: Plan, ada: User) -> None:
    target = target_of(KnowledgeBase.objects.get(owner=ada))

    switch(plan)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.COMPLETED
    assert KnowledgeBase.objects.get(owner=ada).live_index == target
    assert preference_of(ada).revision == target.fingerprint.revision
    assert plan.switched["bases"] == [[plan.index_switches.get().base_id, *indexes_of(plan), True]]


@pytest.mark.parametrize("is_there", [True, False])
def test_the_switch_names_the_file_that_is_there(
    plan: Plan, ada: User, tiny_llama: Path, is_there: bool
) -> None:
    revision = plan.to_revision
    assert revision is not None
    assert plan.host is not None
    copy = copy_of(revision, plan.host)
    if is_there:
        mark_downloaded(copy, tiny_llama, revision.sha256)

    switch(plan)

    assert preference_of(ada).local_model_path == (str(tiny_llama) if is_there else "")


def indexes_of(plan: Plan) -> list[int | None]:
    one = plan.index_switches.get()
    return [one.from_index_id, one.to_index_id]


def test_doing_it_again_with_the_same_claim_changes_nothing(plan: Plan, ada: User) -> None:
    """The COMMIT's answer was lost: the second try finds its own work and is content."""
    switch(plan)
    before = picture(ada)

    switch(plan)

    assert picture(ada) == before


def test_a_zombie_with_an_old_fence_switches_nothing(plan: Plan, ada: User) -> None:
    plan.steps.update(fence=2)

    refused(plan, ada, LeaseLostError)


def test_a_claim_is_told_of_its_own_plan_only(plan: Plan, ada: User) -> None:
    someone = person_with_knowledge(20)
    base = KnowledgeBase.objects.get(owner=someone)
    other = plan_at_its_switch(someone, base, target_of(base))

    assert claim_step(plan.steps.get().pk, "worker") is not None

    plan.refresh_from_db()
    other.refresh_from_db()
    assert (plan.current_step, other.current_step) == ("cut_over", "")


def test_a_cancel_that_came_first_wins(plan: Plan, ada: User) -> None:
    request_cancel(plan.pk, who="ada")

    refused(plan, ada, CancelAskedError)


def test_text_without_its_vector_holds_the_switch_back(plan: Plan, ada: User) -> None:
    space = plan.index_switches.get().to_index.fingerprint
    tail = KnowledgeBase.objects.get(owner=ada).chunks.latest("created_seq")
    Embedding.objects.filter(fingerprint=space, content_hash=tail.content_hash).delete()

    refused(plan, ada, TryAgainError)


def test_one_base_that_lags_holds_all_bases_back(plan: Plan, ada: User) -> None:
    KnowledgeBase.objects.create(owner=ada, name="Created meanwhile")

    refused(plan, ada, TryAgainError)


def test_an_engine_chosen_meanwhile_is_not_overwritten(plan: Plan, ada: User) -> None:
    write_preference(preference_of(ada), EngineChoice(None, None, "other"), why="Somebody else.")

    refused(plan, ada, ChangedByOthersError)


def test_an_index_chosen_meanwhile_is_not_overwritten(plan: Plan, ada: User) -> None:
    KnowledgeBase.objects.filter(owner=ada).update(live_index=None)

    refused(plan, ada, ChangedByOthersError)


def test_a_base_deleted_meanwhile_is_no_hindrance(plan: Plan, ada: User) -> None:
    KnowledgeBase.objects.filter(owner=ada).update(live_index=None)
    KnowledgeBase.objects.get(owner=ada).delete()

    switch(plan)

    plan.refresh_from_db()
    assert (plan.status, plan.switched["bases"]) == (PlanStatus.COMPLETED, [])


def test_a_base_that_was_moved_can_be_deleted(plan: Plan, ada: User) -> None:
    switch(plan)

    delete_base(KnowledgeBase.objects.get(owner=ada).pk)

    assert not KnowledgeBase.objects.filter(owner=ada).exists()
    assert not plan.index_switches.exists()


def test_much_knowledge_costs_no_more_statements_than_little(ada: User, plan: Plan) -> None:
    counts = []
    for chunks in (25, 500):
        user = person_with_knowledge(chunks)
        base = KnowledgeBase.objects.get(owner=user)
        other = plan_at_its_switch(user, base, target_of(base))
        with CaptureQueriesContext(connection) as queries:
            switch(other)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def rows_read() -> dict[str, int]:
    """Rows of texts and vectors that this transaction has read so far, by whatever plan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) "
            "FROM pg_stat_xact_user_tables "
            "WHERE relname IN ('engines_chunk', 'engines_embedding')"
        )
        return dict(cursor.fetchall())


# A table of few pages is rightly read whole.
@pytest.mark.parametrize("chunks", [2_000, 5_000])
def test_no_switch_reads_more_than_the_tail_however_often_one_connection_does_it(
    db: None, chunks: int
) -> None:
    """Ten on one connection: a statement that is planned anew after five would show here."""
    user = person_with_knowledge(chunks)
    base = KnowledgeBase.objects.get(owner=user)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE engines_chunk, engines_embedding")
    read = []
    for _ in range(10):
        base.refresh_from_db()
        plan = plan_at_its_switch(user, base, target_of(base))
        before = rows_read()
        switch(plan)
        read.append({table: rows - before[table] for table, rows in rows_read().items()})

    assert read == [{"engines_chunk": TAIL, "engines_embedding": TAIL}] * 10
