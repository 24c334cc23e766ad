"""What Alice may do with her things and staff with theirs, Bob cannot: the same request, twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.core import serializers
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from pytest_django.plugin import DjangoDbBlocker

from engines.models import (
    ApiToken,
    Conversation,
    Document,
    EngineFallback,
    KnowledgeBase,
    LoraAdapter,
    Message,
    Notice,
    PromptTemplate,
    WatchedFolder,
)
from engines.services.people.defaults import set_default
from engines.services.people.invitations import invite_person
from engines.services.people.tokens import create_token
from engines.services.people.usage import set_quota
from migrations_app.models import MassMove, MassMoveLine
from tests.api.roles import (
    Engines,
    People,
    client_of,
    make_backup,
    make_engines,
    make_people,
    make_plan,
    problem,
    use_engine,
)

pytestmark = pytest.mark.attack

UNSAFE = ("post", "put", "patch", "delete")
PLAN, BASE, DOCUMENT = "plans/{id}", "knowledge-bases/{id}", "knowledge-bases/{base_pk}/documents"
FILE = "knowledge-bases/{base_pk}/files/{path}"
PERSON = "people/{username}"
CONVERSATION, HOST, ENGINE = "conversations/{id}", "hosts/{name}", "catalog/{model_id}"


@dataclass(frozen=True)
class Act:
    """A request that whoever may make it gets through with, and what a stranger is told."""

    who: str
    refusal: int
    body: Mapping[str, Any] | None = None


ACTS: dict[tuple[str, str], Act] = {
    ("patch", ENGINE): Act("curator", 403, {"description": "Changed."}),
    ("delete", ENGINE): Act("curator", 403),
    ("post", f"{ENGINE}/cancel-download"): Act("operator", 403),
    ("post", f"{ENGINE}/clear-unsafe"): Act("operator", 403, {}),
    ("post", f"{ENGINE}/pause-download"): Act("operator", 403),
    ("post", f"{ENGINE}/resume-download"): Act("operator", 403),
    ("post", f"{ENGINE}/delete-files"): Act("operator", 403),
    ("post", f"{ENGINE}/try"): Act("curator", 403, {"question": "Who are you?"}),
    ("post", f"{ENGINE}/verify"): Act("operator", 403),
    ("patch", "adapters/{id}"): Act("alice", 404, {"enabled": False}),
    ("delete", "adapters/{id}"): Act("alice", 404),
    ("put", "prompt-templates/{family}"): Act("curator", 403, {"system_prompt": "Changed."}),
    ("delete", "prompt-templates/{family}"): Act("curator", 403),
    ("put", "quotas/{person}"): Act("administrator", 403, {"tokens_per_day": 1}),
    ("delete", "quotas/{person}"): Act("administrator", 403),
    ("post", "conversations/{conversation_pk}/messages"): Act("alice", 404, {"content": "Hi."}),
    ("patch", CONVERSATION): Act("alice", 404, {"title": "Changed"}),
    ("delete", CONVERSATION): Act("alice", 404),
    ("put", "fallbacks/{engine}"): Act("operator", 403, {"answers": "qwen-4b"}),
    ("delete", "fallbacks/{engine}"): Act("operator", 403),
    ("post", f"{HOST}/drain"): Act("operator", 403, {"knowing": True}),
    ("put", f"{HOST}/limits"): Act("operator", 403, {"plans": 2}),
    ("post", f"{HOST}/invite"): Act("operator", 403, {"hours": 1}),
    ("post", f"{HOST}/resume"): Act("operator", 403),
    ("post", f"{HOST}/retire"): Act("operator", 403),
    ("post", DOCUMENT): Act("alice", 404, {"title": "More", "text": "More."}),
    ("put", f"{DOCUMENT}/{{id}}"): Act("alice", 404, {"title": "Changed", "text": "Changed."}),
    ("patch", f"{DOCUMENT}/{{id}}"): Act("alice", 404, {"title": "Changed"}),
    ("delete", f"{DOCUMENT}/{{id}}"): Act("alice", 404),
    ("put", FILE): Act("alice", 404, {"file": b"text"}),
    ("patch", BASE): Act("alice", 404, {"name": "Changed"}),
    ("delete", BASE): Act("alice", 404),
    ("post", f"{BASE}/re-embed"): Act("alice", 404, {"engine": "qwen-4b"}),
    ("post", f"{PLAN}/abandon"): Act("operator", 403),
    ("post", f"{PLAN}/cancel"): Act("alice", 404),
    ("post", f"{PLAN}/execute"): Act("alice", 404),
    ("post", f"{PLAN}/move"): Act("operator", 403, {}),
    ("post", f"{PLAN}/pause"): Act("operator", 403),
    ("post", f"{PLAN}/resume"): Act("operator", 403),
    ("post", f"{PLAN}/retry"): Act("operator", 403),
    ("post", f"{PLAN}/roll-back"): Act("alice", 404),
    ("delete", "tokens/{id}"): Act("alice", 404),
    ("post", f"{PERSON}/deactivate"): Act("administrator", 403),
    ("post", f"{PERSON}/reactivate"): Act("administrator", 403),
    ("delete", "invitations/{id}"): Act("administrator", 403),
    ("delete", "sessions/{id}"): Act("alice", 404),
    ("post", "notices/{id}/read"): Act("alice", 404),
    ("put", "defaults/groups/{group}"): Act("administrator", 403, {"engine": "qwen-4b"}),
    ("delete", "defaults/groups/{group}"): Act("administrator", 403),
    ("patch", PLAN): Act("alice", 404, {"re_embed": False}),
    ("post", "conversations/{conversation_pk}/messages/regenerate"): Act("alice", 404, {}),
    ("delete", PERSON): Act("administrator", 403),
    ("delete", "backups/{id}"): Act("alice", 404),
    ("post", "backups/{id}/verify"): Act("alice", 404),
    ("post", "backups/{id}/restore"): Act("alice", 404, {"replace": True}),
    ("post", "mass-moves/{id}/cancel"): Act("operator", 403),
    ("post", "mass-moves/{id}/retry"): Act("operator", 403),
    ("put", f"{PERSON}/roles/{{role}}"): Act("administrator", 403),
    ("delete", f"{PERSON}/roles/{{role}}"): Act("administrator", 403),
    ("delete", "watched-folders/{id}"): Act("alice", 404),
    ("post", "watched-folders/{id}/look-now"): Act("alice", 404),
    ("post", f"{PERSON}/unlock"): Act("administrator", 403),
    ("post", f"{PERSON}/remove-second-factor"): Act("administrator", 403),
}
OWN = {("patch", "prompts/{family}")}
"""Addresses with a variable that lead to the caller's own row, whoever asks."""


