"""What one person may ask of ``/v1``: so often, so much at once, so many choices, as much as the day has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings
from redis import Redis

from engines.models import EnginePreference, TokenReservation, TokenScope, TokenUsage
from engines.services.people.tokens import create_token
from engines.services.people.usage import remove_quota, set_quota
from migrations_app.openai_api import answering, views
from tests.openai_api.conftest import Asker, Served
from tests.openai_api.sse import chunks_of
from tests.openai_api.web import WebProcess
from tests.tokens import token_for

CHAT = {"model": "sam", "messages": [{"role": "user", "content": "Say something."}]}
GREEDY = {**CHAT, "temperature": 0, "max_tokens": 24}
LONG = {**CHAT, "stream": True, "max_tokens": 100}
ENDLESS = {**LONG, "max_tokens": 5000}
"""Still under way when others have asked, however fast the machine is."""


@pytest.fixture
def limited(served: Served, asker: Asker, tmp_path: Path) -> Iterator[WebProcess]:
    """A web process that lets each person have two answers at once."""
    environment = {**served.worker._environment(), "SAM_ANSWERS_AT_ONCE": "2"}
    with WebProcess(tmp_path, environment) as web:
        yield web


def test_one_person_takes_no_more_places_than_allowed(limited: WebProcess, asker: Asker) -> None:
    other = User.objects.create(username="grace")
    EnginePreference.objects.create(
        user=other, engine=asker.revision.model, revision=asker.revision
    )
    with limited.client(token_for(asker.user)) as mine, limited.client(token_for(other)) as theirs:
        with mine.stream("POST", "chat/completions", json=ENDLESS) as first:
            assert first.status_code == 200
            with mine.stream("POST", "chat/completions", json=ENDLESS) as second:
                assert second.status_code == 200
                refused = mine.post("chat/completions", json=CHAT)
                answered = theirs.post("chat/completions", json={**CHAT, "max_tokens": 4})

        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert int(refused.headers["Retry-After"]) > 0
        assert "x-should-retry" not in refused.headers
        assert answered.status_code == 200
        assert_answered_again(mine)


def assert_answered_again(client: httpx2.Client) -> None:
    """Whoever left has the place back within moments."""
    deadline = time.monotonic() + 60
    while client.post("chat/completions", json={**CHAT, "max_tokens": 4}).status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_answers_side_by_side_stay_within_the_day(asker: Asker, served: Served) -> None:
    quota, token = 150, token_for(asker.user)
    set_quota(asker.user, quota)

    def ask(_: int) -> int:
        with served.web.client(token) as client:
            return client.post("chat/completions", json={**CHAT, "max_tokens": 100}).status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(ask, range(12)))

    usage = TokenUsage.objects.get()
    assert set(statuses) == {200, 429}
    assert usage.tokens_in + usage.tokens_out <= quota
    assert not TokenReservation.objects.exists()


def test_several_choices_are_answered_one_after_the_other(asker: Asker) -> None:
    def ask(where: str, **more: Any) -> dict[str, Any]:
        body: dict[str, Any] = asker.client.post(where, json={**GREEDY, **more}).json()
        return body

    one = ask("chat/completions", temperature=2, seed=7)
    both = ask("chat/completions", temperature=2, seed=7, n=2)
    after = ask("chat/completions", temperature=2, seed=8)

    said = [choice["message"]["content"] for choice in both["choices"]]
    alone = [each["choices"][0]["message"]["content"] for each in (one, after)]
    assert said == alone
    assert said[0] != said[1]
    assert [choice["index"] for choice in both["choices"]] == [0, 1]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert both["usage"][name] == one["usage"][name] + after["usage"][name]
    assert TokenUsage.objects.get().requests == 4


def test_several_prompts_are_streamed_as_choices(asker: Asker) -> None:
    asked = {"model": "sam", "prompt": ["Once", "Twice"], "temperature": 0, "n": 2}
    whole = asker.client.post("completions", json=asked).json()

    streamed = {**asked, "stream": True, "stream_options": {"include_usage": True}}
    with asker.client.stream("POST", "completions", json=streamed) as response:
        *chunks, last = chunks_of(response.iter_lines())

    said: dict[int, str] = {}
    ended: list[tuple[int, str]] = []
    for chunk in chunks:
        (choice,) = chunk["choices"]
        said[choice["index"]] = said.get(choice["index"], "") + choice["text"]
        if choice["finish_reason"]:
            ended.append((choice["index"], choice["finish_reason"]))
    assert said == {choice["index"]: choice["text"] for choice in whole["choices"]}
    assert ended == [(number, "length") for number in range(4)]
    assert said[0] == said[1] != said[2] == said[3]
    assert (last["choices"], last["usage"]) == ([], whole["usage"])


def test_each_choice_takes_of_the_days_tokens(asker: Asker) -> None:
    one = asker.client.post("chat/completions", json=GREEDY).json()["usage"]["total_tokens"]
    set_quota(asker.user, one * 3)

    refused = asker.client.post("chat/completions", json={**GREEDY, "n": 4})

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    used = TokenUsage.objects.get()
    assert one < used.tokens_in + used.tokens_out <= one * 3
    assert TokenReservation.objects.count() == 0
    remove_quota(asker.user)
    assert asker.client.post("chat/completions", json={**GREEDY, "n": 2}).status_code == 200


def test_who_leaves_a_stream_gives_the_tokens_back_once_they_are_counted(asker: Asker) -> None:
    set_quota(asker.user, 1000)

    with asker.client.stream("POST", "chat/completions", json=LONG) as response:
        assert response.status_code == 200
        assert TokenReservation.objects.count() == 1

    deadline = time.monotonic() + 60
    while not TokenUsage.objects.filter(user=asker.user).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_who_leaves_while_being_admitted_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that takes the place goes on after its request was cancelled."""
    begun, go_on, given_back = Event(), Event(), Event()

    class Taken:
        release = staticmethod(given_back.set)

    def admitted(*_: object) -> object:
        begun.set()
        assert go_on.wait(60)
        return None, None, Taken()

    async def leave() -> None:
        asking = asyncio.create_task(views.chat_completions(RequestFactory().post("/v1/x")))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not given_back.is_set()
        go_on.set()
        await asyncio.to_thread(given_back.wait, 60)

    monkeypatch.setattr(answering, "_admitted", admitted)
    asyncio.run(leave())

    assert given_back.is_set()


