"""The specification's scenarios, on real workers: happy path, cautious user, rollback path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from engines.exceptions import ConflictError
from engines.files.artifacts import ArtifactStore
from engines.models import (
    AdapterStatus,
    CopyStatus,
    Document,
    KnowledgeBase,
    LoraAdapter,
    ModelCopy,
    PreferenceSnapshot,
)
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.knowledge.documents import add_document, delete_document
from engines.services.knowledge.indexes import base_digest, index_digest
from engines.services.people.adapters import retraining_of
from engines.services.people.preferences import preference_of, prompts_of
from engines.specs import EngineSpec
from migrations_app.controller import MigrationController
from migrations_app.models import Backup, Plan
from migrations_app.states import PlanStatus
from migrations_app.steps.probe import QUESTION
from tests.faults.harness import STEPS, finished, migrate
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.world.people import NEW, OLD, Person
from tests.world.state import final_state, terminal_events
from tests.world.workers import Workers

controller = MigrationController()


def adapter_of(person: Person) -> LoraAdapter:
    return LoraAdapter.objects.get(user=person.user)


def indexes_answer_for_the_database(person: Person, store: ArtifactStore) -> bool:
    """Whether each live index answers for exactly what its base holds."""
    bases = KnowledgeBase.objects.filter(owner=person.user).select_related("live_index")
    digests = [
        (index_digest(base.live_index, store), base_digest(base, base.live_index.fingerprint_id))
        for base in bases
        if base.live_index is not None
    ]
    return len(digests) == len(person.bases) and all(left == right for left, right in digests)


def tokens_read(model: Path) -> int:
    """Of the probe's question as the engine reads it, and not as if its template's marks were words."""
    with LlamaCppEngine.from_spec(EngineSpec("tiny", "Tiny", str(model))) as engine:
        engine.load_model()
        return engine.count_prompt_tokens([{"role": "user", "content": QUESTION}])


def test_happy_path(ada: Person, store: ArtifactStore, workers: Workers, tiny_qwen: Path) -> None:
    plan = finished(migrate(ada))

    assert plan.status == PlanStatus.COMPLETED, plan.error_message
    assert terminal_events(plan) == dict.fromkeys(STEPS, 1)
    preference = preference_of(ada.user)
    assert preference.engine_upgrade["active_engine_id"] == NEW
    assert preference.engine_upgrade["engine_family"] == "qwen"
    assert preference.version == 3
    assert prompts_of(ada.user, preference.prompt_family).system_prompt == "You are a qwen."
    assert adapter_of(ada).status == AdapterStatus.INVALIDATED
    notes = adapter_of(ada).training_stats["migration_notes"]
    assert [note["action"] for note in notes] == ["invalidated_by_migration"]
    copy = ModelCopy.objects.get(revision=ada.new)
    assert copy.status == CopyStatus.DOWNLOADED
    assert (copy.texts_per_second or 0) > 0
    kept = Backup.objects.get(plan=plan).contents
    assert kept["documents"] == Document.objects.count() > 0
    probed = plan.steps.get(kind="probe").result["engine"]
    assert probed["prompt_tokens"] == tokens_read(tiny_qwen)
    assert indexes_answer_for_the_database(ada, store)
    assert ada.user.conversations.get().messages.count() == 2
    assert_nothing_wrong()


def test_cautious_user(ada: Person, store: ArtifactStore, workers: Workers) -> None:
    """With every option off the switch leaves index, prompts and their embedder as they are."""
    live = list(KnowledgeBase.objects.values_list("live_index_id", flat=True))
    plan_id = controller.create_migration_plan(
        "current", NEW, "ada", backup_lora=False, re_embed=False, update_prompts=False
    )
    assert dict(controller.preview_migration(plan_id))["to_embed"] == 0

    controller.execute_migration(plan_id)
    plan = finished(Plan.objects.get(pk=plan_id))

    assert plan.status == PlanStatus.COMPLETED, plan.error_message
    assert preference_of(ada.user).engine_upgrade["active_engine_id"] == NEW
    assert preference_of(ada.user).prompt_family == "llama"
    assert list(KnowledgeBase.objects.values_list("live_index_id", flat=True)) == live
    assert "adapters" not in Backup.objects.get(plan=plan).contents
    assert adapter_of(ada).status == AdapterStatus.INVALIDATED
    assert indexes_answer_for_the_database(ada, store)

    late = controller.create_re_embed_plan(ada.bases[0], actor=ada.user)
    controller.execute_migration(late)
    assert finished(Plan.objects.get(pk=late)).status == PlanStatus.COMPLETED
    base = KnowledgeBase.objects.select_related("live_index__fingerprint").get(pk=ada.bases[0].pk)
    assert base.live_index is not None
    assert base.live_index.fingerprint.revision == ada.new
    assert indexes_answer_for_the_database(ada, store)


def test_rollback_path(ada: Person, store: ArtifactStore, workers: Workers) -> None:
    """Going back restores engine, prompts, adapters and indexes, and keeps what was written since."""
    preference = preference_of(ada.user)
    before = preference.engine_upgrade
    live = list(KnowledgeBase.objects.values_list("live_index_id", flat=True))
    # Somebody else was at the same version once, with nothing chosen.
    other = User.objects.create(pk=-1, username="other")
    PreferenceSnapshot.objects.create(user=other, version=preference.version, why="By hand.")
    plan = finished(migrate(ada))
    left_behind = retraining_of(adapter_of(ada))
    assert left_behind is not None
    assert (left_behind.from_engine, left_behind.to_engine) == (OLD, NEW)
    add_document(
        ada.bases[0].pk, title="Since", text="Written after the switch.", media_type="text/plain"
    )
    delete_document(ada.bases[1].documents.order_by("pk")[0].pk)

    back = finished(Plan.objects.get(pk=controller.roll_back_migration(plan.pk)))

    assert back.status == PlanStatus.COMPLETED, back.error_message
    plan.refresh_from_db()
    assert plan.status == PlanStatus.ROLLED_BACK
    after = preference_of(ada.user).engine_upgrade
    assert {k: v for k, v in after.items() if k != "last_upgrade"} == {
        k: v for k, v in before.items() if k != "last_upgrade"
    }
    assert prompts_of(ada.user, "llama").system_prompt == "You answer Ada in verse."
    assert adapter_of(ada).status == AdapterStatus.ACTIVE
    assert list(KnowledgeBase.objects.values_list("live_index_id", flat=True)) == live
    assert indexes_answer_for_the_database(ada, store)


def test_a_failure_before_the_switch_leaves_the_person_exactly_as_before(
    ada: Person, workers: Workers, hub: Any
) -> None:
    """The Hub's file is not what the catalog pins: the plan fails, the person notices nothing."""
    tables = (
        "enginepreference", "preferencesnapshot", "loraadapter", "chunk", "document",
        "knowledgebase", "userprompts", "message", "vectorindex",
    )  # fmt: skip
    plan_id = controller.create_migration_plan("current", NEW, "ada")
    type(ada.new).objects.filter(pk=ada.new.pk).update(sha256="0" * 64)
    before = final_state()

    controller.execute_migration(plan_id)
    plan = finished(Plan.objects.get(pk=plan_id))

    assert plan.status == PlanStatus.FAILED
    assert "SHA-256" in plan.error_message
    after = final_state()
    assert {t: after[t] for t in tables} == {t: before[t] for t in tables}
    assert ModelCopy.objects.get(revision=ada.new).status == CopyStatus.CORRUPTED


