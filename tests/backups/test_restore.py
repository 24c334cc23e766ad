"""A backup put back: on an empty database, over a person, under a new name, or refused and nothing changed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone

from engines.archive import MasterKeyRing
from engines.exceptions import ConflictError, InvalidRequestError, NotAllowedError, SamError
from engines.models import (
    Chunk,
    CopyStatus,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelRevision,
    WatchedFolder,
)
from engines.services.catalog.copies import copy_mark, copy_of
from engines.services.knowledge.passages import cited_passages
from engines.services.knowledge.watched.attaching import attach_folder
from engines.services.people.conversations import create_conversation
from migrations_app.backups import find_backups, start_backup, start_restore
from migrations_app.models import Backup, Plan
from migrations_app.people import delete_person
from migrations_app.plans.actions import explain_refusal
from migrations_app.plans.backup_plans import RestoreWish
from migrations_app.plans.housekeeping import end_stale_downloads
from migrations_app.plans.transitions import Outcome, request_cancel
from migrations_app.states import PlanAction, PlanStatus
from migrations_app.steps.base import StepContext
from migrations_app.steps.fetch import fetch_models
from tests.backups.belongings import ADAPTER, GROUP, TEXTS, belongings_of, give_belongings
from tests.knowledge.world import make_model
from tests.plans.hash_world import HashWorld, all_rows, make_world
from worker.steps.runner import StepFailedError

DATA = Path(__file__).parent / "data"


def backed_up(world: HashWorld) -> Backup:
    plan = world.run(start_backup(world.user, actor=world.user))
    assert plan.status == PlanStatus.COMPLETED, plan.error_message
    return Backup.objects.get(plan=plan)


def after_a_disaster(world: HashWorld, *engines: str) -> HashWorld:
    """Return a fresh installation of which nothing but the store and the key was there before."""
    call_command("flush", interactive=False, verbosity=0)
    new = make_world(world.folder, world.store, world.lender)
    for name in engines:
        new.engine(name)
    User.objects.filter(pk=new.user.pk).delete()
    return new


def administrator() -> User:
    return User.objects.create_superuser("root")


def restored(world: HashWorld, backup: Backup, wish: RestoreWish, actor: User | None) -> Plan:
    plan = world.run(start_restore(backup, wish, actor=actor))
    assert plan.status == PlanStatus.COMPLETED, plan.error_message
    return plan


def test_on_an_empty_database_the_store_and_the_key_give_the_same_person(world: HashWorld) -> None:
    give_belongings(world)
    before = belongings_of(world.user)
    backed_up(world)
    made = Backup.objects.get()
    assert made.verified_at is not None
    assert made.verified_at >= made.created_at, "made first, then read back"
    began = Plan.objects.get().created_at
    new = after_a_disaster(world, "old", "new")
    flushed = timezone.now()
    Group.objects.create(name=GROUP)

    (found,) = find_backups().backups
    assert (found.person_name, found.user) == ("ada", None)
    assert began < found.created_at < flushed
    plan = restored(new, found, RestoreWish(into="ada"), administrator())

    ada = User.objects.get(username="ada")
    assert belongings_of(ada) == before
    assert (ada.email, ada.has_usable_password()) == ("ada@example.org", False)
    assert [group.name for group in ada.groups.all()] == [GROUP]
    assert plan.warning == ""
    assert (plan.user, Backup.objects.get().user) == (ada, ada)
    adapter = LoraAdapter.objects.get()
    with new.store.open(adapter.artifact_key) as file:
        assert file.read() == ADAPTER
    new.user = ada
    assert new.found(KnowledgeBase.objects.get(), TEXTS[1])[0] == TEXTS[1]
    (passage,) = cited_passages(ada, Message.objects.get(role="assistant").citations)
    assert (passage.is_available, passage.text) == (True, TEXTS[0])


def test_an_archive_of_the_first_format_is_put_back_with_its_record(
    world: HashWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "worker.steps.context.master_keys", lambda: MasterKeyRing.from_secret("5a" * 32)
    )
    file = tmp_path / "old.sealed"
    shutil.copy(DATA / "format-1.sealed", file)
    artifact = world.store.put_file(file, kind="backups")
    backup = Backup.objects.create(
        user=world.user,
        artifact_key=artifact.key,
        sha256=artifact.sha256,
        file_size=artifact.size,
        wrapped_key=(DATA / "format-1.key").read_text().strip(),
    )

    restored(world, backup, RestoreWish(person=world.user), world.user)

    shown = belongings_of(world.user)
    assert [text for _, _, text, _, _ in shown["documents"]] == list(TEXTS)
    assert [message[:2] for message in shown["messages"]] == [
        ("user", "Who counts ships?"),
        ("assistant", "The keeper. ☂"),
    ]
    assert shown["prompts"].system_prompt == "Be brief with Ada."
    assert [name for name, *_ in shown["adapters"]] == ["my style"]
    (passage,) = cited_passages(world.user, Message.objects.get(role="assistant").citations)
    assert passage.text == TEXTS[0]


def test_over_a_person_it_replaces_when_asked_and_the_way_back_is_a_backup(
    world: HashWorld,
) -> None:
    give_belongings(world)
    before = belongings_of(world.user)
    backup = backed_up(world)
    world.engine("new")
    moved = world.migrated("new")
    assert explain_refusal(moved, PlanAction.ROLL_BACK) == ""
    create_conversation(world.user, title="Since then")
    since = belongings_of(world.user)
    rows = all_rows()

    with pytest.raises(ConflictError, match="--replace"):
        start_restore(backup, RestoreWish(person=world.user), actor=world.user)
    assert all_rows() == rows

    plan = restored(world, backup, RestoreWish(person=world.user, replace=True), world.user)
    assert belongings_of(world.user) == before
    assert Chunk.objects.count() == len(TEXTS)
    assert "A backup was put back since" in explain_refusal(moved, PlanAction.ROLL_BACK)

    undone = Backup.objects.get(plan=plan)
    assert undone.reason == Backup.Reason.RESTORE
    restored(world, undone, RestoreWish(person=world.user, replace=True), world.user)
    assert belongings_of(world.user) == since


def test_what_a_restore_fetches_counts_as_being_downloaded(
    world: HashWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = world.placed(make_model("companion"))
    world.uses(world.engine("paired", companion=embedder))
    give_belongings(world)
    backup = backed_up(world)
    called: list[ModelRevision] = []

    def fetch(ctx: StepContext, revisions: list[ModelRevision]) -> Outcome:
        for revision in revisions:
            copy_mark(copy_of(revision, world.host), CopyStatus.DOWNLOADING)
            assert end_stale_downloads() == 0
            world.placed(revision)
        called.extend(revisions)
        return fetch_models(ctx, revisions)

    monkeypatch.setattr("migrations_app.steps.restore.fetch_models", fetch)

    restored(world, backup, RestoreWish(person=world.user, replace=True), world.user)

    assert [revision.model.model_id for revision in called] == ["paired", "companion"]


def test_a_folder_that_is_watched_no_more_is_named(world: HashWorld) -> None:
    give_belongings(world)
    backup = backed_up(world)
    base = KnowledgeBase.objects.get(owner=world.user)
    world.host.folder_roots = ["/srv"]
    world.host.save()
    attach_folder(base.pk, world.host.name, "/srv/handbook", every_seconds=60)

    plan = restored(world, backup, RestoreWish(person=world.user, replace=True), world.user)

    assert not WatchedFolder.objects.exists()
    assert plan.warning == (
        "The base 'Notes' is not kept in step with the folder 'handbook' of the host "
        f"{world.host.name} any more; an administrator can attach it again."
    )


def test_what_cannot_be_put_back_is_said_and_the_rest_is(world: HashWorld) -> None:
    give_belongings(world)
    backed_up(world)
    new = after_a_disaster(world)

    (found,) = find_backups().backups
    plan = restored(new, found, RestoreWish(into="ada"), administrator())

    ada = User.objects.get(username="ada")
    shown = belongings_of(ada)
    assert (shown["engine"], shown["adapters"]) == (None, [])
    assert (len(shown["documents"]), len(shown["messages"])) == (2, 2)
    for said in ("The engine old is not in this catalog", "The adapter 'my style'", GROUP):
        assert said in plan.warning


def cut(raw: bytes) -> bytes:
    return raw[:-20]


def flip(raw: bytes) -> bytes:
    return raw[:-20] + bytes([raw[-20] ^ 1]) + raw[-19:]


def be_another(_raw: bytes) -> bytes:
    return (DATA / "format-1.sealed").read_bytes()


def fails(world: HashWorld, backup: Backup, said: str) -> None:
    """Hold a restore to the sentence with which it fails, and to changing nothing."""
    before = belongings_of(world.user)
    plan = start_restore(backup, RestoreWish(person=world.user, replace=True), actor=world.user)
    with pytest.raises(StepFailedError, match=said):
        world.run(plan)
    plan.refresh_from_db()
    assert plan.status == PlanStatus.FAILED
    assert re.search(said, plan.error_message)
    assert belongings_of(world.user) == before


@pytest.mark.attack
def test_a_bad_archive_or_another_key_changes_nothing(
    world: HashWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_belongings(world)
    backup = backed_up(world)
    path = world.store.local_path(backup.artifact_key, world.folder)
    raw = path.read_bytes()
    for spoil, said in (
        (cut, "damaged, cut short"),
        (flip, "damaged"),
        (be_another, "does not open this backup"),
    ):
        path.unlink()
        path.write_bytes(spoil(raw))
        fails(world, backup, said)
    path.unlink()
    fails(world, backup, "not in the store")
    path.write_bytes(raw)
    monkeypatch.setattr(
        "worker.steps.context.master_keys", lambda: MasterKeyRing.from_secret("another " * 9)
    )
    fails(world, backup, backup.wrapped_key.split(".")[0])


def test_what_breaks_in_the_middle_or_is_cancelled_leaves_nothing(
    world: HashWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks at the last table takes back the first."""
    give_belongings(world)
    backup = backed_up(world)
    before = belongings_of(world.user)
    wish = RestoreWish(person=world.user, replace=True)

    def break_off(*_args: Any) -> None:
        raise SamError("The disk is gone.")

    with monkeypatch.context() as patched:
        patched.setattr("engines.services.backups.restoring.Restorer._take_adapter", break_off)
        fails(world, backup, "The disk is gone")

    plan = start_restore(backup, wish, actor=world.user)
    request_cancel(plan.pk, who="ada")
    assert world.run(plan).status == PlanStatus.CANCELLED
    assert belongings_of(world.user) == before
    with pytest.raises(ConflictError, match="restore the backup that this plan made first"):
        request_cancel(restored(world, backup, wish, world.user).pk, who="ada")


