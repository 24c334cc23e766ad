"""A small world in which everything is as it must be: what a check of it finds is what a test planted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils import timezone
from redis import Redis

from engines.archive import ArchiveWriter
from engines.models import (
    Conversation,
    Document,
    KnowledgeBase,
    LoraAdapter,
    Message,
    VectorIndex,
)
from engines.services.backups.keys import backup_keys
from engines.services.knowledge.documents import delete_document
from engines.services.people.conversations import add_message, create_conversation
from migrations_app.invariants.check import check_invariants
from migrations_app.invariants.findings import Finding, Surroundings
from migrations_app.models import Backup, IndexSwitch, Plan, Step
from tests.plans.hash_world import HashWorld

SECRET = "a-secret-of-this-test"
TEXTS = ("The bridge is old.", "The violin is loud.", "The glacier melts.")


@dataclass(frozen=True)
class Scene:
    """Ada, moved from ``old`` to ``new`` and able to go back; one plan of hers runs, one was taken back."""

    world: HashWorld
    base: KnowledgeBase
    done: Plan
    running: Plan
    around: Surroundings

    @property
    def document(self) -> Document:
        return Document.objects.filter(base=self.base).earliest("pk")

    @property
    def live(self) -> VectorIndex:
        return VectorIndex.objects.get(live_for=self.base)

    @property
    def left(self) -> VectorIndex:
        """The index that the finished plan can be taken back to."""
        moved = IndexSwitch.objects.get(plan=self.done, base=self.base).from_index
        assert moved is not None
        return moved

    @property
    def adapter(self) -> LoraAdapter:
        return LoraAdapter.objects.get()

    @property
    def backup(self) -> Backup:
        return Backup.objects.get()

    @property
    def message(self) -> Message:
        return Message.objects.earliest("pk")

    def step(self, kind: str, plan: Plan | None = None) -> Step:
        return Step.objects.get(plan=plan or self.done, kind=kind)

    def found(self) -> list[tuple[str, Finding]]:
        """Return what the checker finds now."""
        return list(check_invariants(self.around))


def make_scene(world: HashWorld, redis: Redis, logs: Path) -> Scene:
    logs.mkdir()
    (logs / "web.log").write_text("INFO: all is well\n")
    base = world.base("Notes", *TEXTS)
    taken_back = world.migrated("new")
    world.taken_back(taken_back)
    done = world.migrated("new")
    delete_document(Document.objects.filter(base=base).latest("pk").pk)
    _keep_artifacts(world, done)
    conversation: Conversation = create_conversation(world.user, title="First")
    for words in ("Who are you?", "A llama.", "Since when?"):
        add_message(conversation, role="user", content=words)
    redis.set("sam:progress:1", b'{"step":"x","progress":0.5,"percentage":50.0,"detail":""}', ex=60)
    world.engine("third")
    around = Surroundings(
        world.store, settings.SAM_HOST_NAME, redis, logs, {"THE_SECRET": SECRET}, read_files=True
    )
    return Scene(world, base, done, world.migration("third"), around)


def _keep_artifacts(world: HashWorld, plan: Plan) -> None:
    adapter = world.store.put_bytes(b"an adapter", kind="adapters")
    assert plan.from_revision is not None
    LoraAdapter.objects.create(
        user=world.user,
        name="style",
        base_revision=plan.from_revision,
        artifact_key=adapter.key,
        sha256=adapter.sha256,
        file_size=adapter.size,
    )
    path = world.folder / "archive.sealed"
    with ArchiveWriter(path, backup_keys().current) as writer:
        wrapped = writer.close().wrapped_key
    archive = world.store.put_file(path, kind="backups")
    Backup.objects.create(
        plan=plan,
        user=world.user,
        artifact_key=archive.key,
        sha256=archive.sha256,
        file_size=archive.size,
        wrapped_key=wrapped.to_text(),
        verified_at=timezone.now(),
    )
