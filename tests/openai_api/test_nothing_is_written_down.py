"""What people write goes through every door, and into no log and no file of Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
from django.conf import settings

from engines.services.knowledge.documents import create_base
from engines.services.people.conversations import create_conversation
from tests.openai_api.conftest import Asker, Served
from tests.redis_admin import admin_redis
from tests.tokens import token_for

MARK = "marked-5c1d7e"


def files_with_mark(folders: list[Path]) -> list[str]:
    found = []
    for folder in folders:
        files = [folder] if folder.is_file() else [f for f in folder.rglob("*") if f.is_file()]
        found += [str(file) for file in files if MARK.encode() in file.read_bytes()]
    return found


def ask_everything(api: httpx2.Client, asker: Asker) -> list[int]:
    """Requests that succeed, that are refused, and that fail."""
    base = create_base(owner=asker.user, name="Notes")
    conversation = create_conversation(asker.user)
    documents = f"/api/v1/knowledge-bases/{base.pk}/documents"
    chat = {"model": "sam", "messages": [{"role": "user", "content": MARK}], "max_tokens": 4}
    posts: list[tuple[str, Any]] = [
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", {**chat, "model": MARK}),
        ("/v1/chat/completions", {**chat, MARK: 1}),
        ("/v1/chat/completions", {**chat, "max_tokens": MARK}),
        ("/v1/completions", {"model": "sam", "prompt": MARK, "max_tokens": 4}),
        ("/v1/embeddings", {"model": "sam", "input": MARK}),
        (f"/api/v1/conversations/{conversation.pk}/messages", {"content": MARK, "max_tokens": 4}),
        ("/api/v1/conversations", {"title": MARK}),
        ("/api/v1/conversations", {"title": MARK * 100}),
        ("/api/v1/conversations", {"title": f"{MARK}\x00"}),
        (documents, {"title": MARK, "text": f"{MARK} in a text."}),
        (documents, {"title": f"{MARK}\n", "text": MARK}),
        (documents, {"title": MARK, "text": MARK, "media_type": MARK}),
        ("/api/v1/search", {"query": MARK}),
        ("/api/v1/search", {"query": MARK, "bases": [MARK]}),
        ("/api/v1/plans", {"to_engine": MARK}),
        ("/api/v1/tokens", {"username": MARK, "password": MARK}),
    ]
    answers = [api.post(path, json=body) for path, body in posts]
    answers += [
        api.get("/api/v1/search", params={"query": MARK}),
        api.get("/api/v1/plans", params={"cursor": MARK}),
        api.get("/v1/models", params={"question": MARK}),
        api.post("/v1/chat/completions", content=f'{{"model": "{MARK}'.encode()),
        api.post(documents, files={"file": (f"{MARK}.txt", f"\xff{MARK}".encode("latin-1"))}),
    ]
    return [answer.status_code for answer in answers]


def test_words_of_people_are_in_no_log_and_no_file_of_redis(asker: Asker, served: Served) -> None:
    headers = {"Authorization": f"Bearer {token_for(asker.user)}"}
    with httpx2.Client(base_url=served.web.address, headers=headers, timeout=60) as api:
        statuses = ask_everything(api, asker)

    assert {200, 201, 400} <= set(statuses)
    assert not [status for status in statuses if status == 500]
    locations = settings.SAM_LOCATIONS
    places = [served.web.log.parent, locations.logs, locations.redis_data]
    assert files_with_mark(places) == []


def test_what_waits_in_redis_ends_by_itself(asker: Asker, served: Served) -> None:
    chat = {"model": "sam", "messages": [{"role": "user", "content": MARK}], "max_tokens": 4}
    asker.client.post("chat/completions", json=chat)

    with admin_redis(decode_responses=True) as client:
        keys = [key for key in client.keys("sam:*") if "live" in key or "stream" in key]
        assert not [key for key in keys if client.ttl(key) == -1 and holds_mark(client, key)]


def holds_mark(client: Any, key: str) -> bool:
    read = {"string": client.get, "hash": client.hgetall, "set": client.smembers}
    kind = client.type(key)
    if kind == "stream":
        return MARK in str(client.xrange(key))
    if kind == "list":
        return MARK in str(client.lrange(key, 0, -1))
    return kind in read and MARK in str(read[kind](key))
