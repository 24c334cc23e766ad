"""Ways in which what a person has is known to break; the list is in ``test_known_breaks``: 7 to 11."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from engines.exceptions import ConflictError
from engines.models import AdapterStatus, Chunk, Embedding, KnowledgeBase, LoraAdapter
from engines.services.knowledge.documents import delete_base, delete_document, update_document
from engines.services.people.preferences import (
    EngineChoice,
    edit_prompts,
    preference_of,
    prompts_of,
    write_preference,
)
from migrations_app.models import Plan
from migrations_app.plans.housekeeping import retained_index_ids
from migrations_app.plans.planning import plan_for_file
from migrations_app.plans.transitions import start_plan
from migrations_app.states import PlanKind, PlanStatus
from tests.knowledge.world import add, make_model
from tests.plans.hash_world import (
    HashWorld,
    all_rows,
    controller,
    live_index,
)
from worker.steps.runner import StepFailedError, run_step

TEXTS = ("the first words", "the second words", "the third words")


def run_kind(plan: Plan, kind: str) -> str:
    return run_step(plan.steps.get(kind=kind).pk)


# --- 7: deleted text ---------------------------------------------------------------------------


def purge_the_dead() -> None:
    """What a collector of old rows would do at the worst moment."""
    Chunk.objects.filter(deleted_seq__isnull=False).delete()


def test_7_deleted_text_does_not_come_back_with_an_index_frozen_before(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    first, second = base.documents.order_by("pk")[:2]
    plan = world.migration("new")
    run_kind(plan, "re_embed")
    delete_document(first.pk)
    update_document(second.pk, text="other words")
    purge_the_dead()
    left = {"other words", "the third words"}

    run_kind(plan, "cut_over")

    live = live_index(base)
    assert (live.file_count, world.spaces()) == (3, ["new"])
    assert set(world.found(base, "the first words")) == left
    assert world.answers_for_the_database()

    delete_document(base.documents.get(text="the third words").pk)
    purge_the_dead()
    world.taken_back(plan)

    live = live_index(base)
    assert (live.file_count, world.spaces()) == (3, ["old"])
    assert world.found(base, "the third words") == ["other words"]
    assert world.answers_for_the_database()


def test_7_the_id_of_a_purged_chunk_is_not_given_again(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    last = base.chunks.latest("pk").pk
    delete_document(base.documents.latest("pk").pk)
    purge_the_dead()

    add(base, "words of another meaning")

    assert base.chunks.latest("pk").pk > last
    world.keep_up(live_index(base))
    assert world.found(base, "the third words").count("the third words") == 0


# --- 8: chunks in place ------------------------------------------------------------------------


def test_8_no_change_of_a_document_touches_what_a_file_knows_a_chunk_by(world: HashWorld) -> None:
    """So file, delta and dead rows are three conditions on two numbers."""
    base = world.base("Notes", *TEXTS)
    facts = ("pk", "content_hash", "created_seq", "position")
    before = {row[0]: row for row in base.chunks.values_list(*facts)}
    seq = live_index(base).base_seq
    first, second, _third = base.documents.order_by("pk")

    update_document(first.pk, text="changed words")
    update_document(first.pk, text="the first words")
    delete_document(second.pk)

    after = {row[0]: row for row in base.chunks.values_list(*facts)}
    assert {pk: after[pk] for pk in before} == before
    kept = base.chunks.filter(created_seq__lte=seq, deleted_seq__isnull=True)
    late = base.chunks.filter(created_seq__gt=seq, deleted_seq__isnull=True)
    dead = base.chunks.filter(created_seq__lte=seq, deleted_seq__gt=seq)
    assert [c.text for c in kept] == ["the third words"]
    assert [c.text for c in late] == ["the first words"]
    assert dead.count() == 2


# --- 9: several migrations in a row ------------------------------------------------------------


def from_and_to(plan: Plan) -> list[str]:
    names = [f"{end}_index__fingerprint__revision__model__model_id" for end in ("from", "to")]
    return list(plan.index_switches.values_list(*names).get())


def test_9_there_and_there_and_back_and_back_and_the_same_again(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    world.engine("newest")
    indexes = {"old": live_index(base).pk}
    for round_number in range(2):
        first = world.migrated("new")
        indexes["new"] = live_index(base).pk
        second = world.migrated("newest")
        assert [from_and_to(plan) for plan in (first, second)] == [
            ["old", "new"],
            ["new", "newest"],
        ]
        assert retained_index_ids() == {indexes["old"], indexes["new"]}
        add(base, f"words of round {round_number}")
        before = all_rows()
        with pytest.raises(ConflictError, match=f"A later plan .{second.pk}"):
            controller.roll_back_migration(first.pk)
        assert all_rows() == before

        world.taken_back(second)
        assert (world.spaces(), live_index(base).pk) == (["new"], indexes["new"])
        assert retained_index_ids() == {indexes["old"]}
        world.taken_back(first)
        assert (world.spaces(), live_index(base).pk) == (["old"], indexes["old"])
        assert retained_index_ids() == set()
        assert preference_of(world.user).prompt_family == "old-family"
        assert world.answers_for_the_database()

    for embedder in world.lender.embedders.values():
        assert len(embedder.texts) == len(set(embedder.texts))


def test_9_a_base_re_embedded_since_is_taken_back_before_the_migration(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    world.engine("third")
    migration = world.migrated("new")
    later = re_embedded(world, base, "third")
    assert world.spaces() == ["third"]
    before = all_rows()

    with pytest.raises(ConflictError, match=f"A later plan .{later.pk}"):
        controller.roll_back_migration(migration.pk)

    assert all_rows() == before
    world.taken_back(later)
    assert world.spaces() == ["new"]
    world.taken_back(migration)
    assert world.spaces() == ["old"]


def test_9_a_re_embedding_from_before_the_migration_waits_for_its_turn(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    world.engine("third")
    earlier = re_embedded(world, base, "third")
    migration = world.migrated("new")

    with pytest.raises(ConflictError, match=f"A later plan .{migration.pk}"):
        controller.roll_back_migration(earlier.pk)

    assert world.spaces() == ["new"]
    world.taken_back(migration)
    assert world.spaces() == ["third"]


def re_embedded(world: HashWorld, base: KnowledgeBase, engine: str) -> Plan:
    """Give one base another embedder by a whole plan, its probe included."""
    plan_id = controller.create_re_embed_plan(base, engine, actor=world.user)
    controller.execute_migration(plan_id)
    return world.run(Plan.objects.get(pk=plan_id))


def test_9_the_embedder_that_the_way_back_needs_is_not_deleted(world: HashWorld) -> None:
    """A companion: no plan names it as the engine it came from."""
    companion = world.placed(make_model("companion"))
    world.uses(world.engine("chat", companion=companion))
    world.base("Notes", *TEXTS)
    assert world.spaces() == ["companion"]
    plan = world.migrated("new")

    with pytest.raises(StepFailedError, match="may still be taken back"):
        run_kind(deletion(world, companion), "delete")

    assert companion.copies.get().status == "downloaded"
    world.taken_back(plan)
    assert world.spaces() == ["companion"]


def test_9_what_no_clock_keeps_any_more_may_be_deleted(world: HashWorld) -> None:
    companion = world.placed(make_model("companion"))
    world.uses(world.engine("chat", companion=companion))
    world.base("Notes", *TEXTS)
    plan = world.migrated("new")
    Plan.objects.filter(pk=plan.pk).update(retention_until="2000-01-01T00:00:00Z")

    run_kind(deletion(world, companion), "delete")

    assert companion.copies.get().status == "not_downloaded"


def deletion(world: HashWorld, revision: Any) -> Plan:
    plan = plan_for_file(PlanKind.DELETE, revision, world.host, actor=None)
    return start_plan(plan.pk, who="operator")


def test_9_a_base_whose_re_embedding_was_taken_back_can_be_deleted(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    world.taken_back(re_embedded(world, base, "new"))

    delete_base(base.pk)

    assert not KnowledgeBase.objects.exists()
    assert not Plan.objects.exists()


# --- 10: edited meanwhile ----------------------------------------------------------------------


def test_10_prompts_edited_since_the_switch_outlive_the_rollback(world: HashWorld) -> None:
    plan = world.migrated("new")
    edit_prompts(world.user, "new-family", {"system_prompt": "Written on the new engine."})
    edit_prompts(world.user, "old-family", {"system_prompt": "Written for the old one."})

    world.taken_back(plan)

    assert preference_of(world.user).prompt_family == "old-family"
    kept = [prompts_of(world.user, f"{name}-family").system_prompt for name in ("old", "new")]
    assert kept == ["Written for the old one.", "Written on the new engine."]


def test_10_prompts_chosen_since_the_switch_stay_and_the_rollback_says_so(
    world: HashWorld,
) -> None:
    plan = world.migrated("new")
    chosen = preference_of(world.user)
    choice = EngineChoice(chosen.engine, chosen.revision, "mine")
    write_preference(chosen, choice, why="By hand.")

    back = world.taken_back(plan)

    after = preference_of(world.user)
    assert after.engine is not None
    assert (after.engine.model_id, after.prompt_family) == ("old", "mine")
    assert back.switched["left"] == ["The prompts were changed since and are left as they are."]
    assert plan.status == PlanStatus.ROLLED_BACK


def test_10_an_engine_chosen_since_the_switch_stays_and_its_adapters_do_not_change(
    world: HashWorld,
) -> None:
    old = preference_of(world.user).revision
    assert old is not None
    adapter = LoraAdapter.objects.create(
        user=world.user,
        name="style",
        base_revision=old,
        artifact_key="adapters/aa/x",
        sha256="a" * 64,
        file_size=10,
    )
    third = world.engine("third")
    plan = world.migrated("new")
    world.uses(third)
    before = preference_of(world.user)

    back = world.taken_back(plan)

    after = preference_of(world.user)
    assert (after.version, after.revision) == (before.version, third)
    assert back.switched["left"] == ["The engine was changed since and is left as it is."]
    adapter.refresh_from_db()
    assert adapter.status == AdapterStatus.INVALIDATED


def test_10_an_engine_chosen_over_rest_before_the_switch_is_not_overwritten(
    world: HashWorld,
) -> None:
    third = world.engine("third")
    plan = world.migration("new")
    run_kind(plan, "re_embed")
    client = APIClient()
    client.force_authenticate(world.user)
    tag = client.get("/api/v1/preferences")["ETag"]
    answer = client.patch(
        "/api/v1/preferences",
        {"active_engine_id": "third"},
        format="json",
        headers={"If-Match": tag},
    )
    assert answer.status_code == 200, answer.content
    chosen = preference_of(world.user).version

    with pytest.raises(StepFailedError, match="make a new plan"):
        run_kind(plan, "cut_over")

    after = preference_of(world.user)
    assert (after.version, after.revision) == (chosen, third)
    plan.refresh_from_db()
    assert (plan.status, plan.switched) == (PlanStatus.FAILED, {})


# --- 11: texts that cannot be embedded, and texts that are there many times --------------------


@pytest.mark.parametrize("trouble", ["poison", "unreadable"])
def test_11_a_text_that_cannot_be_embedded_is_counted_and_does_not_stop_the_plan(
    world: HashWorld, trouble: str
) -> None:
    base = world.base("Notes", *TEXTS, "poison of all kinds")
    setattr(world.lender.of("new"), trouble, "poison")

    plan = re_embedded(world, base, "new")

    assert (plan.status, world.spaces()) == (PlanStatus.COMPLETED, ["new"])
    steps = {step.kind: step for step in plan.steps.all()}
    counted = {"embedded": 3, "failed": 1, "cut": 0, "bases": 1}
    assert steps["re_embed"].result == counted
    assert steps["re_embed"].detail == "Embedded 3 texts, 1 could not be; 1 index files built."
    assert steps["probe"].result["indexes"][0]["not_embeddable"] == 1
    assert steps["probe"].detail.endswith("1 chunks cannot be embedded.")
    assert (
        Embedding.objects.filter(fingerprint=live_index(base).fingerprint_id)
        .exclude(error="")
        .count()
        == 1
    )
    assert set(world.found(base, "the first words")) == set(TEXTS)


def test_11_a_text_that_only_the_old_engine_could_not_embed_is_found_now(world: HashWorld) -> None:
    world.lender.of("old").poison = "poison"
    base = world.base("Notes", *TEXTS, "poison of all kinds")

    plan = re_embedded(world, base, "new")

    assert plan.status == PlanStatus.COMPLETED
    assert plan.steps.get(kind="probe").result["indexes"][0]["not_embeddable"] == 0
    assert world.found(base, "poison of all kinds")[0] == "poison of all kinds"


def test_11_a_text_that_is_there_many_times_counts_as_found(world: HashWorld) -> None:
    """It is one question, and which of equal texts comes first says nothing: hashes are compared."""
    base = world.base("Notes", *["the same words"] * 12, *TEXTS)

    plan = re_embedded(world, base, "new")

    proof = plan.steps.get(kind="probe").result["indexes"][0]
    assert (proof["sample"], proof["found"], proof["in_file"]) == (4, 4, 15)
    assert plan.status == PlanStatus.COMPLETED
