"""A person who has something of everything, and what can be compared of it before and after."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User

from engines.models import Chunk, Document, LoraAdapter, Message, UserPrompts
from engines.services.people.conversations import create_conversation
from engines.services.people.preferences import preference_of, prompts_of
from engines.services.people.search_history import (
    remember_search,
    searches_of,
    set_history_kept,
)
from tests.plans.hash_world import HashWorld

TEXTS = ("The lighthouse keeper counts ships.", "Bread rises slowly in a cold kitchen.")
ADAPTER = b"GGUF an adapter of a test, read by nobody"
GROUP = "harbour"
NOTE = "Left out are hidden rows and columns of Ships."


def give_belongings(world: HashWorld) -> None:
    """Give Ada a base with texts, prompts, a conversation that cites one of them, and an adapter."""
    user = world.user
    user.email = "ada@example.org"
    user.save()
    user.groups.add(Group.objects.get_or_create(name=GROUP)[0])
    base = world.base("Notes", *TEXTS)
    Document.objects.filter(base=base, text=TEXTS[0]).update(path="ships.xlsx", note=NOTE)
    chunk = Chunk.objects.filter(base=base).order_by("pk")[0]
    UserPrompts.objects.create(user=user, family="old-family", system_prompt="Be brief with Ada.")
    conversation = create_conversation(user, title="About ships")
    said = [("user", "Who counts ships?", []), ("assistant", "The keeper. ☂", [_cite(chunk)])]
    preference = preference_of(user)
    for position, (role, content, citations) in enumerate(said):
        Message.objects.create(
            conversation=conversation,
            position=position,
            role=role,
            content=content,
            citations=citations,
            engine=preference.engine if citations else None,
        )
    set_history_kept(user, kept=True)
    remember_search(user, "Who counts ships?")
    artifact = world.store.put_bytes(ADAPTER, kind="adapters")
    LoraAdapter.objects.create(
        user=user,
        name="my style",
        base_revision_id=preference.revision_id or 0,
        artifact_key=artifact.key,
        sha256=artifact.sha256,
        file_size=artifact.size,
        training_stats={"steps": 12},
    )


def _cite(chunk: Chunk) -> dict[str, Any]:
    return {
        "number": 1,
        "chunk_id": chunk.pk,
        "document_id": chunk.document_id,
        "base_id": chunk.base_id,
        "score": 0.5,
        "content_hash": bytes(chunk.content_hash).hex(),
    }


def belongings_of(user: User) -> dict[str, Any]:
    """Return what a person has without keys and times, to hold what was restored against it."""
    preference = preference_of(user)
    messages = Message.objects.filter(conversation__user=user).order_by("pk")
    adapters = LoraAdapter.objects.filter(user=user).order_by("name")
    documents = Document.objects.filter(base__owner=user).order_by("base__name", "pk")
    return {
        "engine": preference.engine.model_id if preference.engine else None,
        "commit": preference.revision.commit if preference.revision else None,
        "prompts": prompts_of(user, preference.prompt_family),
        "conversations": list(user.conversations.order_by("pk").values_list("title", "updated_at")),
        "messages": [(m.role, m.content, m.status, m.created_at) for m in messages],
        "cited": [len(m.citations) for m in messages],
        "searches": list(searches_of(user.pk).values_list("question", "asked_at")),
        "bases": sorted(user.knowledge_bases.values_list("name", flat=True)),
        "documents": list(
            documents.values_list("base__name", "title", "text", "media_type", "created_at")
        ),
        "files": list(documents.values_list("path", "note")),
        "adapters": list(
            adapters.values_list("name", "sha256", "status", "scale", "training_stats")
        ),
    }
