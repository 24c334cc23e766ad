"""Conversations streamed by a real web process; engines' answers come from a host that the test plays."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from django.contrib.auth.models import User
from django.db import connection
from redis import Redis

from engines.exceptions import ConflictError, EngineError
from engines.models import Conversation, EnginePreference, Message, ModelRevision
from engines.services.answers.messages import BeginEvent, EndEvent, StateEvent, TextEvent
from engines.services.people.conversations import create_conversation
from migrations_app.limits.held import hold_alone
from migrations_app.serving.protocol import LIVE_KINDS, BeatEvent, ErrorEvent
from tests.conversations.played_stream import played_streams
from tests.openai_api.web import WebProcess
from tests.redis_admin import admin_redis
from tests.tokens import token_for
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from tests.worker.processes import WORK, WorkerProcess, wait_until
from worker.live.stream_writer import TokenWriter

pytestmark = pytest.mark.django_db(transaction=True)

END = EndEvent(finish_reason="stop", prompt_tokens=7, completion_tokens=2, reused_tokens=1)
WISH: dict[str, Any] = {"content": "Who are you?", "stream": True}


class Talker(NamedTuple):
    user: User
    client: httpx2.Client
    conversation: Conversation
    old: ModelRevision
    new: ModelRevision
    redis: Redis

    @property
    def url(self) -> str:
        return f"conversations/{self.conversation.pk}/messages"

    def kept(self) -> list[tuple[str, str, str]]:
        rows = self.conversation.messages.order_by("position")
        return [(row.role, row.content, row.status) for row in rows]


@pytest.fixture
def talker(
    transactional_db: None, tmp_path: Path, tiny_llama: Path, tiny_qwen: Path
) -> Iterator[Talker]:
    admin_redis().flushall()
    host = make_host("played", announces=[f"live.{kind}" for kind in LIVE_KINDS])
    old, new = make_revision(tiny_llama, host, "old"), make_revision(tiny_qwen, host, "new")
    user = User.objects.create_user("ada")
    EnginePreference.objects.create(user=user, engine=old.model, revision=old)
    environment = WorkerProcess(tmp_path, WORK)._environment()
    with WebProcess(tmp_path, environment) as web, admin_redis() as redis:
        headers = {"Authorization": f"Bearer {token_for(user)}"}
        address = f"{web.address}/api/v1/"
        with httpx2.Client(base_url=address, headers=headers, timeout=120) as client:
            yield Talker(user, client, create_conversation(user), old, new, redis)


def is_closed(conversation: Conversation) -> bool:
    """Whether the answer that was under way has given the conversation back."""
    try:
        place = hold_alone(f"conversation:{conversation.pk}", ConflictError("held"))
    except ConflictError:
        return False
    if place is not None:
        place.release()
    return True


def begin(revision: ModelRevision) -> BeginEvent:
    return BeginEvent(engine_id=revision.model.model_id, revision_id=revision.pk)


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def read(talker: Talker, url: str, asked: dict[str, Any], **headers: str) -> list[tuple[str, Any]]:
    with talker.client.stream("POST", url, json=asked, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        return list(events_of(answer.iter_lines()))


def say_hello(talker: Talker, revision: ModelRevision) -> Any:
    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        for event in (begin(revision), TextEvent("Hel"), TextEvent("lo."), END):
            writer.write(event)

    return played_streams(talker.redis, play)


def test_an_answer_comes_in_pieces_and_is_kept_as_it_came(talker: Talker) -> None:
    with say_hello(talker, talker.old) as asked:
        events = read(talker, talker.url, {"content": "Who are you?"}, Accept="text/event-stream")

    names = [name for name, _ in events]
    text = "".join(data["text"] for name, data in events if name == "delta")
    done = events[-1][1]["message"]
    assert [*dict.fromkeys(names)] == ["message", "engine", "delta", "usage", "done"]
    assert text == done["content"] == "Hello."
    assert (done["engine"], done["status"], done["finish_reason"]) == ("old", "complete", "stop")
    assert events[0][1]["message"]["content"] == "Who are you?"
    assert dict(events)["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "cached_tokens": 1}
    assert dict(events)["engine"] == {"engine": "old", "fallback_for": None, "switched_from": None}
    assert talker.kept() == [
        ("user", "Who are you?", "complete"),
        ("assistant", "Hello.", "complete"),
    ]
    assert asked[0]["messages"] == [{"role": "user", "content": "Who are you?"}]
    listed = talker.client.get(talker.url).json()["results"]
    assert listed[1] == done
    assert talker.client.get("conversations").json()["results"][0]["title"] == "Who are you?"


def test_a_question_asked_while_the_engine_loads_waits_and_says_so(talker: Talker) -> None:
    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        writer.write(StateEvent())
        for _ in range(6):
            writer.write(BeatEvent())
            threading.Event().wait(1.0)
        for event in (begin(talker.old), TextEvent("Now."), END):
            writer.write(event)

    with played_streams(talker.redis, play):
        events = read(talker, talker.url, WISH)

    names = [name for name, _ in events]
    waits = [data for name, data in events if name == "waiting"]
    assert names[:2] == ["message", "waiting"]
    assert 2 <= len(waits) <= 4
    assert "being loaded" in waits[0]["reason"]
    assert waits[-1]["seconds"] >= 3
    assert events[-1][1]["message"]["content"] == "Now."


def test_who_leaves_stops_the_answer_and_keeps_what_was_written(talker: Talker) -> None:
    abandoned = threading.Event()

    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        for event in (begin(talker.old), TextEvent("The beginning")):
            writer.write(event)
        while not writer.abandoned.wait(0.3):
            writer.write(BeatEvent())
        abandoned.set()

    with played_streams(talker.redis, play):
        with talker.client.stream("POST", talker.url, json=WISH) as answer:
            for name, _ in events_of(answer.iter_lines()):
                if name == "delta":
                    break
        assert abandoned.wait(60)
        wait_until(lambda: len(talker.kept()) == 2, "the part that was written")

    assert talker.kept()[1] == ("assistant", "The beginning", "stopped")
    with say_hello(talker, talker.old) as asked:
        events = read(talker, talker.url, {"content": "Go on.", "stream": True})
    assert events[-1][0] == "done"
    assert [m["content"] for m in asked[0]["messages"]] == [
        "Who are you?",
        "The beginning",
        "Go on.",
    ]


def test_an_error_ends_with_a_sentence_and_what_was_written(talker: Talker) -> None:
    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        error = ErrorEvent.of(EngineError("The engine's process ended; ask again."))
        for event in (begin(talker.old), TextEvent("Half"), error):
            writer.write(event)

    with played_streams(talker.redis, play):
        events = read(talker, talker.url, WISH)

    name, failed = events[-1]
    assert name == "error"
    assert failed["detail"] == "The engine's process ended; ask again."
    assert (failed["message"]["content"], failed["message"]["status"]) == ("Half", "broken")
    assert talker.kept()[1] == ("assistant", "Half", "broken")


def test_the_switch_is_seen_in_the_flow(talker: Talker) -> None:
    with say_hello(talker, talker.old):
        read(talker, talker.url, WISH)
    with say_hello(talker, talker.new):
        events = read(talker, talker.url, {"content": "And now?", "stream": True})

    assert dict(events)["engine"]["switched_from"] == "old"
    engines = [row["engine"] for row in talker.client.get(talker.url).json()["results"]]
    assert engines == [None, "old", None, "new"]


def test_what_is_sent_again_is_not_said_twice(talker: Talker) -> None:
    key = {"Idempotency-Key": "one"}
    with say_hello(talker, talker.old) as asked:
        first = read(talker, talker.url, WISH, **key)
        again = read(talker, talker.url, WISH, **key)
        whole = talker.client.post(talker.url, json={"content": "Who are you?"}, headers=key)
        other = talker.client.post(talker.url, json={"content": "Other"}, headers=key)

    assert len(asked) == 1
    assert again == [first[0], first[-1]]
    assert whole.json()["answer"] == first[-1][1]["message"]
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert len(talker.kept()) == 2


def test_a_question_without_an_answer_is_answered_when_it_is_sent_again(talker: Talker) -> None:
    key = {"Idempotency-Key": "one"}

    def fail(_asked: dict[str, Any], writer: TokenWriter) -> None:
        writer.write(ErrorEvent.of(EngineError("The engine does not start; ask an operator.")))

    with played_streams(talker.redis, fail):
        assert read(talker, talker.url, WISH, **key)[-1][0] == "error"
    assert talker.kept() == [("user", "Who are you?", "complete")]

    with say_hello(talker, talker.old):
        assert read(talker, talker.url, WISH, **key)[-1][0] == "done"
    assert [content for _, content, _ in talker.kept()] == ["Who are you?", "Hello."]


def test_regenerating_replaces_the_last_answer_once_there_is_another(talker: Talker) -> None:
    again = f"{talker.url}/regenerate"
    with say_hello(talker, talker.old):
        before = read(talker, talker.url, WISH)[-1][1]["message"]

    def fail(_asked: dict[str, Any], writer: TokenWriter) -> None:
        error = ErrorEvent.of(EngineError("The engine's process ended; ask again."))
        for event in (begin(talker.new), TextEvent("Half"), error):
            writer.write(event)

    with played_streams(talker.redis, fail):
        failed = read(talker, again, {"stream": True})
    assert (failed[-1][0], failed[-1][1]["message"]) == ("error", None)
    wait_until(lambda: is_closed(talker.conversation), "the end of the answer")
    assert talker.kept()[1] == ("assistant", "Hello.", "complete")

    with say_hello(talker, talker.new) as asked:
        after = read(talker, again, {"stream": True})[-1][1]["message"]
    assert (after["position"], after["engine"]) == (before["position"], "new")
    assert after["id"] != before["id"]
    assert asked[0]["messages"] == [{"role": "user", "content": "Who are you?"}]
    assert len(talker.kept()) == 2


def test_one_conversation_has_one_answer_at_a_time_and_is_nobody_elses(talker: Talker) -> None:
    go_on = threading.Event()

    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        writer.write(begin(talker.old))
        while not go_on.wait(0.3):
            writer.write(BeatEvent())
        for event in (TextEvent("Done."), END):
            writer.write(event)

    stranger = {"Authorization": f"Bearer {token_for(User.objects.create_user('bob'))}"}
    with played_streams(talker.redis, play):
        with talker.client.stream("POST", talker.url, json=WISH) as answer:
            events = events_of(answer.iter_lines())
            next(events)
            second = talker.client.post(talker.url, json={"content": "And?"})
            foreign = [
                talker.client.post(where, json=WISH, headers=stranger)
                for where in (talker.url, f"{talker.url}/regenerate")
            ]
            count = Message.objects.count()
            go_on.set()
            rest = list(events)
        wait_until(lambda: not talker.redis.keys("sam:alone:*"), "the conversation to be free")

    assert (second.status_code, second.json()["code"]) == (409, "conflict")
    assert [one.status_code for one in foreign] == [404, 404]
    assert count == 1
    assert rest[-1][0] == "done"


def test_nothing_is_held_of_the_database_while_an_answer_is_written(talker: Talker) -> None:
    counted: list[int] = []

    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        writer.write(begin(talker.old))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND state <> 'idle' AND pid <> pg_backend_pid()"
            )
            counted.append((cursor.fetchone() or (99,))[0])
        connection.close()
        for event in (TextEvent("Yes."), END):
            writer.write(event)

    with played_streams(talker.redis, play):
        read(talker, talker.url, WISH)

    assert counted == [0]


def test_a_conversation_that_is_deleted_meanwhile_ends_with_a_sentence(talker: Talker) -> None:
    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        assert talker.client.delete(f"conversations/{talker.conversation.pk}").status_code == 204
        for event in (begin(talker.old), TextEvent("Too late."), END):
            writer.write(event)

    with played_streams(talker.redis, play):
        name, failed = read(talker, talker.url, WISH)[-1]

    assert (name, failed["code"]) == ("error", "not_found")
    assert "deleted" in failed["detail"]
    assert not Message.objects.exists()


def test_what_is_wrong_is_refused_before_anything_is_kept(talker: Talker) -> None:
    refused = [
        talker.client.post(talker.url, json={**WISH, **wrong})
        for wrong in (
            {"content": " "},
            {"knowledge": {"k": 0}},
            {"knowledge": {"bases": [999]}},
            {"knowledge": {"unknown": 1}},
            {"stream": "x"},
        )
    ]
    empty = talker.client.post(f"{talker.url}/regenerate", json={"stream": True})

    assert [answer.status_code for answer in refused] == [400] * 5
    assert (empty.status_code, empty.json()["code"]) == (400, "invalid_request")
    assert all(a.headers["content-type"] == "application/problem+json" for a in [*refused, empty])
    assert not Message.objects.exists()
    assert not talker.redis.keys("sam:alone:*")
