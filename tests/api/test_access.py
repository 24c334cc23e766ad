"""Every route of the router, walked: nobody gets in unsigned, nobody sees what is another's."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import pytest
from django.urls import URLPattern
from rest_framework.test import APIClient

from engines.models import Conversation, KnowledgeBase, LoraAdapter, Message
from engines.services.knowledge.documents import add_document
from migrations_app.api.urls import router, urlpatterns
from tests.api.roles import Engines, People, make_backup, make_plan, problem, use_engine

pytestmark = pytest.mark.attack

OPEN = {"unknown"}
SIGN_IN = ("token-list", "post")
"""Takes a password instead of a token."""
STAFF_ONLY = {
    "audit-list",
    "backup-find",
    "organisation-backup-rule",
    "catalog-cancel-download",
    "catalog-clear-unsafe",
    "catalog-delete-files",
    "catalog-file",
    "catalog-pause-download",
    "catalog-resume-download",
    "catalog-try-model",
    "catalog-verify",
    "default-list",
    "organisation-default",
    "group-default",
    "download-list",
    "fallback-list",
    "fallback-detail",
    "fallback-incident-list",
    "host-list",
    "host-detail",
    "hub-files",
    "host-invite",
    "host-dependents",
    "host-events",
    "host-drain",
    "host-limits",
    "host-resume",
    "host-retire",
    "mass-move-cancel",
    "mass-move-detail",
    "mass-move-list",
    "mass-move-people",
    "mass-move-preview",
    "mass-move-retry",
    "invitation-detail",
    "invitation-list",
    "person-deactivate",
    "person-detail",
    "person-list",
    "person-reactivate",
    "person-remove-second-factor",
    "person-role",
    "person-unlock",
    "plan-retry",
    "plan-abandon",
    "plan-move",
    "plan-pause",
    "plan-resume",
    "prompt-template-detail",
    "prompt-template-list",
    "quota-detail",
    "quota-list",
}
OWN = {
    "backup-rule",
    "preferences",
    "prompts",
    "me",
    "me-engine",
    "recommend",
    "search",
    "sessions",
    "notice-choices",
    "search-history",
}
"""Pages of the caller: what they show is about nobody else."""
STREAM = "events"
"""The caller's own too, and without an end: tests/live reads that it tells of nobody else's."""
SHARED = {"catalog-list", "catalog-detail", "catalog-status", "host-list", "host-detail"}
LISTS = {"results", "plans"}
"""Under which of them rows stand in an answer."""
UNSAFE = ("post", "put", "patch", "delete")


def routes() -> list[tuple[str, str]]:
    """Return (name, pattern) of every route but the catch-all."""
    patterns = [p for p in urlpatterns if isinstance(p, URLPattern)]
    return sorted((str(p.name), str(p.pattern)) for p in patterns if p.name not in OPEN)


def address(pattern: str, values: dict[str, object]) -> str:
    filled = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", lambda m: str(values[m[1]]), pattern)
    return "/api/v1/" + filled.strip("^$")


@pytest.fixture
def foreign(people: People, engines: Engines) -> Callable[[str], dict[str, object]]:
    """Give Alice one of everything; return how to address it, by route."""
    alice = people.alice
    use_engine(alice, engines.old)
    revision = engines.old.current_revision
    assert revision is not None
    base = KnowledgeBase.objects.create(owner=alice, name="Notes")
    document = add_document(base.pk, title="Secret", text="secret")
    conversation = Conversation.objects.create(user=alice, title="Secret")
    Message.objects.create(conversation=conversation, position=0, role="user", content="secret")
    adapter = LoraAdapter.objects.create(
        user=alice, name="secret", base_revision=revision, artifact_key="k", sha256="a", file_size=1
    )
    plan = make_plan(alice, engines)
    keys = {
        "plan": plan.pk,
        "adapter": adapter.pk,
        "knowledge-base": base.pk,
        "document": document.pk,
        "conversation": conversation.pk,
        "backup": make_backup(plan).pk,
    }

    def values(name: str) -> dict[str, object]:
        noun = next((n for n in keys if name.startswith(n)), "")
        return {
            "pk": keys.get(noun, 1),
            "id": plan.pk,
            "base_pk": base.pk,
            "path": "a.txt",
            "conversation_pk": conversation.pk,
            "model_id": "draft-1b",
            "name": "gpu-1",
            "engine": "any",
            "group": "team",
            "family": "martian",
            "person": "alice",
            "username": "alice",
            "role": "curator",
            "document_id": document.pk,
            "chunk_id": document.chunks.get().pk,
        }

    return values


@pytest.mark.parametrize(("name", "pattern"), routes())
def test_without_a_token_every_route_is_401(
    foreign: Callable[[str], dict[str, object]], name: str, pattern: str
) -> None:
    url = address(pattern, foreign(name))

    for method in ("get", *UNSAFE):
        if (name, method) == SIGN_IN:
            continue
        answer = getattr(APIClient(), method)(url, {}, format="json")
        problem(answer, 401, "not_authenticated")


@pytest.mark.parametrize(("name", "pattern"), routes())
def test_a_stranger_sees_an_empty_list_or_404(
    bob: APIClient, foreign: Callable[[str], dict[str, object]], name: str, pattern: str
) -> None:
    answer = bob.get(address(pattern, foreign(name)))

    if name == STREAM:
        assert (answer.status_code, answer.streaming) == (200, True)
        answer.close()
        return
    assert b"ecret" not in answer.content
    if name in STAFF_ONLY:
        problem(answer, 403, "permission_denied")
    elif answer.status_code == 200 and (lists := LISTS & set(answer.json())) and name not in SHARED:
        assert [answer.json()[key] for key in lists] == [[]]
    elif answer.status_code == 405:
        assert "GET" not in answer["Allow"]
    elif "(?P<" in pattern:
        problem(answer, 404, "not_found")
    else:
        assert name in OWN | SHARED, answer.content


def test_every_view_of_the_router_filters_its_rows() -> None:
    for _, view, _ in router.registry:
        assert "get_queryset" in vars(view), view


def test_ids_that_lead_nowhere_are_404(alice: APIClient) -> None:
    for name in ("0", "9" * 18, "9" * 40, "-1", "1e3", "%00", "..", str(uuid.uuid4()), "١"):
        for noun in ("plans", "adapters", "knowledge-bases", "conversations"):
            problem(alice.get(f"/api/v1/{noun}/{name}"), 404, "not_found")
