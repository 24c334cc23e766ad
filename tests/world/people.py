"""A person with everything a migration moves, on tiny real engines that embed for themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from django.contrib.auth.models import User
from django.utils import timezone

from deploy.demo.models.tiny_models import write_lora_for
from engines.files.artifacts import ArtifactStore
from engines.models import (
    CatalogModel,
    Host,
    HostStatus,
    KnowledgeBase,
    ModelRevision,
    PromptTemplate,
)
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.catalog.copies import copy_of, copy_path, engine_spec, mark_downloaded
from engines.services.catalog.resolving import resolve_model
from engines.services.knowledge.documents import add_document, create_base
from engines.services.knowledge.fingerprints import embedding_spec_of, fingerprint_for
from engines.services.knowledge.indexes import index_for
from engines.services.knowledge.keep_up import keep_up
from engines.services.people.adapters import store_adapter
from engines.services.people.conversations import add_message, create_conversation
from engines.services.people.preferences import (
    EngineChoice,
    edit_prompts,
    preference_of,
    write_preference,
)
from migrations_app.serving.protocol import LIVE_KINDS
from migrations_app.steps import HANDLERS
from tests.world.workers import HOST

OLD, NEW = "tiny-llama", "tiny-qwen"
TOPICS = ("bridge", "violin", "glacier", "orchard", "lantern", "harbour", "compass", "meadow")
DOCUMENTS_PER_BASE = 16


@dataclass(frozen=True, slots=True)
class Person:
    """The person, and the two engines between which it is moved."""

    user: User
    bases: list[KnowledgeBase]
    old: ModelRevision
    new: ModelRevision


def hub_folder(root: Path, llama: Path, qwen: Path) -> Path:
    """Lay the two engines out as a Hub serves them."""
    for name, source in ((OLD, llama), (NEW, qwen)):
        folder = root / "demo" / name
        folder.mkdir(parents=True)
        copyfile(source, folder / "model.gguf")
    return root


def make_catalog(endpoint: str) -> tuple[ModelRevision, ModelRevision]:
    """Two catalog entries resolved at the local Hub, their prompts, and the host."""
    Host.objects.update_or_create(
        name=HOST,
        defaults={
            "status": HostStatus.ACTIVE,
            "announces": [*HANDLERS, *(f"live.{kind}" for kind in LIVE_KINDS)],
            "last_seen": timezone.now(),
            "memory_bytes": 8 << 30,
            "disk_free_bytes": 50 << 30,
        },
    )
    for family in ("llama", "qwen"):
        PromptTemplate.objects.create(family=family, system_prompt=f"You are a {family}.")
    revisions = [
        resolve_model(
            CatalogModel.objects.create(
                model_id=name,
                display_name=name.title(),
                model_family=family,
                huggingface_repo=f"demo/{name}",
                filename="model.gguf",
                hub_endpoint=endpoint,
            )
        )
        for name, family in ((OLD, "llama"), (NEW, "qwen"))
    ]
    return revisions[0], revisions[1]


def make_person(
    endpoint: str, models: Path, store: ArtifactStore, scratch: Path, *, bases: int = 3
) -> Person:
    """Ada: the old engine active and on the host, indexed knowledge, an adapter, edited prompts."""
    old, new = make_catalog(endpoint)
    user = User.objects.create_user("ada", password="only-for-tests")
    path = place_model(old, models, scratch)
    # Before an engine is chosen: else the workers index while the texts still come, some here, some there.
    owned = [_filled_base(user, number) for number in range(bases)]
    _index(owned, old, path, store, scratch)
    choice = EngineChoice(old.model, old, "llama", str(path))
    write_preference(preference_of(user), choice, why="The beginning.")
    adapter = write_lora_for(scratch / "adapter.gguf", path)
    store_adapter(user, "ada style", old, adapter, store)
    edit_prompts(user, "llama", {"system_prompt": "You answer Ada in verse."})
    conversation = create_conversation(user, title="First")
    add_message(conversation, role="user", content="Who are you?")
    add_message(conversation, role="assistant", content="A llama.", engine=old.model)
    return Person(user, owned, old, new)


def place_model(revision: ModelRevision, models: Path, scratch: Path) -> Path:
    """Put a model's file on the host, as a download of ``hub_folder`` in ``scratch`` would have."""
    path = copy_path(models, revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = scratch / "hub" / "demo" / revision.model.model_id / "model.gguf"
    if not path.exists():
        copyfile(source, path)
    mark_downloaded(copy_of(revision, Host.objects.get(name=HOST)), path, revision.sha256)
    return path


def _filled_base(user: User, number: int) -> KnowledgeBase:
    base = create_base(owner=user, name=f"Notes {number}")
    for document in range(DOCUMENTS_PER_BASE):
        add_document(
            base.pk,
            title=f"Note {document}",
            text=sentence(number * DOCUMENTS_PER_BASE + document),
            media_type="text/plain",
        )
    return base


def sentence(number: int) -> str:
    """A short text of its own for each number."""
    topic = TOPICS[number % len(TOPICS)]
    return f"Note {number}: the {topic} number {number * 7919 % 1000} was seen on day {number}."


def _index(
    bases: list[KnowledgeBase],
    revision: ModelRevision,
    path: Path,
    store: ArtifactStore,
    scratch: Path,
) -> None:
    fingerprint = fingerprint_for(revision.model, revision)
    embedding = embedding_spec_of(revision.model, revision)
    spec = engine_spec(revision, str(path), embedding=embedding)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        for base in bases:
            index = index_for(base, fingerprint)
            keep_up(index.pk, engine, store, scratch, lambda _done: None)
            KnowledgeBase.objects.filter(pk=base.pk).update(live_index=index)
