"""Each kind of thing that is needed no more goes by its rule, and not a moment earlier."""

from __future__ import annotations

import fcntl
import io
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from engines.models import (
    Chunk,
    Document,
    Embedding,
    Fingerprint,
    HostEvent,
    HostInvitation,
    KnowledgeBase,
    ModelRevision,
    VectorIndex,
)
from engines.services.knowledge.documents import delete_document
from engines.services.knowledge.indexes import build_file
from engines.services.people.roles import OPERATOR
from migrations_app.collection.collect import RULES, collect, is_collection_due, own_place, survey
from migrations_app.collection.rules import Place
from migrations_app.models import (
    CollectionRun,
    EmbedRange,
    IdempotencyKey,
    Plan,
)
from migrations_app.people import grant_role
from migrations_app.states import PlanKind
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.knowledge.world import Threads, live_index
from tests.plans.conftest import threads, world
from tests.plans.hash_world import HashWorld, all_rows
from worker.sweeper import collect_when_due

__all__ = ["threads", "world"]
"""Fixtures of another folder."""

Counts = dict[str, int]


@pytest.fixture
def place(world: HashWorld, tmp_path: Path) -> Place:
    models = tmp_path / "models"
    models.mkdir()
    # All tests of a run share one store.
    for key in stored(world):
        world.store.delete(key)
    return replace(own_place(), store=world.store, models_dir=models)


def later(place: Place, **span: float) -> Place:
    return replace(place, now=place.now + timedelta(**span))


def due(place: Place) -> Counts:
    """Return what each rule would remove, rules with nothing left out."""
    return {one.rule.name: one.amount.count for one in survey(place) if one.amount.count}


def removed(place: Place) -> Counts:
    """Collect, and return what each rule removed, apart from records of runs that lie in the past by then."""
    done = collect(place)
    assert done is not None
    counts = {one.rule.name: one.amount.count for one in done if one.amount.count}
    counts.pop("runs", None)
    return counts


def stored(world: HashWorld) -> set[str]:
    return {file.key for page in world.store.pages() for file in page}


# --- rows that a rule finds by their age alone


def _key(world: HashWorld) -> None:
    IdempotencyKey.objects.create(user=world.user, key="k", request_sha256="0" * 64)


def _session(_: HashWorld) -> None:
    Session.objects.create(session_key="s", session_data="", expire_date=timezone.now())


def _host_invitation(_: HashWorld) -> None:
    HostInvitation.objects.create(host_name="h", token_hash="t", who="x", expires_at=timezone.now())


def _host_event(world: HashWorld) -> None:
    HostEvent.objects.create(host=world.host, to_status="active", who="x")


AGES: list[tuple[str, Callable[[HashWorld], None], timedelta]] = [
    ("idempotency_keys", _key, timedelta(days=7)),
    ("sessions", _session, timedelta()),
    ("host_invitations", _host_invitation, timedelta(days=30)),
    ("host_events", _host_event, timedelta(days=365)),
]


def test_what_goes_by_its_age_goes_then_and_not_before(world: HashWorld, place: Place) -> None:
    for name, make, age in AGES:
        make(world)
        just_before = replace(place, now=timezone.now() + age - timedelta(minutes=5))
        just_after = replace(place, now=timezone.now() + age + timedelta(minutes=5))
        assert name not in due(just_before)
        assert removed(just_after)[name] == 1
        assert name not in due(just_after)


def test_a_dry_run_changes_nothing_and_says_what_a_collection_does(
    world: HashWorld,
    place: Place,
) -> None:
    _key(world)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(days=8))
    before, files = all_rows(), stored(world)

    said = io.StringIO()
    call_command("collect", dry_run=True, stdout=said)
    assert "1 things would be removed" in said.getvalue()
    assert "is kept for 7 days" in said.getvalue()
    assert (all_rows(), stored(world)) == (before, files)

    said = io.StringIO()
    call_command("collect", json=True, stdout=said)
    told = json.loads(said.getvalue())
    assert set(told) == {rule.name for rule in RULES}
    count, size = told["idempotency_keys"]
    assert (count, size > 0) == (1, True)
    run = CollectionRun.objects.get()
    assert (run.count, run.report) == (1, {"idempotency_keys": [1, size]})
    assert not is_collection_due()
    assert collect_when_due() == "The last collection was within the hour."


def test_the_page_names_each_rule_in_its_own_words() -> None:
    page = Path("docs/decisions/what-nobody-needs-is-collected.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{rule.name}` | {rule.why} |" for rule in RULES]


