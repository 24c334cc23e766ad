"""Answers side by side share a quota: each takes its part before it begins and gives back the rest."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from redis import Redis

from engines.db.clock import seconds_from_now
from engines.models import Conversation, Message, TokenReservation, TokenUsage
from engines.services.people.conversations import create_conversation
from engines.services.people.usage import (
    QuotaExceededError,
    add_usage,
    reserve_tokens,
    reserved_tokens,
    set_quota,
    settle_reservation,
)
from tests.api.played_host import played_host
from tests.api.roles import client_of, make_people, problem, use_engine
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host

QUOTA = 500


@pytest.fixture
def ada(transactional_db: None) -> User:
    user = User.objects.create(username="ada")
    set_quota(user, QUOTA)
    return user


def test_twenty_four_answers_side_by_side_use_no_more_than_the_quota(ada: User) -> None:
    def ask(_: int) -> int:
        try:
            with reserved_tokens(ada.pk, 316) as reserved:
                assert reserved is not None
                time.sleep(0.05)
                add_usage(ada.pk, 0, reserved.tokens)
                return reserved.tokens
        except QuotaExceededError:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(24) as pool:
        spent = sum(pool.map(ask, range(24)))

    assert 0 < spent <= QUOTA
    assert TokenUsage.objects.get().tokens_out == spent
    assert not TokenReservation.objects.exists()


def test_one_after_the_other_the_whole_day_can_be_used(ada: User) -> None:
    for used in (300, 150, 50):
        with reserved_tokens(ada.pk, 316):
            add_usage(ada.pk, 0, used)

    with pytest.raises(QuotaExceededError, match="You used 500 of the 500") as told:
        reserve_tokens(ada.pk, 1)
    assert told.value.seconds > 5


def test_while_others_hold_the_rest_one_is_told_to_come_again_soon(ada: User) -> None:
    with reserved_tokens(ada.pk, 10_000) as reserved:
        assert reserved is not None
        assert reserved.tokens == QUOTA
        with pytest.raises(QuotaExceededError, match="under way") as told:
            reserve_tokens(ada.pk, 1)

    assert told.value.seconds <= 10


def test_an_error_gives_everything_back(ada: User) -> None:
    with pytest.raises(ZeroDivisionError), reserved_tokens(ada.pk, 400):
        _ = 1 / 0

    assert not TokenReservation.objects.exists()


def test_what_a_reader_left_behind_stays_taken_until_it_is_counted(ada: User) -> None:
    reserved = reserve_tokens(ada.pk, QUOTA)

    settle_reservation(reserved, is_counted=False)

    with pytest.raises(QuotaExceededError):
        reserve_tokens(ada.pk, 1)
    TokenReservation.objects.update(expires_at=seconds_from_now(-1))
    assert reserve_tokens(ada.pk, 1) is not None


def test_nobody_without_a_quota_waits_for_anybody(transactional_db: None) -> None:
    bob = User.objects.create(username="bob")

    assert reserve_tokens(bob.pk, 10**9) is None
    assert not TokenReservation.objects.exists()


def test_a_conversation_asks_the_quota_before_anything_is_kept(
    transactional_db: None, redis_client: Redis, tiny_llama: Path
) -> None:
    people = make_people()
    revision = make_revision(tiny_llama, make_host(announces=["live.generate"]))
    use_engine(people.alice, revision.model)
    set_quota(people.alice, 100)
    conversation: Conversation = create_conversation(people.alice)
    address = f"/api/v1/conversations/{conversation.pk}/messages"
    limits: list[int] = []

    def answer(_: str, payload: dict[str, Any]) -> dict[str, Any]:
        limits.append(payload["max_tokens"])
        add_usage(people.alice.pk, 50, 60)
        connections.close_all()
        return {"text": "Hello.", "engine_id": revision.model.model_id, "revision_id": revision.pk}

    with played_host(redis_client, answer):
        client = client_of(people.alice)
        first = client.post(address, {"content": "Hi", "max_tokens": 400}, format="json")
        second = client.post(address, {"content": "Hi"}, format="json")

    assert first.status_code == 201, first.content
    assert limits == [100]
    problem(second, 429, "quota_exceeded")
    assert int(second["Retry-After"]) > 0
    assert Message.objects.count() == 2
    assert not TokenReservation.objects.exists()
