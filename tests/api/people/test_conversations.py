"""Conversations of one's own: renamed, read page by page, deleted; kept and cut whoever answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import connection
from msgspec import to_builtins
from redis import Redis
from rest_framework.test import APIClient

from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import NotFoundError
from engines.models import Conversation, Message, ModelRevision
from engines.services.people.conversations import (
    add_message,
    create_conversation,
    delete_conversation,
)
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from tests.api.played_host import played_host
from tests.api.roles import People, problem
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from worker.host.engine_pool import engine_pool
from worker.live.handlers import LIVE_HANDLERS

URL = "/api/v1/conversations"
TURNS = 24
WORDS = "the harbour and the bridge " * 4


def filled(user: User, turns: int) -> Conversation:
    """A conversation that ends with an answer."""
    conversation = create_conversation(user, title="Long")
    for number in range(turns):
        role = "user" if number % 2 == 0 else "assistant"
        add_message(conversation, role=role, content=f"Turn {number}: {WORDS}")
    return conversation


def test_a_conversation_is_renamed_and_deleted_once_and_nothing_else_with_it(
    alice: APIClient, people: People
) -> None:
    kept, gone = filled(people.alice, 2), filled(people.alice, 2)

    renamed = alice.patch(f"{URL}/{gone.pk}", {"title": "Whales"}, format="json")

    assert (renamed.status_code, renamed.json()["title"]) == (200, "Whales")
    assert alice.get(f"{URL}/{gone.pk}").json() == renamed.json()
    assert alice.delete(f"{URL}/{gone.pk}").status_code == 204
    problem(alice.delete(f"{URL}/{gone.pk}"), 404, "not_found")
    problem(alice.patch(f"{URL}/{gone.pk}", {"title": "x"}, format="json"), 404, "not_found")
    assert [row["id"] for row in alice.get(URL).json()["results"]] == [kept.pk]
    assert Message.objects.filter(conversation=kept).count() == 2
    assert not Message.objects.filter(conversation_id=gone.pk).exists()


def test_a_stranger_neither_renames_nor_deletes(
    alice: APIClient, bob: APIClient, people: People
) -> None:
    conversation = filled(people.alice, 2)

    problem(
        bob.patch(f"{URL}/{conversation.pk}", {"title": "Mine"}, format="json"), 404, "not_found"
    )
    problem(bob.delete(f"{URL}/{conversation.pk}"), 404, "not_found")

    conversation.refresh_from_db()
    assert (conversation.title, conversation.messages.count()) == ("Long", 2)


@pytest.mark.parametrize("body", [{}, {"title": None}, {"title": "x" * 201}, {"user": 1}])
def test_a_title_that_is_none_is_refused(
    alice: APIClient, people: People, body: dict[str, Any]
) -> None:
    conversation = filled(people.alice, 1)

    problem(alice.patch(f"{URL}/{conversation.pk}", body, format="json"), 400, "invalid_request")

    conversation.refresh_from_db()
    assert conversation.title == "Long"


def test_messages_and_conversations_come_page_by_page(alice: APIClient, people: People) -> None:
    conversation = filled(people.alice, 5)
    others = [create_conversation(people.alice, title=str(number)) for number in range(3)]

    def pages(address: str) -> list[list[Any]]:
        found = []
        while address:
            page = alice.get(address).json()
            found.append(page["results"])
            address = page["next"] or ""
        return found

    messages = pages(f"{URL}/{conversation.pk}/messages?page_size=2")
    conversations = pages(f"{URL}?page_size=3")

    assert [[row["position"] for row in page] for page in messages] == [[0, 1], [2, 3], [4]]
    ids = [[row["id"] for row in page] for page in conversations]
    newest = [other.pk for other in reversed(others)]
    assert ids == [newest, [conversation.pk]]


def test_who_writes_into_a_conversation_that_is_gone_is_told(people: People) -> None:
    conversation = filled(people.alice, 1)
    delete_conversation(conversation)

    with pytest.raises(NotFoundError, match="deleted"):
        add_message(conversation, role="user", content="Still there?")
    delete_conversation(conversation)

    assert not Message.objects.exists()


def handled(kind: str, payload: dict[str, Any]) -> Any:
    """What a live worker of this process answers."""
    try:
        body = msgspec.json.encode({"kind": kind, "payload": payload})
        return to_builtins(LIVE_HANDLERS[kind](body))
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_conversation_goes_on_whole_after_an_engine_with_less_room(
    alice: APIClient, people: People, redis_client: Redis, tmp_path: Path, tiny_llama: Path
) -> None:
    host = make_host(announces=["live.generate"])
    large = make_revision(
        write_llama_chat(tmp_path / "large.gguf", seed=9, context_length=4096), host, "large"
    )
    small = make_revision(tiny_llama, host, "small")
    conversation = filled(people.alice, TURNS)

    def switch(revision: ModelRevision) -> None:
        choice = EngineChoice(revision.model, revision, "llama", "")
        write_preference(preference_of(people.alice), choice, why="A switch.")

    def say(text: str) -> Any:
        asked = {"content": text, "max_tokens": 4, "temperature": 0}
        answer = alice.post(f"{URL}/{conversation.pk}/messages", asked, format="json")
        assert answer.status_code == 201, answer.content
        return answer.json()

    with played_host(redis_client, handled):
        switch(large)
        before = say("One?")
        switch(small)
        between = say("Two?")
        switch(large)
        after = say("Three?")
    engine_pool().unload_idle(0)

    assert [answer["left_out"] for answer in (before, after)] == [0, 0]
    assert 0 < between["left_out"] < TURNS + 3
    kept = alice.get(f"{URL}/{conversation.pk}/messages?page_size=100").json()["results"]
    assert [row["engine"] for row in kept[TURNS:]] == [None, "large", None, "small", None, "large"]
    assert [row["position"] for row in kept] == list(range(TURNS + 6))
    assert kept[0]["content"] == f"Turn 0: {WORDS}"