# --- knowledge


def test_what_a_way_back_needs_is_kept_until_it_ends(world: HashWorld, place: Place) -> None:
    base = world.base("Notes", "The bridge.", "The violin.")
    old = live_index(base)
    plan = world.migrated("new")
    assert plan.retention_until is not None

    assert due(later(place, days=settings.SAM_RETENTION_DAYS - 1)) == {"ranges": 1}
    assert_nothing_wrong()
    while_it_runs = later(place, days=settings.SAM_RETENTION_DAYS + 1)
    back = Plan.objects.create(kind="rollback", user=world.user, rolls_back=plan)
    assert "indexes" not in due(while_it_runs)
    back.delete()

    gone = removed(while_it_runs)
    assert (gone["indexes"], gone["ranges"]) == (1, 1)
    assert gone["vectors"] == 2
    old.refresh_from_db()
    assert (old.base_seq, old.file_key, old.covered_seq) == (None, "", 0)
    assert (old.file_sha256, old.file_count) == ("", 0)
    assert not Embedding.objects.filter(fingerprint=old.fingerprint_id).exists()
    assert not EmbedRange.objects.exists()
    assert stored(world) == {live_index(base).file_key}
    assert world.found(base, "The bridge.")[0] == "The bridge."
    # The checker lives today, when the way back would still be open.
    assert plan.retention_until < while_it_runs.now
    Plan.objects.update(retention_until=timezone.now())
    assert_nothing_wrong(world.store)


def test_after_its_history_nothing_of_a_plan_and_its_rollback_is_left(
    world: HashWorld,
    place: Place,
) -> None:
    world.base("Notes", "The bridge.")
    plan = world.migrated("new")
    world.taken_back(plan)

    assert "history" not in due(later(place, days=settings.SAM_HISTORY_DAYS - 1))
    gone = removed(later(place, days=settings.SAM_HISTORY_DAYS + 1))

    assert gone["history"] == 1
    assert not Plan.objects.exists()
    # The space of "new" is searched by nobody and told of by no plan.
    assert (VectorIndex.objects.count(), Fingerprint.objects.count()) == (1, 1)
    assert removed(later(place, days=settings.SAM_HISTORY_DAYS + 1)) == {}
    assert_nothing_wrong(world.store)


def test_a_deleted_text_leaves_its_vector_at_once_and_its_place_with_the_next_file(
    world: HashWorld,
    place: Place,
) -> None:
    base = world.base("Notes", "The bridge.", "The violin.")
    delete_document(Document.objects.get(base=base, chunks__text="The violin.").pk)

    assert removed(place) == {"vectors": 1}
    assert Chunk.objects.filter(base=base).count() == 2

    build_file(live_index(base), world.store, world.folder, checkpoint=lambda: None)
    assert removed(later(place, days=2)) == {"tombstones": 1, "files": 1}
    assert Chunk.objects.filter(base=base).count() == 1
    assert world.found(base, "The bridge.") == ["The bridge."]
    assert_nothing_wrong(world.store)