@pytest.mark.slow
def test_a_second_plan_of_the_same_person_is_refused_while_one_runs(
    ada: Person, workers: Workers
) -> None:
    first = migrate(ada)
    second = controller.create_migration_plan("current", NEW, "ada")

    with pytest.raises(ConflictError, match=str(first.pk)):
        controller.execute_migration(second)

    assert Plan.objects.get(pk=second).status == PlanStatus.PENDING
    finished(first)


@pytest.mark.slow
def test_cancel_after_the_switch_says_roll_back_instead(ada: Person, workers: Workers) -> None:
    plan = finished(migrate(ada))

    with pytest.raises(ConflictError, match="roll the plan back instead"):
        controller.cancel_migration(plan.pk)

    assert preference_of(ada.user).engine_upgrade["active_engine_id"] == NEW


@pytest.mark.slow
def test_a_chat_engine_is_not_replaced_by_itself(ada: Person, workers: Workers) -> None:
    plans = Plan.objects.count()

    with pytest.raises(Exception, match="already the active engine"):
        controller.create_migration_plan("current", OLD, "ada")

    assert Plan.objects.count() == plans


def file_of_the_old_engine(ada: Person) -> Path:
    return Path(ModelCopy.objects.get(revision=ada.old).path)


def test_the_way_back_fetches_what_is_gone(ada: Person, workers: Workers) -> None:
    plan = finished(migrate(ada))
    path = file_of_the_old_engine(ada)
    path.unlink()

    back = finished(Plan.objects.get(pk=controller.roll_back_migration(plan.pk)))

    assert back.status == PlanStatus.COMPLETED, back.error_message
    assert file_of_the_old_engine(ada).is_file()
    assert preference_of(ada.user).engine_upgrade["active_engine_id"] == OLD
    proof = back.steps.get(kind="probe_back")
    assert proof.detail.startswith("Tiny-Llama answers; 3 old indexes proved (sample ")


def test_the_way_back_to_an_engine_that_does_not_load_is_refused_and_nothing_is_switched(
    ada: Person, workers: Workers
) -> None:
    plan = finished(migrate(ada))
    path = file_of_the_old_engine(ada)
    sound = path.read_bytes()
    path.write_bytes(bytes(len(sound)))

    back = finished(Plan.objects.get(pk=controller.roll_back_migration(plan.pk)))

    path.write_bytes(sound)
    plan.refresh_from_db()
    assert (back.status, plan.status) == (PlanStatus.FAILED, PlanStatus.COMPLETED)
    assert back.steps.get(status="failed").kind == "probe_back"
    assert preference_of(ada.user).engine_upgrade["active_engine_id"] == NEW
    again = finished(Plan.objects.get(pk=controller.roll_back_migration(plan.pk)))
    assert again.status == PlanStatus.COMPLETED, again.error_message
