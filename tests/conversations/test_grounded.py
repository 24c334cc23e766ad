"""Answers from a person's knowledge, by a real engine: streamed as whole, cited, and shown in the document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.contrib.auth.models import User

from engines.files.artifacts import ArtifactStore
from engines.models import Document, KnowledgeBase
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.catalog.copies import engine_spec
from engines.services.knowledge.documents import (
    add_document,
    create_base,
    delete_document,
    update_document,
)
from engines.services.knowledge.fingerprints import embedding_spec_of, fingerprint_for
from engines.services.knowledge.indexes import index_for
from engines.services.knowledge.keep_up import keep_up
from tests.conversations.test_streams import events_of
from tests.openai_api.conftest import Asker, asker, served
from tests.tokens import token_for

__all__ = ["asker", "served"]

LONG = "\n\n".join(f"# Of the harbour, part {n}\n\n" + "waves " * 55 for n in range(4))
"""Sections of their own, so short that the tiny engine's context has room for one."""
ASKED: dict[str, Any] = {
    "content": "When was the lighthouse lit?",
    "max_tokens": 8,
    "temperature": 0,
    "knowledge": {"k": 2},
}


@pytest.fixture
def base(asker: Asker, tiny_llama: Path, tmp_path: Path) -> KnowledgeBase:
    made = create_base(owner=asker.user, name="Notes")
    add_document(made.pk, title="Coast", text=LONG, media_type="text/markdown")
    add_document(made.pk, title="Roof", text="The roof is of slate.", media_type="text/plain")
    revision = asker.revision
    spec = engine_spec(
        revision, str(tiny_llama), embedding=embedding_spec_of(revision.model, revision)
    )
    index = index_for(made, fingerprint_for(revision.model, revision))
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        store = ArtifactStore(settings.SAM_ARTIFACT_STORE)
        keep_up(index.pk, engine, store, tmp_path, lambda _done: None)
    KnowledgeBase.objects.filter(pk=made.pk).update(live_index=index)
    return made


@pytest.fixture
def client(asker: Asker) -> Iterator[httpx2.Client]:
    address = str(asker.client.base_url).removesuffix("v1/") + "api/v1/"
    with httpx2.Client(base_url=address, headers=asker.client.headers, timeout=120) as opened:
        yield opened


def new_conversation(client: httpx2.Client) -> str:
    return f"conversations/{client.post('conversations', json={}).json()['id']}/messages"


def streamed(client: httpx2.Client, url: str, asked: dict[str, Any]) -> list[tuple[str, Any]]:
    with client.stream("POST", url, json={**asked, "stream": True}) as answer:
        assert answer.status_code == 200, answer.read()
        return list(events_of(answer.iter_lines()))


def test_streamed_and_whole_answers_are_the_same_with_the_same_citations(
    client: httpx2.Client, base: KnowledgeBase
) -> None:
    events = streamed(client, new_conversation(client), ASKED)
    answer = client.post(new_conversation(client), json=ASKED)

    assert answer.status_code == 201, answer.text
    whole, done = answer.json()["answer"], events[-1][1]["message"]
    text = "".join(data["text"] for name, data in events if name == "delta")
    assert whole["content"] == done["content"] == text != ""
    assert whole["citations"] == done["citations"]
    assert 0 < len(done["citations"]) <= 2
    told = dict(events)["citations"]["citations"]
    assert [(one["number"], one["text"]) for one in told] == [
        (one["number"], one["text"]) for one in done["citations"]
    ]
    assert {one["title"] for one in told} <= {"Coast", "Roof"}
    assert (whole["prompt_tokens"], whole["completion_tokens"]) == (
        done["prompt_tokens"],
        done["completion_tokens"],
    )


def test_knowledge_is_narrowed_and_a_conversation_without_it_cites_nothing(
    client: httpx2.Client, base: KnowledgeBase
) -> None:
    roof = Document.objects.get(title="Roof")
    narrowed = {**ASKED, "knowledge": {"k": 5, "documents": [roof.pk]}}

    cited = client.post(new_conversation(client), json=narrowed).json()["answer"]["citations"]
    without = client.post(new_conversation(client), json={"content": "Hello.", "max_tokens": 4})

    assert [one["document_id"] for one in cited] == [roof.pk]
    assert without.json()["answer"]["citations"] == []


def test_a_cited_passage_is_shown_in_its_document_until_it_is_gone(
    client: httpx2.Client, base: KnowledgeBase, asker: Asker
) -> None:
    coast = Document.objects.get(title="Coast")
    url = new_conversation(client)
    narrowed = {**ASKED, "knowledge": {"k": 10, "documents": [coast.pk]}}
    cited = client.post(url, json=narrowed).json()["answer"]["citations"]
    first = cited[0]
    where = f"documents/{coast.pk}/passages/{first['chunk_id']}"

    placed = client.get(where).json()
    stranger = {"Authorization": f"Bearer {token_for(User.objects.create_user('bob'))}"}
    foreign = client.get(where, headers=stranger)
    # The same words in another place of a document that was written anew.
    update_document(coast.pk, text="New words. " * 60 + "\n\n" + LONG)
    moved = client.get(where)
    listed = client.get(url).json()["results"][1]["citations"]
    delete_document(coast.pk)
    gone = client.get(where)
    after = client.get(url).json()["results"][1]["citations"]

    assert placed["text"] == LONG[placed["start"] : placed["end"]]
    assert placed["before"] + placed["text"] + placed["after"] in LONG
    assert (placed["text"].split(), placed["title"]) == (first["text"].split(), "Coast")
    assert foreign.status_code == 404
    assert moved.json()["text"] == placed["text"]
    assert moved.json()["start"] > placed["start"]
    assert (listed[0]["is_available"], listed[0]["text"]) == (True, first["text"])
    assert gone.status_code == 404
    assert "deleted" in gone.json()["detail"]
    assert [one["is_available"] for one in after] == [False] * len(cited)
    assert {(one["text"], one["title"]) for one in after} == {("", "")}