def test_embeddings_use_no_more_than_the_day_has_left(asker: Asker) -> None:
    sentence = "A sentence that has more than one token."

    def embed(texts: int) -> httpx2.Response:
        body = {"model": "sam", "input": [sentence] * texts}
        return asker.client.post("embeddings", json=body)

    each = embed(1).json()["usage"]["prompt_tokens"]
    set_quota(asker.user, 66 * each + 1)
    # The second of its two batches has no room; the first was read, and counts.
    long, last, short = embed(66), embed(1), embed(1)

    assert [long.status_code, last.status_code, short.status_code] == [429, 200, 429]
    assert f"have {66 * each} tokens or more" in long.json()["error"]["message"]
    assert f"have {each} tokens or more, and 1 of those" in short.json()["error"]["message"]
    assert TokenUsage.objects.get().tokens_in == 66 * each
    assert not TokenReservation.objects.exists()


def test_the_rate_of_a_person_holds_here_too(
    db: None, redis_client: Redis, settings: Settings
) -> None:
    settings.SAM_RATES = {"anon": "2/min", "user": "3/min", "work": None}
    ada = User.objects.create(username="ada")
    headers = {"Authorization": f"Bearer {token_for(ada)}"}

    found = [Client().get("/v1/models", headers=headers).status_code for _ in range(5)]
    strangers = [Client().get("/v1/models") for _ in range(4)]

    assert found == [200] * 3 + [429] * 2
    assert [answer.status_code for answer in strangers] == [401, 401, 429, 429]
    assert strangers[-1].json()["error"]["type"] == "rate_limit_error"
    assert 0 < int(strangers[-1]["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("scope", "lists", "asks"),
    [(TokenScope.READ, 200, 403), (TokenScope.ANSWERS, 200, 400), (TokenScope.ALL, 200, 400)],
)
def test_a_tokens_scope_holds_here_too(db: None, scope: TokenScope, lists: int, asks: int) -> None:
    """What may ask is told that the body is empty."""
    ada = User.objects.create(username="ada")
    headers = {"Authorization": f"Bearer {create_token(ada, 'test', scope=scope).key}"}

    assert Client().get("/v1/models", headers=headers).status_code == lists
    for path in ("chat/completions", "completions", "embeddings"):
        answer = Client().post(f"/v1/{path}", {}, "application/json", headers=headers)
        assert answer.status_code == asks, answer.content
