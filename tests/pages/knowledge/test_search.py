"""The search box: what a host finds, with links into documents, and a sentence where none can search."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis import Redis

from engines.models import Chunk, Document, KnowledgeBase
from engines.services.knowledge.documents import add_document, create_base
from tests.api.played_host import played_host
from tests.api.roles import make_engines, make_people
from tests.api.test_knowledge import live_host

ADDRESS = "/knowledge/search/"


@pytest.fixture
def alice(transactional_db: None) -> Client:
    client = Client()
    client.force_login(make_people().alice)
    return client


def test_passages_are_found_with_their_place(alice: Client, redis_client: Redis) -> None:
    live_host(make_engines())
    person = User.objects.get(username="alice")
    base = create_base(owner=person, name="Notes")
    document = add_document(base.pk, title="Whales", text="Whales are mammals.")
    chunk = Chunk.objects.get()
    hit = {"chunk_id": chunk.pk, "document_id": document.pk, "base_id": base.pk, "score": 0.756}
    texts = {"title": "Whales", "text": "<i>Whales</i>", "content_hash": "00"}
    reply: dict[str, Any] = {"hits": [{**hit, **texts}], "engine_id": "x", "indexes": {}}

    with played_host(redis_client, lambda kind, payload: reply) as asked:
        whole = alice.post(ADDRESS, {"query": "whales?"}).content.decode()
        part = alice.post(ADDRESS, {"query": "whales?"}, headers={"HX-Request": "true"})

    assert {question["user_id"] for question in asked} == {person.pk}
    href = f'href="/knowledge/documents/{document.pk}/?passage={chunk.pk}#passage"'
    for html in (whole, part.content.decode()):
        assert href in html
        assert "76 %" in html
        assert "Notes" in html
        assert "<i>Whales" not in html
        assert "By words alone" not in html
    assert 'value="whales?"' in whole
    assert "<html" not in part.content.decode()


@pytest.mark.parametrize(
    ("path", "text", "shown"),
    [
        ("a.md", "# Whales\n\n- big\n- **old**", "Whales\n• big\n• old\n"),
        (
            "a.md",
            "2. one\n3. `two`\n\n| a | b |\n|---|---|\n| 1 | 2 |",
            "2. one\n3. two\na | b\n1 | 2\n",
        ),
        ("a.md", "> said\n\n    code  #1", "said\ncode  #1\n"),
        ("a.md", "wrapped by\nan editor\\\nhere", "wrapped by an editor\nhere\n"),
        ("a.xlsx", "Row 1\nRow 2", "Row 1\nRow 2\n"),
        ("a.txt", "# no heading\n- no list", "# no heading\n- no list\n"),
    ],
)
def test_a_passage_is_shown_in_its_lines_without_the_marks_of_its_file(
    alice: Client, redis_client: Redis, path: str, text: str, shown: str
) -> None:
    live_host(make_engines())
    base = create_base(owner=User.objects.get(username="alice"), name="Notes")
    kind = Document.MediaType.TEXT if path.endswith(".txt") else Document.MediaType.MARKDOWN
    document = add_document(base.pk, title="T", text=text, media_type=kind)
    Document.objects.update(path=path)
    hit = {"chunk_id": Chunk.objects.get().pk, "document_id": document.pk, "base_id": base.pk}
    facts = {"title": "T", "text": text, "content_hash": "00", "score": 0.5}
    reply: dict[str, Any] = {"hits": [{**hit, **facts}], "engine_id": "x", "indexes": {}}

    with (
        played_host(redis_client, lambda kind, payload: reply),
        CaptureQueriesContext(connection) as caught,
    ):
        html = alice.post(ADDRESS, {"query": "whales?"}).content.decode()

    # A list of fifty would read as many books.
    assert not any('"engines_document"."text"' in one["sql"] for one in caught)
    told = html.partition('<p class="passage soft">')[2].partition("</p>")[0]
    assert f"{told}\n" == shown


def test_why_only_words_were_searched_is_said(alice: Client, redis_client: Redis) -> None:
    live_host(make_engines())
    why = "Only words were searched: <start> a host."
    reply = {"hits": [], "engine_id": "x", "indexes": {}, "words_only": why}

    with played_host(redis_client, lambda kind, payload: reply):
        html = alice.post(ADDRESS, {"query": "whales?"}).content.decode()

    assert "Only words were searched: &lt;start&gt; a host." in html
    assert "Nothing was found" in html


def test_nothing_found_and_nobody_to_search_are_said(alice: Client, redis_client: Redis) -> None:
    assert (Document.objects.count(), KnowledgeBase.objects.count()) == (0, 0)
    answer = alice.post(ADDRESS, {"query": "whales?"})
    part = alice.post(ADDRESS, {"query": "whales?"}, headers={"HX-Request": "true"})

    assert (answer.status_code, part.status_code) == (503, 200)
    for html in (answer.content.decode(), part.content.decode()):
        assert "No search now" in html
    assert alice.post(ADDRESS, {"query": "  "}).status_code == 400
    assert alice.post(ADDRESS, {"query": "x" * 4001}).status_code == 400
    assert alice.get(ADDRESS)["Location"] == "/knowledge/"