@dataclass(frozen=True)
class World:
    """Alice has one of everything."""

    people: People
    addresses: Mapping[str, Mapping[str, Any]]
    """Values of addresses' variables, by their first word."""
    rows: Mapping[str, str]


@pytest.fixture(scope="module")
def looked_at(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Made once: the transaction of a test that changes nothing is a part of this one."""
    with django_db_blocker.unblock(), transaction.atomic():
        people = make_people()
        addresses = make_everything(people, make_engines())
        yield World(people, addresses, everything())
        transaction.set_rollback(True)


@pytest.fixture
def acted_on(people: People, engines: Engines) -> World:
    """A test's own: some requests end the connection, and a transaction with it."""
    return World(people, make_everything(people, engines), {})


def make_everything(people: People, engines: Engines) -> dict[str, dict[str, Any]]:
    use_engine(people.alice, engines.old)
    revision = engines.old.current_revision
    assert revision is not None
    base = KnowledgeBase.objects.create(owner=people.alice, name="Notes")
    document = Document.objects.create(base=base, title="Secret", text="secret", sha256="0" * 64)
    conversation = Conversation.objects.create(user=people.alice, title="Secret")
    Message.objects.create(conversation=conversation, position=0, role="user", content="secret")
    adapter = LoraAdapter.objects.create(
        user=people.alice,
        name="secret",
        base_revision=revision,
        artifact_key="k",
        sha256="a",
        file_size=1,
    )
    assert engines.new.current_revision is not None
    EngineFallback.objects.create(engine=engines.old, answers=engines.new)
    create_token(people.alice, "secret")
    PromptTemplate.objects.create(family="qwen")
    set_quota(people.alice, 1000)
    group = Group.objects.create(name="team")
    notice = Notice.objects.create(user=people.alice, title="secret", text="secret")
    return {
        "adapters": {"id": adapter.pk},
        "prompt-templates": {"family": "qwen"},
        "quotas": {"person": "alice"},
        "plans": {"id": make_plan(people.alice, engines).pk},
        "knowledge-bases": {"base_pk": base.pk, "id": base.pk},
        "documents": {"base_pk": base.pk, "id": document.pk, "path": "a.txt"},
        "conversations": {"conversation_pk": conversation.pk, "id": conversation.pk},
        "hosts": {"name": engines.host.name},
        "catalog": {"model_id": engines.old.model_id},
        "tokens": {"id": ApiToken.objects.get(user=people.alice).pk},
        "invitations": {"id": invite_person("x@example.org", who="adam").invitation.pk},
        "sessions": {"id": make_session(people.alice).pk},
        "notices": {"id": notice.pk},
        "defaults": {"group": set_default(group, engines.old).group},
        "people": {"username": "alice", "role": "curator"},
        "fallbacks": {"engine": engines.old.model_id},
        "watched-folders": {"id": make_folder(base, engines).pk},
        "mass-moves": {"id": make_mass_move(people, engines).pk},
        "backups": {"id": make_backup(make_plan(people.alice, engines)).pk},
    }


def make_mass_move(people: People, engines: Engines) -> MassMove:
    """Alice was left out of it, and nobody else is in it."""
    move = MassMove.objects.create(to_engine=engines.new, created_by=people.operator)
    MassMoveLine.objects.create(
        move=move, user=people.alice, handled_at=timezone.now(), refusal="secret"
    )
    return move


def make_folder(base: KnowledgeBase, engines: Engines) -> WatchedFolder:
    """A folder that her base is kept in step with."""
    return WatchedFolder.objects.create(
        base=base,
        host=engines.host,
        path="/srv/secret",
        name="secret",
        every_seconds=60,
        next_look_at=timezone.now(),
    )


def make_session(user: User) -> UserSession:
    """A browser of theirs that is signed in."""
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store.create()
    session: UserSession = UserSession.objects.create(
        user=user, ip="127.0.0.1", user_agent="secret", session_key=store.session_key
    )
    return session


def send(world: World, who: str, act: tuple[str, str]) -> Any:
    method, path = act
    noun = "documents" if path.startswith((f"{DOCUMENT}/", FILE)) else path.split("/")[0]
    address = f"/api/v1/{path.format(**world.addresses[noun])}"
    # Read anew: a request may leave its mark on the person that makes it.
    client = client_of(User.objects.get(pk=getattr(world.people, who).pk))
    body = ACTS[act].body
    if body is not None and "file" in body:
        file = SimpleUploadedFile("file", body["file"])
        return getattr(client, method)(address, {"file": file}, format="multipart")
    return getattr(client, method)(address, body, format="json")


def everything() -> dict[str, str]:
    """All rows of all tables, as text."""
    return {
        model._meta.label: serializers.serialize("json", model._default_manager.order_by("pk"))
        for model in apps.get_models()
    }


def test_each_operation_of_the_description_that_changes_a_row_is_tried_here() -> None:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    described = {
        (method, path.removeprefix("/api/v1/"))
        for path, methods in schema["paths"].items()
        for method in methods
        if method in UNSAFE and "{" in path
    }

    assert described == set(ACTS) | OWN


@pytest.mark.parametrize("act", ACTS, ids=" ".join)
def test_the_same_request_gets_through_for_whom_it_is_meant(
    acted_on: World, act: tuple[str, str]
) -> None:
    """First: otherwise the stranger might be refused for a wrong body or address, and not for who he is."""
    answer = send(acted_on, ACTS[act].who, act)

    # 409 and 503: the row is in the wrong state for it, or no host answers, which nobody else is told.
    assert answer.status_code < 300 or answer.status_code in (409, 503), answer.content


@pytest.mark.parametrize("act", ACTS, ids=" ".join)
def test_a_stranger_changes_nothing_with_a_request_that_would_change_something(
    looked_at: World, db: None, act: tuple[str, str]
) -> None:
    answer = send(looked_at, "bob", act)

    problem(
        answer, ACTS[act].refusal, {403: "permission_denied", 404: "not_found"}[answer.status_code]
    )
    assert b"ecret" not in answer.content
    assert everything() == looked_at.rows
