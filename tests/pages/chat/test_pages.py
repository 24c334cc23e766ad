"""Chat pages without a browser: whose conversations, what is shown, asking without a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis import Redis

from engines.models import Conversation, KnowledgeBase, Message
from engines.services.knowledge.documents import add_document
from engines.services.people.conversations import AnswerRecord, add_message
from tests.api.roles import Engines, People, use_engine


@pytest.fixture
def alice(people: People, engines: Engines, visit: Callable[[User], Client]) -> Client:
    use_engine(people.alice, engines.old)
    return visit(people.alice)


def talk(people: People, engines: Engines, *answers: tuple[str, Any]) -> Conversation:
    """A conversation in which each answer is by the engine named."""
    conversation = Conversation.objects.create(user=people.alice, title="The roof")
    for text, engine in answers:
        add_message(conversation, role="user", content="And the roof?")
        add_message(conversation, role="assistant", content=text, engine=engine)
    return conversation


def test_a_conversation_shows_who_wrote_what_and_where_the_engine_changed(
    alice: Client, people: People, engines: Engines
) -> None:
    conversation = talk(people, engines, ("Slate.", engines.old), ("**Tin**.", engines.new))

    page = alice.get(f"/chat/{conversation.pk}/").content.decode()

    assert page.index("LLAMA-8B") < page.index("From here QWEN-4B answers")
    assert "<strong>Tin</strong>" in page
    messages = page[page.index('id="messages"') : page.index("</ol>")]
    assert messages.count('class="regenerate"') == 1
    assert "The roof" in alice.get("/chat/").content.decode()


def test_what_a_person_or_an_engine_wrote_is_not_run(
    alice: Client, people: People, engines: Engines
) -> None:
    conversation = talk(people, engines, ("<script>alert(1)</script>", engines.old))
    add_message(conversation, role="user", content="<script>alert(2)</script>")
    Conversation.objects.update(title="<script>alert(3)</script>")

    page = alice.get(f"/chat/{conversation.pk}/").content.decode()

    assert "<script>alert" not in page


def test_anothers_conversation_is_not_there(
    people: People, engines: Engines, alice: Client, visit: Callable[[User], Client]
) -> None:
    conversation = talk(people, engines, ("Slate.", engines.old))
    bob, said = visit(people.bob), Message.objects.latest("pk")

    for address in ("", f"messages/{said.pk}/"):
        assert bob.get(f"/chat/{conversation.pk}/{address}").status_code == 404
    for address in ("", "delete/", "rename/", "regenerate/"):
        sent = {"title": "Mine", "content": "x"}
        assert bob.post(f"/chat/{conversation.pk}/{address}", sent).status_code == 404
    assert "The roof" not in bob.get("/chat/?q=roof").content.decode()
    assert Conversation.objects.get().title == "The roof"
    assert Message.objects.count() == 2


def test_a_conversation_is_renamed_searched_and_deleted(
    alice: Client, people: People, engines: Engines
) -> None:
    conversation = talk(people, engines, ("Slate.", engines.old))

    alice.post(f"/chat/{conversation.pk}/rename/", {"title": "Slate or tin"})
    assert "Slate or tin" in alice.get("/chat/?q=TIN").content.decode()
    assert "Nothing has “whales” in it" in alice.get("/chat/?q=whales").content.decode()
    alice.post(f"/chat/{conversation.pk}/rename/", {"title": ""})
    assert Conversation.objects.get().title == "Slate or tin"
    assert alice.post(f"/chat/{conversation.pk}/delete/")["Location"] == "/chat/"
    assert not Message.objects.exists()


def test_a_question_that_cannot_be_answered_is_kept_in_the_form_with_the_reason(
    alice: Client, people: People, engines: Engines, redis_client: Redis
) -> None:
    for wrong in ({"content": " \n"}, {"content": ""}):
        assert alice.post("/chat/", wrong).status_code == 400
    assert not Conversation.objects.exists()

    answer = alice.post("/chat/", {"content": "And the roof?"})

    assert answer.status_code == 409
    assert "host" in answer.content.decode()
    assert "And the roof?" in answer.content.decode()


def test_a_citation_opens_its_passage_and_says_when_it_is_gone(
    alice: Client, people: People, engines: Engines, visit: Callable[[User], Client]
) -> None:
    base = KnowledgeBase.objects.create(owner=people.alice, name="Notes")
    document = add_document(
        base.pk, title="Minutes", text="We chose slate.", media_type="text/plain"
    )
    chunk = base.chunks.get()
    address = f"/knowledge/documents/{document.pk}/?passage={chunk.pk}"
    conversation = Conversation.objects.create(user=people.alice)
    record = {
        "number": 1,
        "chunk_id": chunk.pk,
        "document_id": document.pk,
        "base_id": base.pk,
        "score": 0.5,
        "content_hash": bytes(chunk.content_hash).hex(),
    }
    question = add_message(conversation, role="user", content="Which roof?")
    answer = add_message(conversation, role="assistant", content="Slate [1].", engine=engines.old)
    Message.objects.filter(pk=answer.pk).update(citations=[record])

    page = alice.get(f"/chat/{conversation.pk}/").content.decode()
    assert page.count(f'href="{address}#passage"') == 2
    for header in ({}, {"hx-request": "true"}):
        shown = alice.get(address, headers=header).content.decode()
        assert shown.index('id="passage"') < shown.index("We chose slate.")
        assert ("<html" in shown) is not bool(header)
    assert visit(people.bob).get(address).status_code == 404

    document.delete()
    assert (
        "a passage that is not there any more"
        in alice.get(f"/chat/{conversation.pk}/").content.decode()
    )
    assert alice.get(address).status_code == 404
    assert question.position == 0
    assert AnswerRecord().citations == []


def test_many_messages_cost_as_many_questions_as_few(
    alice: Client, people: People, engines: Engines
) -> None:
    few = talk(people, engines, ("Slate.", engines.old))
    many = talk(people, engines, *[("Slate.", engines.old)] * 120)
    alice.get(f"/chat/{few.pk}/")
    with CaptureQueriesContext(connection) as of_few:
        alice.get(f"/chat/{few.pk}/")
    with CaptureQueriesContext(connection) as of_many:
        page = alice.get(f"/chat/{many.pk}/").content.decode()

    assert len(of_many) == len(of_few)
    assert "Show what was said before" in page
    assert (
        alice.get(f"/chat/{many.pk}/?before=3").content.decode().count("message-from-person") >= 2
    )