def test_who_may_restore_whom(world: HashWorld) -> None:
    """An operator runs people's plans without their content, so never into a name of their choice."""
    give_belongings(world)
    world.user.groups.add(Group.objects.get_or_create(name="curator")[0])
    backup = backed_up(world)
    world.user.groups.clear()
    bob, oscar = (User.objects.create_user(name) for name in ("bob", "oscar"))
    oscar.groups.add(Group.objects.get_or_create(name="operator")[0])
    rows = all_rows()

    for actor, wish in (
        (bob, RestoreWish(person=world.user, replace=True)),
        (bob, RestoreWish(person=bob)),
        (world.user, RestoreWish(person=bob)),
        (world.user, RestoreWish(into="copy")),
        (oscar, RestoreWish(person=oscar)),
        (oscar, RestoreWish(into="copy")),
    ):
        with pytest.raises(NotAllowedError, match=r"\.$"):
            start_restore(backup, wish, actor=actor)
    root = administrator()
    for name, kind in (("ADA", ConflictError), ("a b", InvalidRequestError)):
        with pytest.raises(kind):
            start_restore(backup, RestoreWish(into=name), actor=root)
    assert {k: v for k, v in all_rows().items() if "Audit" not in k} == {
        k: v for k, v in rows.items() if "Audit" not in k
    }

    restored(world, backup, RestoreWish(person=world.user, replace=True), oscar)
    restored(world, backup, RestoreWish(into="copy"), root)
    copy = User.objects.get(username="copy")
    assert belongings_of(copy) == belongings_of(world.user)
    assert [group.name for group in copy.groups.all()] == [GROUP]
    assert not world.user.groups.exists(), (
        "neither roles nor groups come back by an operator's hand"
    )


def test_erasing_a_person_destroys_the_key_wherever_it_is(world: HashWorld) -> None:
    give_belongings(world)
    backup = backed_up(world)
    administrator()

    delete_person(world.user)

    assert not Backup.objects.filter(pk=backup.pk).exists()
    assert not world.store.exists(backup.artifact_key)
    assert find_backups().backups == []
