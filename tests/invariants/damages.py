"""One damage of each kind that the checker must find, and a second one where a rule looks at two things."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.db import connection
from django.db.models import F
from django.utils import timezone
from psycopg import sql

from engines.archive import WrappedKey
from engines.models import (
    Chunk,
    Embedding,
    EnginePreference,
    Host,
    KnowledgeBase,
    LoraAdapter,
    ModelCopy,
    PassageWords,
    PreferenceSnapshot,
    VectorIndex,
    WatchedFolder,
)
from migrations_app.models import Backup, EmbedRange, IndexSwitch, Plan, PlanEvent, Step
from tests.invariants.scene import SECRET, Scene

Undo = Callable[[], object]
Plant = Callable[[Scene], Undo | None]
DAMAGES: list[tuple[str, Plant]] = []
"""The rule that must find it, and what plants it; what is no row is undone by the returned function."""

ABSENT = "0" * 64
TOKEN = "hf_" + "A1b2C3d4E5" * 4


def damage(rule: str) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        DAMAGES.append((rule, plant))
        return plant

    return register


def drop_index(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))


def plan(scene: Scene, **values: object) -> None:
    Plan.objects.filter(pk=scene.done.pk).update(**values)


# --- plans and steps


@damage("two_active_plans")
def _another_plan(scene: Scene) -> None:
    drop_index("one_active_migration_per_person")
    plan(scene, status="in_progress")


@damage("two_running_steps")
def _another_step(scene: Scene) -> None:
    drop_index("one_running_step_per_plan")
    soon = timezone.now() + timedelta(seconds=5)
    running = Step.objects.filter(plan=scene.running)
    running.update(status="in_progress", fence=1, lease_until=soon)


@damage("open_steps_of_ended_plans")
def _open_step(scene: Scene) -> None:
    Step.objects.filter(pk=scene.step("cut_over").pk).update(status="needs_operator")


@damage("plans_nobody_moves")
def _forgotten_step(scene: Scene) -> None:
    Step.objects.filter(plan=scene.running).update(ready_at=None)


@damage("plans_nobody_moves")
def _no_step_left(scene: Scene) -> None:
    Step.objects.filter(plan=scene.running).delete()


@damage("steps_out_of_order")
def _skipped_step(scene: Scene) -> None:
    Step.objects.filter(plan=scene.running, kind="cut_over").update(status="completed")


@damage("leases_without_end")
def _long_lease(scene: Scene) -> None:
    late = timezone.now() + timedelta(days=1)
    Step.objects.filter(plan=scene.running, position=0).update(lease_until=late, owner="x")


@damage("broken_histories")
def _lost_event(scene: Scene) -> None:
    started = PlanEvent.objects.filter(plan=scene.done, step=None, to_status="in_progress")
    started.delete()


@damage("broken_histories")
def _doubled_event(scene: Scene) -> None:
    last = PlanEvent.objects.filter(step=scene.step("re_embed")).latest("pk")
    last.pk = None
    last.save()


@damage("unexplained_statuses")
def _status_by_hand(scene: Scene) -> None:
    plan(scene, status="failed", switched={})


@damage("wrong_progress")
def _progress_went_back(scene: Scene) -> None:
    plan(scene, progress_percentage=40)


@damage("ranges_left_open")
def _open_range(scene: Scene) -> None:
    EmbedRange.objects.filter(step=scene.step("re_embed")).update(status="pending")


# --- effects


@damage("effects_of_cancelled_plans")
def _cancelled_with_effect(scene: Scene) -> None:
    Plan.objects.filter(pk=scene.done.pk).update(status="cancelled")


@damage("effects_of_cancelled_plans")
def _engine_of_a_cancelled_plan(scene: Scene) -> None:
    Plan.objects.filter(pk=scene.running.pk).update(status="cancelled")
    PreferenceSnapshot.objects.create(
        user=scene.world.user, version=99, why=f"Plan {scene.running.pk}"
    )


@damage("half_rollbacks")
def _taken_back_by_nobody(scene: Scene) -> None:
    plan(scene, status="rolled_back")


@damage("half_rollbacks")
def _rollback_without_end(_: Scene) -> None:
    Plan.objects.filter(status="rolled_back").update(status="completed")


@damage("doubled_switches")
def _switched_twice(scene: Scene) -> None:
    why = f"Plan {scene.done.pk}"
    PreferenceSnapshot.objects.create(user=scene.world.user, version=99, why=why)


@damage("doubled_notes")
def _noted_twice(_: Scene) -> None:
    note = {"action": "invalidated_by_migration", "plan": "1"}
    LoraAdapter.objects.update(training_stats={"migration_notes": [note, note]})


@damage("lost_preference_versions")
def _lost_version(_: Scene) -> None:
    EnginePreference.objects.update(version=F("version") + 1)


@damage("ways_back_that_are_lost")
def _no_index_to_go_back_to(scene: Scene) -> None:
    IndexSwitch.objects.filter(plan=scene.done).delete()


@damage("ways_back_that_are_lost")
def _no_engine_to_go_back_to(scene: Scene) -> None:
    version = scene.done.switched["version_before"]
    PreferenceSnapshot.objects.filter(version=version).update(version=98)


# --- knowledge


@damage("documents_without_chunks")
def _lost_text(scene: Scene) -> None:
    Chunk.objects.filter(document=scene.document).delete()


@damage("chunks_without_document")
def _chunk_left(scene: Scene) -> None:
    Chunk.objects.filter(document=scene.document).update(document=None)


@damage("texts_that_were_to_be_erased")
def _text_left(_: Scene) -> None:
    Chunk.objects.exclude(deleted_seq=None).update(text="Still here.")


@damage("texts_that_were_to_be_erased")
def _words_left(_: Scene) -> None:
    gone = Chunk.objects.exclude(deleted_seq=None).first()
    assert gone is not None
    PassageWords.objects.create(chunk=gone, base_id=gone.base_id, size=1, words="still here")


@damage("doubled_chunks")
def _chunk_twice(scene: Scene) -> None:
    chunk = Chunk.objects.get(document=scene.document)
    chunk.pk = None
    chunk.save()


@damage("chunks_of_the_future")
def _base_went_back(_: Scene) -> None:
    KnowledgeBase.objects.update(write_seq=1)
    VectorIndex.objects.update(base_seq=1, covered_seq=1)


@damage("chunks_of_the_future")
def _index_went_ahead(scene: Scene) -> None:
    VectorIndex.objects.filter(pk=scene.live.pk).update(base_seq=99)


@damage("chunks_without_words")
def _words_lost(scene: Scene) -> None:
    PassageWords.objects.filter(chunk__document=scene.document).delete()


@damage("chunks_without_vector")
def _vector_lost(scene: Scene) -> None:
    Embedding.objects.filter(fingerprint=scene.live.fingerprint_id).delete()


@damage("chunks_without_vector")
def _vector_of_the_way_back_lost(scene: Scene) -> None:
    Embedding.objects.filter(fingerprint=scene.left.fingerprint_id).delete()


@damage("vectors_of_other_size")
def _cut_vector(scene: Scene) -> None:
    Embedding.objects.filter(fingerprint=scene.live.fingerprint_id).update(vector=b"12")


@damage("crossed_pointers")
def _index_of_another(scene: Scene) -> None:
    other = KnowledgeBase.objects.create(owner=scene.world.user, name="Other")
    KnowledgeBase.objects.filter(pk=other.pk).update(live_index=scene.live)


@damage("crossed_pointers")
def _revision_of_another(scene: Scene) -> None:
    EnginePreference.objects.update(revision=scene.done.from_revision)


@damage("writers_left_waiting")
def _writers_wait(scene: Scene) -> None:
    KnowledgeBase.objects.update(embed_on_write_for=scene.left)


@damage("downloads_nobody_makes")
def _nobody_downloads(scene: Scene) -> None:
    copies = ModelCopy.objects.filter(revision=scene.done.from_revision)
    copies.update(status="downloading")


@damage("folders_nobody_looks_at")
def _nobody_looks(scene: Scene) -> None:
    host = scene.done.host
    assert host is not None
    Host.objects.filter(pk=host.pk).update(status="active", last_seen=timezone.now())
    WatchedFolder.objects.create(
        base=scene.base,
        host=host,
        path="/srv/notes",
        name="notes",
        every_seconds=60,
        next_look_at=timezone.now() - timedelta(hours=7),
    )


@damage("gaps_in_conversations")
def _lost_message(scene: Scene) -> None:
    scene.message.delete()


# --- files


@damage("broken_index_files")
def _index_file_gone(scene: Scene) -> None:
    VectorIndex.objects.filter(pk=scene.left.pk).update(
        file_key=f"indexes/00/{ABSENT}", file_sha256=ABSENT
    )


@damage("broken_index_files")
def _index_file_damaged(scene: Scene) -> Undo:
    return _overwrite(scene, scene.left.file_key, b"something else")


@damage("broken_adapter_files")
def _adapter_file_damaged(scene: Scene) -> Undo:
    return _overwrite(scene, scene.adapter.artifact_key, b"An adapter")


@damage("broken_adapter_files")
def _adapter_of_another_size(_: Scene) -> None:
    LoraAdapter.objects.update(file_size=1)


@damage("broken_backup_files")
def _backup_file_gone(scene: Scene) -> Undo:
    with scene.world.store.open(scene.backup.artifact_key) as file:
        content = file.read()
    scene.world.store.delete(scene.backup.artifact_key)
    return lambda: scene.world.store.put_bytes(content, kind="backups")


@damage("broken_backup_files")
def _backup_names_another(scene: Scene) -> None:
    Backup.objects.update(artifact_key=scene.adapter.artifact_key)


@damage("backups_that_nobody_can_open")
def _backup_of_another_key(_: Scene) -> None:
    strange = WrappedKey("0" * 16, bytes(60))
    Backup.objects.update(wrapped_key=strange.to_text())


@damage("broken_model_files")
def _model_file_cut(_: Scene) -> Undo:
    path = Path(ModelCopy.objects.filter(status="downloaded").earliest("pk").path)
    content = path.read_bytes()
    path.write_bytes(b"cut")
    return lambda: path.write_bytes(content)


@damage("files_left_behind")
def _file_left(scene: Scene) -> Undo:
    key = scene.world.store.put_bytes(b"nobody's", kind="indexes").key
    path = scene.world.store.local_path(key, Path())
    os.utime(path, (0, 0))
    return lambda: scene.world.store.delete(key)


def _overwrite(scene: Scene, key: str, content: bytes) -> Undo:
    path = scene.world.store.local_path(key, Path())
    before = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content)
    return lambda: path.write_bytes(before)


# --- secrets, and what Redis keeps


@damage("secrets_in_tables")
def _secret_in_an_event(scene: Scene) -> None:
    event = PlanEvent.objects.filter(plan=scene.done).earliest("pk")
    PlanEvent.objects.filter(pk=event.pk).update(why=f"It failed with {SECRET}.")


@damage("secrets_in_tables")
def _token_in_a_result(scene: Scene) -> None:
    Step.objects.filter(pk=scene.step("re_embed").pk).update(result={"url": f"?token={TOKEN}"})


@damage("secrets_in_redis")
def _secret_in_a_message(scene: Scene) -> Undo:
    assert scene.around.redis is not None
    scene.around.redis.lpush("sam:control", f'{{"args": "{SECRET}"}}')
    return lambda: scene.around.redis and scene.around.redis.delete("sam:control")


@damage("secrets_in_logs")
def _secret_in_a_log(scene: Scene) -> Undo:
    assert scene.around.logs is not None
    path = scene.around.logs / "work.log.1"
    path.write_text(f"WARNING: could not connect with {SECRET}\n")
    return path.unlink


@damage("keys_without_end")
def _endless_key(scene: Scene) -> Undo:
    assert scene.around.redis is not None
    scene.around.redis.set("sam:live:7", "{}")
    return lambda: scene.around.redis and scene.around.redis.delete("sam:live:7")


@damage("unreadable_progress")
def _strange_progress(scene: Scene) -> Undo:
    assert scene.around.redis is not None
    told = '{"step":"x","progress":0.5,"percentage":150.0,"detail":""}'
    scene.around.redis.set("sam:progress:2", told, ex=60)
    return lambda: scene.around.redis and scene.around.redis.delete("sam:progress:2")
