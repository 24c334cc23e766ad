"""A test question to an entry that nobody is offered yet: by curators and operators, over every face."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from redis import Redis
from rest_framework.test import APIClient

from engines.models import CatalogModel, Conversation, CopyStatus, ModelCopy
from samproject.cli.errors import CommandError
from tests.api.played_host import played_host
from tests.api.roles import Engines, People, problem
from tests.sam_command import run_sam

QUESTION = "Who are you?"
LOST = "what was said before"
SAID = "I am a draft. <b>Not</b> offered yet."


def reply(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Answer as a host that has the draft would."""
    if kind == "warm":
        return {"engines": 1, "losses": [LOST] if payload.get("find_losses") else []}
    end = {"finish_reason": "length", "prompt_tokens": 9, "completion_tokens": 7}
    whole = {"text": SAID, "engine_id": "draft-1b", "revision_id": payload["revision_id"]}
    return {**whole, "end": {"type": "end", **end}}


@pytest.fixture
def draft(engines: Engines) -> CatalogModel:
    """An entry that is not published, with its file on a host."""
    revision = engines.hidden.current_revision
    assert revision is not None
    ModelCopy.objects.create(
        revision=revision,
        host=engines.host,
        status=CopyStatus.DOWNLOADED,
        path="/models/draft",
        checksum="c" * 64,
    )
    return engines.hidden


def ask(client: APIClient, model_id: str, **more: Any) -> Any:
    asked = {"question": QUESTION, **more}
    return client.post(f"/api/v1/catalog/{model_id}/try", asked, format="json")


@pytest.mark.django_db(transaction=True)
def test_a_draft_is_asked_over_every_face(
    curator: APIClient, people: People, draft: CatalogModel, redis_client: Redis
) -> None:
    User.objects.filter(pk=people.curator.pk).update(is_staff=True)
    browser = Client()
    browser.force_login(people.curator)
    page = f"/admin/engines/catalogmodel/{draft.pk}/try/"

    with played_host(redis_client, reply) as heard:
        over_rest = ask(curator, draft.model_id, host="gpu-1")
        by_command = run_sam("catalog", "try", draft.model_id, QUESTION, "--user", "carol")
        in_admin = browser.post(page, {"question": QUESTION})

    assert over_rest.status_code == 200, over_rest.content
    told = over_rest.json()
    assert (told["text"], told["host"], told["runtime"]) == (SAID, "gpu-1", "llama_cpp")
    assert (told["completion_tokens"], told["finish_reason"]) == (7, "length")
    assert told["tokens_per_second"] > 0
    assert told["losses"] == [LOST]
    assert f"loses {LOST}: nobody can move to it" in by_command
    assert SAID in by_command
    assert "draft-1b (llama_cpp) on gpu-1: 7 tokens in" in by_command
    shown = in_admin.content.decode()
    assert "I am a draft. &lt;b&gt;Not&lt;/b&gt; offered yet." in shown
    assert "It would have gone on" in shown
    assert f"Its chat template loses {LOST}, in whatever form" in shown
    asked = [request for request in heard if "messages" in request]
    assert [(a["user_id"], a["revision_id"], a["temperature"]) for a in asked] == [
        (people.curator.pk, draft.current_revision_id, 0.0)
    ] * 3
    assert not Conversation.objects.exists()


def test_what_cannot_be_asked_is_said(
    curator: APIClient, people: People, engines: Engines, draft: CatalogModel
) -> None:
    def refuse(answer: Any, status: int, code: str, sentence: str) -> None:
        problem(answer, status, code)
        assert sentence in answer.json()["detail"]

    refuse(ask(curator, "minilm"), 409, "conflict", "only embeds")
    refuse(ask(curator, "llama-8b"), 503, "host_unavailable", "No host that is up has the file")
    refuse(ask(curator, "draft-1b", host="gpu-9"), 404, "not_found", "gpu-9")
    problem(ask(curator, "draft-1b", question=" "), 400, "invalid_request")
    ModelCopy.objects.update(status=CopyStatus.UNSAFE)
    problem(ask(curator, "draft-1b", host="gpu-1"), 400, "unsafe_model_file")
    with pytest.raises(CommandError, match="say who asks"):
        run_sam("catalog", "try", "draft-1b", QUESTION)
    with pytest.raises(CommandError, match="Only a curator or an operator"):
        run_sam("catalog", "try", "llama-8b", QUESTION, "--user", "alice")


def test_the_entrys_page_leads_there(people: People, draft: CatalogModel) -> None:
    User.objects.filter(pk=people.operator.pk).update(is_staff=True)
    browser = Client()
    browser.force_login(people.operator)

    entry = browser.get(f"/admin/engines/catalogmodel/{draft.pk}/change/").content.decode()
    page = browser.get(f"/admin/engines/catalogmodel/{draft.pk}/try/")

    assert f"/admin/engines/catalogmodel/{draft.pk}/try/" in entry
    assert [host.name for host in page.context["form"].fields["host"].queryset] == ["gpu-1"]
    assert (
        browser.get(f"/admin/engines/catalogmodel/{draft.embedding_model_id or 0}/try/").status_code
        == 404
    )
