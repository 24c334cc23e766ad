"""What attackers find: people of every role, each with one of everything, and a group's base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User

from engines.models import (
    ApiToken,
    Conversation,
    Document,
    EngineFallback,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelRevision,
)
from engines.services.people.tokens import create_token
from tests.api.roles import Engines, People, make_engines, make_people, make_plan, use_engine

ROLES = ("anonymous", "user", "curator", "operator", "administrator")
SECRET = "hush-hush"
"""In everything that somebody wrote."""
GROUP = "readers"


@dataclass(frozen=True)
class Belongings:
    """The keys of one person's things, by their nouns."""

    keys: dict[str, Any]

    def values(self, noun: str) -> dict[str, Any]:
        """The variables of an address below a noun."""
        return {"pk": self.keys.get(noun, 1), "id": self.keys.get(noun, 1), **self.keys}


@dataclass(frozen=True)
class World:
    """Who there is; ``other`` is a person like ``user``, a member of no group."""

    people: People
    engines: Engines
    own: dict[str, Belongings]
    group: Belongings

    def person(self, role: str) -> User | None:
        """Who acts in a role; None for a stranger."""
        if role == "anonymous":
            return None
        name = {"user": "alice", "other": "bob"}.get(role, role)
        person: User = getattr(self.people, name)
        return person


def make_world(revision: ModelRevision | None = None) -> World:
    """People of all roles who use an engine, by default one that no host has."""
    people, engines = make_people(), make_engines()
    # Everybody but the stranger reads the group's base.
    group, _ = Group.objects.get_or_create(name=GROUP)
    everybody = [people.alice, people.curator, people.operator, people.administrator]
    group.user_set.add(*everybody)
    shared = KnowledgeBase.objects.create(group=group, name="Shared")
    text = Document.objects.create(base=shared, title="Shared", text="for all", sha256="0" * 64)
    EngineFallback.objects.create(engine=engines.old, answers=engines.new)
    roles = ("user", "other", "curator", "operator", "administrator")
    own = {}
    for role, person in zip(roles, [people.alice, people.bob, *everybody[1:]], strict=True):
        used = engines.old
        if revision is not None:
            used = revision.model
        use_engine(person, used)
        own[role] = _belongings(person, engines)
    shared_keys = {
        "knowledge-base": shared.pk,
        "document": text.pk,
        "base_pk": shared.pk,
        "path": "a.txt",
    }
    return World(people, engines, own, Belongings(shared_keys))


def _belongings(person: User, engines: Engines) -> Belongings:
    revision = engines.old.current_revision
    assert revision is not None
    base = KnowledgeBase.objects.create(owner=person, name=f"Notes {SECRET}")
    text = Document.objects.create(base=base, title=SECRET, text=SECRET, sha256="0" * 64)
    conversation = Conversation.objects.create(user=person, title=SECRET)
    Message.objects.create(conversation=conversation, position=0, role="user", content=SECRET)
    adapter = LoraAdapter.objects.create(
        user=person, name=SECRET, base_revision=revision, artifact_key="k", sha256="a", file_size=1
    )
    create_token(person, SECRET)
    return Belongings(
        {
            "plan": make_plan(person, engines).pk,
            "knowledge-base": base.pk,
            "document": text.pk,
            "conversation": conversation.pk,
            "adapter": adapter.pk,
            "token": ApiToken.objects.get(user=person, name=SECRET).pk,
            "base_pk": base.pk,
            "path": "a.txt",
            "conversation_pk": conversation.pk,
            "model_id": engines.old.model_id,
            "engine": engines.old.model_id,
            "family": "llama",
            "name": engines.host.name,
            "username": person.username,
            "person": person.username,
            "document_id": text.pk,
            "chunk_id": 1,
            "group": GROUP,
            "role": "curator",
        }
    )
