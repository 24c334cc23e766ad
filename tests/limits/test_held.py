"""What one person has under way is bounded, for all processes, and never for longer than it runs."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings
from pytest_django.fixtures import Settings
from redis import Redis

from engines.exceptions import ConflictError
from engines.models import Document, KnowledgeBase, Message
from engines.services.people.conversations import create_conversation
from migrations_app.limits import held
from migrations_app.limits.held import ANSWERS, UPLOADS, TooManyAtOnceError, hold, holding
from tests.api.roles import People, client_of, problem
from tests.worker.processes import wait_until

PROJECT = Path(__file__).resolve().parent.parent.parent
HOLD_AND_DIE = """
import django, os, signal
django.setup()
from migrations_app.limits.held import hold
assert hold(7, "answers")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def two_at_once(redis_client: Redis, settings: Settings) -> None:
    settings.SAM_AT_ONCE = {"answers": 2, "uploads": 2}


def test_no_more_than_allowed_and_each_end_makes_room(redis_client: Redis) -> None:
    first, second = hold(7, ANSWERS), hold(7, ANSWERS)
    assert first is not None
    assert second is not None

    with pytest.raises(TooManyAtOnceError, match="as many as are allowed"):
        hold(7, ANSWERS)
    with holding(8, ANSWERS), holding(7, UPLOADS):
        pass
    first.release()
    first.release()
    with holding(7, ANSWERS), pytest.raises(TooManyAtOnceError):
        hold(7, ANSWERS)
    second.release()

    assert not redis_client.keys("sam:held:*")


def test_an_error_inside_makes_room_too(redis_client: Redis) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), holding(7, ANSWERS):
            _ = 1 / 0

    assert not redis_client.keys("sam:held:*")


def test_what_nobody_can_give_back_any_more_is_free_within_its_lease(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "LEASE_SECONDS", 3.0)
    monkeypatch.setattr(held, "RENEW_SECONDS", 0.2)
    taken = held.hold_alone("it", ConflictError("Somebody has it; wait."))
    assert taken is not None

    def is_free() -> bool:
        try:
            again = held.hold_alone("it", ConflictError("Somebody has it; wait."))
        except ConflictError:
            return False
        assert again is not None
        again.release()
        return True

    assert not is_free()
    del taken
    gc.collect()
    wait_until(is_free, "it to be free")


def test_what_a_killed_process_held_is_free_within_its_lease(redis_client: Any) -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(PROJECT)}
    for _ in range(2):
        killed = subprocess.run(
            [sys.executable, "-c", HOLD_AND_DIE],
            cwd=PROJECT,
            env={**os.environ, **environment, "SAM_ANSWERS_AT_ONCE": "2"},
            check=False,
        )
        assert killed.returncode == -9
    with pytest.raises(TooManyAtOnceError):
        hold(7, ANSWERS)

    for member, until in redis_client.zrange("sam:held:answers:7", 0, -1, withscores=True):
        assert until <= time.time() + held.LEASE_SECONDS
        redis_client.zadd("sam:held:answers:7", {member: time.time() - 1})

    with holding(7, ANSWERS):
        pass


def test_what_takes_longer_than_its_lease_is_renewed(
    redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "RENEW_SECONDS", 0.05)
    with holding(7, ANSWERS):
        (member,) = redis_client.zrange("sam:held:answers:7", 0, -1)
        redis_client.zadd("sam:held:answers:7", {member: time.time() + 1})
        deadline = time.monotonic() + 60
        while (redis_client.zscore("sam:held:answers:7", member) or 0) < time.time() + 10:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_without_a_limit_nothing_is_counted(redis_client: Redis) -> None:
    with override_settings(SAM_AT_ONCE={"answers": 0, "uploads": 0}):
        assert hold(7, ANSWERS) is None

    assert not redis_client.keys("sam:held:*")


def test_while_redis_is_away_people_are_let_in(settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"

    with holding(7, ANSWERS), holding(7, ANSWERS), holding(7, ANSWERS):
        pass


def test_the_api_refuses_one_more_and_changes_nothing(people: People) -> None:
    client = client_of(people.alice)
    base = KnowledgeBase.objects.create(owner=people.alice, name="Notes")
    conversation = create_conversation(people.alice)
    upload = {"title": "A", "file": SimpleUploadedFile("a.txt", b"text")}
    said = {"content": "Hello"}

    with holding(people.alice.pk, ANSWERS), holding(people.alice.pk, ANSWERS):
        messages = f"/api/v1/conversations/{conversation.pk}/messages"
        for answer in (
            client.post(messages, said, format="json"),
            client.post("/api/v1/search", {"query": "x"}, format="json"),
        ):
            problem(answer, 429, "too_many_at_once")
            assert int(answer["Retry-After"]) > 0
    with holding(people.alice.pk, UPLOADS), holding(people.alice.pk, UPLOADS):
        documents = f"/api/v1/knowledge-bases/{base.pk}/documents"
        problem(client.post(documents, upload, format="multipart"), 429, "too_many_at_once")
        # Not parsed: each of these bodies would be refused for what it says.
        written = Document.objects.create(base=base, title="B", text="b", sha256="0" * 64)
        for call, address in (
            (client.post, "/api/v1/adapters"),
            (client.put, f"{documents}/{written.pk}"),
            (client.patch, f"{documents}/{written.pk}"),
        ):
            form = "multipart" if address.endswith("adapters") else "json"
            problem(call(address, {"unknown": 1}, format=form), 429, "too_many_at_once")
        written.refresh_from_db()
        assert (written.title, written.text) == ("B", "b")
        written.delete()

    assert not Message.objects.exists()
    assert not Document.objects.exists()