def test_a_text_that_is_written_while_its_vector_goes_is_embedded_again(
    world: HashWorld,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from engines.services.knowledge import erasure  # noqa: PLC0415 - the module is patched

    base = world.base("Notes", "The bridge.")
    index = live_index(base)
    uncover = erasure._uncover

    def write_first(spaces: list[int], hashes: list[bytes]) -> None:
        # The row of a text whose writer had seen the vector, and which the deletion did not see.
        seq = KnowledgeBase.objects.get(pk=base.pk).write_seq
        Chunk.objects.filter(base=base).update(deleted_seq=None, created_seq=seq)
        uncover(spaces, hashes)

    monkeypatch.setattr(erasure, "_uncover", write_first)
    Chunk.objects.filter(base=base).update(deleted_seq=99)
    assert removed(place)["vectors"] == 1

    index.refresh_from_db()
    assert index.covered_seq < base.chunks.get().created_seq
    world.keep_up(index)
    assert world.found(base, "The bridge.") == ["The bridge."]


# --- files


def test_a_file_goes_a_day_after_it_was_stored_unless_a_row_names_it_by_then(
    world: HashWorld,
    place: Place,
) -> None:
    base = world.base("Notes", "The bridge.")
    live = live_index(base).file_key
    orphan = world.store.put_bytes(b"nobody's", kind="adapters").key

    assert removed(later(place, hours=23)) == {}
    restore = Plan.objects.create(kind=PlanKind.RESTORE, user=world.user)
    assert removed(later(place, hours=25)) == {}
    restore.delete()
    assert removed(later(place, hours=25)) == {"files": 1}
    assert stored(world) == {live}
    assert not world.store.exists(orphan)


def test_whoever_stores_the_same_again_keeps_it_from_the_collector(
    world: HashWorld,
    place: Place,
    tmp_path: Path,
) -> None:
    key = world.store.put_bytes(b"the same", kind="backups").key
    path = world.store.local_path(key, tmp_path)
    os.utime(path, (0, 0))
    asked: list[str] = []

    def store_meanwhile(wanted: str) -> bool:
        # A writer that comes while the collector looks waits for its lock, and finds out afterwards.
        asked.append(wanted)
        with path.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False

    old = place.now - timedelta(days=1)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert not world.store.remove_unnamed(key, before=old, is_named=store_meanwhile)
    assert asked == []

    assert world.store.put_bytes(b"the same", kind="backups").key == key
    assert not world.store.remove_unnamed(key, before=old, is_named=store_meanwhile)
    os.utime(path, (0, 0))
    assert not world.store.remove_unnamed(key, before=old, is_named=lambda _key: True)
    assert world.store.remove_unnamed(key, before=old, is_named=store_meanwhile)
    assert (asked, world.store.exists(key)) == ([key], False)


def test_half_a_file_is_kept_while_a_plan_wants_it_or_somebody_writes_it(
    world: HashWorld,
    place: Place,
) -> None:
    revision = world.engine("third")
    folder = place.models_dir / revision.sha256 / ".parts"
    folder.mkdir(parents=True)
    part = folder / f"{revision.sha256}.part"
    part.write_bytes(b"half")
    part.with_suffix(".json").write_text("{}")
    week = later(place, days=8)

    assert due(later(place, days=6)) == {}
    plan = Plan.objects.create(kind="download", host=world.host, to_revision=revision)
    assert "parts" not in due(week)
    names = [{"name": str(n), "size": 1, "sha256": digit * 64} for n, digit in enumerate("ab")]
    ModelRevision.objects.filter(pk=revision.pk).update(parts=names)
    assert due(week)["parts"] == 1
    ModelRevision.objects.filter(pk=revision.pk).update(
        parts=[*names, {"name": "2", "size": 4, "sha256": revision.sha256}]
    )
    assert "parts" not in due(week)
    plan.delete()
    with part.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert removed(week) == {}
    assert removed(week) == {"parts": 1}
    assert list(folder.iterdir()) == []


# --- beside everything else


def test_it_waits_for_nobody_and_two_do_not_collect_at_once(
    world: HashWorld,
    place: Place,
    threads: Threads,
) -> None:
    keys = [uuid.uuid4().hex for _ in range(3)]
    for key in keys:
        IdempotencyKey.objects.create(user=world.user, key=key, request_sha256="0" * 64)
    week = later(place, days=8)
    seen: list[object] = []

    with transaction.atomic():
        held = IdempotencyKey.objects.select_for_update().get(key=keys[1])
        assert threads.start(lambda: removed(week)).result(60)["idempotency_keys"] == 2

    class Slow:
        name = why = "slow"

        def survey(self, _place: Place) -> None: ...

        def collect(self, _place: Place) -> object:
            seen.append(threads.start(lambda: collect(week)).result(60))
            return RULES[0].survey(place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrations_app.collection.collect.RULES", (Slow(),))
        collect(week)
    assert seen == [None]
    assert list(IdempotencyKey.objects.values_list("pk", flat=True)) == [held.pk]


def test_operators_read_in_the_admin_what_was_removed(
    world: HashWorld,
    place: Place,
    client: Client,
) -> None:
    world.store.put_bytes(b"x" * 2048, kind="indexes")
    assert removed(later(place, days=2))["files"] == 1
    run = CollectionRun.objects.get()
    world.user.is_staff = True
    world.user.save()
    grant_role(world.user, OPERATOR)
    client.force_login(world.user)

    page = client.get(f"/admin/migrations_app/collectionrun/{run.pk}/change/").content.decode()
    assert "1 files" in page
    assert "A file that no row names goes" in page
    assert "2.0" in client.get("/admin/").content.decode().split("Collected within a week")[1]
    assert client.post(f"/admin/migrations_app/collectionrun/{run.pk}/delete/").status_code == 403
