from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from redis import Redis
from rest_framework.test import APIClient

from engines.models import Chunk, Document, Host, KnowledgeBase, Message
from tests.api.played_host import played_host
from tests.api.roles import Engines, People, problem, use_engine

URL = "/api/v1/knowledge-bases"
TEXT = "Whales are mammals.\n\nThey breathe air."


@pytest.fixture
def base(alice: APIClient) -> str:
    answer = alice.post(URL, {"name": "Notes"}, format="json")
    assert answer.status_code == 201, answer.content
    return str(answer["Location"])


@pytest.fixture
def group_base(people: People, curator: APIClient) -> str:
    people.alice.groups.add(Group.objects.create(name="research"))
    return str(
        curator.post(URL, {"name": "Shared", "group": "research"}, format="json")["Location"]
    )


def add(client: APIClient, base: str, **changes: Any) -> Any:
    content = {"title": "Whales", "text": TEXT, **changes}
    return client.post(f"{base}/documents", content, format="json")


def test_a_document_is_added_read_changed_and_deleted(alice: APIClient, base: str) -> None:
    added = add(alice, base)

    address = added["Location"]
    assert (added.status_code, alice.get(address).json()["text"]) == (201, TEXT)
    assert "text" not in alice.get(f"{base}/documents").json()["results"][0]
    replaced = alice.put(address, {"title": "Fish", "text": "Fish swim."}, format="json")
    assert (replaced.status_code, alice.get(address).json()["text"]) == (200, "Fish swim.")
    renamed = alice.patch(address, {"title": "All fish"}, format="json")
    assert renamed.json()["title"] == "All fish"
    assert alice.get(base).json()["document_count"] == 1
    assert alice.delete(address).status_code == 204
    problem(alice.get(address), 404, "not_found")
    assert not Chunk.objects.filter(deleted_seq=None).exists()
    assert not Chunk.objects.exclude(text="").exists()


def test_a_markdown_file_is_taken_with_its_name_alone(alice: APIClient, base: str) -> None:
    file = SimpleUploadedFile("../../../etc/whales.md", TEXT.encode())

    answer = alice.post(f"{base}/documents", {"file": file}, format="multipart")

    assert answer.status_code == 201, answer.content
    document = Document.objects.get()
    assert (document.title, document.media_type, document.text) == (
        "whales.md",
        "text/markdown",
        TEXT,
    )


@pytest.mark.parametrize(
    "content",
    [
        {"title": "", "text": "x"},
        {"title": "t", "text": ""},
        {"title": "t", "text": "   \n "},
        {"title": "t", "text": "a\x00b"},
        {"title": "t" * 301, "text": "x"},
        {"title": "t", "text": 7.5e300, "media_type": "text/html"},
        {"title": "t", "text": "x", "media_type": "application/pdf"},
        {"title": "t", "text": "x", "sha256": "0"},
        {"title": "t"},
        {},
    ],
)
def test_a_document_that_is_none_is_400_and_changes_nothing(
    alice: APIClient, base: str, content: dict[str, Any]
) -> None:
    problem(alice.post(f"{base}/documents", content, format="json"), 400, "invalid_request")

    assert not Document.objects.exists()
    assert KnowledgeBase.objects.get().write_seq == 0


def test_a_file_that_is_no_text_is_400(alice: APIClient, base: str) -> None:
    for content in (b"\xff\xfe\x00", b""):
        file = SimpleUploadedFile("whales.md", content)
        answer = alice.post(f"{base}/documents", {"file": file}, format="multipart")
        problem(answer, 400, "invalid_request")

    assert not Document.objects.exists()


def test_a_huge_document_is_refused(alice: APIClient, base: str) -> None:
    answer = add(alice, base, text="x" * (3 * 2**20))
    assert "as a file" in problem(answer, 413, "body_too_large")["detail"]
    for size, status in ((50_000_001, 400), (52 * 2**20, 413)):
        file = SimpleUploadedFile("whales.txt", b"x" * size)
        answer = alice.post(f"{base}/documents", {"file": file}, format="multipart")
        problem(answer, status, answer.json()["code"])

    assert not Document.objects.exists()


def test_a_stranger_finds_neither_base_nor_documents(
    alice: APIClient, bob: APIClient, base: str
) -> None:
    document = add(alice, base)["Location"]

    assert bob.get(URL).json()["results"] == []
    for address in (base, document, f"{base}/documents"):
        problem(bob.get(address), 404, "not_found")
    problem(add(bob, base), 404, "not_found")
    problem(bob.put(document, {"title": "t", "text": "x"}, format="json"), 404, "not_found")
    problem(bob.patch(document, {"title": "t"}, format="json"), 404, "not_found")
    problem(bob.delete(document), 404, "not_found")
    problem(bob.delete(base), 404, "not_found")
    assert alice.get(document).json()["text"] == TEXT


def test_not_even_an_administrator_reads_a_persons_base(
    alice: APIClient, people: People, base: str
) -> None:
    for user in (people.administrator, people.operator, people.curator):
        client = APIClient()
        client.force_authenticate(user)
        problem(client.get(base), 404, "not_found")
        assert client.get(URL).json()["results"] == []


def test_a_document_of_another_base_is_404(alice: APIClient, base: str) -> None:
    other = alice.post(URL, {"name": "Other"}, format="json")["Location"]
    document = add(alice, base)["Location"].rsplit("/", 1)[1]

    problem(alice.get(f"{other}/documents/{document}"), 404, "not_found")


def test_members_read_a_groups_base_and_only_curators_write_it(
    alice: APIClient, bob: APIClient, curator: APIClient, group_base: str
) -> None:
    document = add(curator, group_base)["Location"]

    assert alice.get(document).json()["text"] == TEXT
    problem(add(alice, group_base), 403, "permission_denied")
    problem(alice.delete(document), 403, "permission_denied")
    problem(alice.delete(group_base), 403, "permission_denied")
    problem(alice.patch(group_base, {"name": "Mine"}, format="json"), 403, "permission_denied")
    problem(bob.get(document), 404, "not_found")
    assert Document.objects.count() == 1


def test_whether_anothers_passage_says_the_same_cannot_be_told(
    alice: APIClient, bob: APIClient, base: str
) -> None:
    theirs = bob.post(URL, {"name": "Bob's"}, format="json")["Location"]
    document = add(alice, base)["Location"].rstrip("/").split("/")[-1]
    add(bob, theirs)
    own, other = Chunk.objects.order_by("pk")
    assert own.content_hash == other.content_hash
    address = f"/api/v1/documents/{document}/passages"

    assert alice.get(f"{address}/{own.pk}").json()["text"] == TEXT
    problem(alice.get(f"{address}/{other.pk}"), 404, "not_found")


def test_only_a_curator_makes_a_groups_base(alice: APIClient, people: People) -> None:
    people.alice.groups.add(Group.objects.create(name="research"))

    answer = alice.post(URL, {"name": "Shared", "group": "research"}, format="json")

    problem(answer, 403, "permission_denied")
    assert not KnowledgeBase.objects.exists()


def test_a_base_is_renamed_and_deleted_with_all_it_holds(alice: APIClient, base: str) -> None:
    add(alice, base)

    assert alice.patch(base, {"name": "Archive"}, format="json").json()["name"] == "Archive"
    assert alice.delete(base).status_code == 204
    assert not KnowledgeBase.objects.exists()
    assert not Document.objects.exists()


HIT = {
    "chunk_id": 1,
    "document_id": 2,
    "base_id": 3,
    "title": "Whales",
    "text": TEXT,
    "score": 0.75,
    "place": "page 3",
    "also": [{"document_id": 5, "title": "Copy", "chunk_id": 6, "place": ""}],
    "found_by": "both",
    "relevance": None,
    "path": "animals/whales.md",
    "media_type": "text/plain",
    "heading": "Whales › Food",
    "start": 10,
    "end": 40,
}


def live_host(engines: Engines) -> None:
    Host.objects.update(announces=["live.search", "live.generate", "live.embed"])
    assert engines.old.current_revision is not None
    engines.old.current_revision.copies.create(
        host=engines.host, status="downloaded", path="/m", checksum="c" * 64
    )


@pytest.mark.django_db(transaction=True)
def test_search_asks_a_host_for_the_caller_and_shows_its_passages(
    alice: APIClient, people: People, engines: Engines, redis_client: Redis
) -> None:
    live_host(engines)
    why = {"words_only": "Only words were searched: start a host."}
    reply = {"hits": [{**HIT, "content_hash": "00"}], "engine_id": "llama-8b", "indexes": {"3": 4}}
    reply |= why

    with played_host(redis_client, lambda kind, payload: reply) as asked:
        posted = alice.post("/api/v1/search", {"query": "whales?", "k": 3}, format="json")
        got = alice.get("/api/v1/search?query=whales%3F&k=3")

    expected = {"hits": [HIT], "engine_id": "llama-8b", "indexes": {"3": 4}, **why}
    assert posted.json() == got.json() == expected
    assert asked == [{"user_id": people.alice.pk, "query": "whales?", "k": 3}] * 2


@pytest.mark.django_db(transaction=True)
def test_search_is_narrowed_to_what_the_caller_may_read(
    alice: APIClient, base: str, people: People, engines: Engines, redis_client: Redis
) -> None:
    live_host(engines)
    document = add(alice, base).json()["id"]
    key = KnowledgeBase.objects.get().pk
    reply = {"hits": [], "engine_id": "llama-8b", "indexes": {}}
    asked = {"query": "whales?", "bases": [key], "documents": [document], "min_score": 0.5}

    with played_host(redis_client, lambda kind, payload: reply) as heard:
        moment = {"updated_after": "2026-05-01T12:00:00+02:00"}
        posted = alice.post("/api/v1/search", {**asked, **moment}, format="json")
        got = alice.get(
            f"/api/v1/search?query=w&bases={key}&bases={key}&updated_before=2026-05-01T00:00:00Z"
        )

    assert (posted.status_code, got.status_code) == (200, 200)
    first, second = heard
    assert first["filter"] == {
        **{name: asked[name] for name in asked if name != "query"},
        "updated_after": "2026-05-01T10:00:00Z",
    }
    assert second["filter"] == {"bases": [key, key], "updated_before": "2026-05-01T00:00:00Z"}


@pytest.mark.parametrize(
    "asked",
    [
        {"bases": []},
        {"bases": ["x"]},
        {"bases": [10**19]},
        {"documents": [0]},
        {"min_score": 1.5},
        {"updated_after": "yesterday"},
        {"owner": 1},
    ],
)
def test_a_filter_that_is_none_is_400(alice: APIClient, asked: dict[str, Any]) -> None:
    answer = alice.post("/api/v1/search", {"query": "whales?", **asked}, format="json")

    problem(answer, 400, "invalid_request")


def test_a_filter_tells_nothing_of_what_is_anothers(
    alice: APIClient, bob: APIClient, base: str
) -> None:
    document = add(alice, base).json()["id"]
    key = KnowledgeBase.objects.get().pk
    for name, here, nowhere in (("bases", key, key + 999), ("documents", document, document + 999)):
        told = [
            bob.post("/api/v1/search", {"query": "whales?", name: [pk]}, format="json")
            for pk in (here, nowhere)
        ]
        for answer in told:
            problem(answer, 400, "invalid_request")
        foreign, missing = (answer.json()["detail"] for answer in told)
        assert foreign.replace(str(here), str(nowhere)) == missing


def test_search_without_any_host_is_503_with_when_to_come_back(
    alice: APIClient, redis_client: Redis
) -> None:
    answer = alice.get("/api/v1/search?query=whales")

    problem(answer, 503, "host_unavailable")
    assert answer["Retry-After"] == "5"


@pytest.mark.parametrize(
    "query", ["", "query=", "query=%20", "query=x&k=0", "query=x&k=51", "query=x&k=many", "q=x"]
)
def test_a_question_that_is_none_is_400(alice: APIClient, query: str) -> None:
    problem(alice.get(f"/api/v1/search?{query}"), 400, "invalid_request")


@pytest.mark.django_db(transaction=True)
def test_a_message_is_answered_and_both_are_kept_with_the_engine(
    alice: APIClient, people: People, engines: Engines, redis_client: Redis
) -> None:
    use_engine(people.alice, engines.old)
    live_host(engines)
    conversation = alice.post("/api/v1/conversations", {}, format="json")["Location"]
    reply = {"text": "Hello, Alice.", "engine_id": "llama-8b", "revision_id": 1}

    with played_host(redis_client, lambda kind, payload: reply) as asked:
        answer = alice.post(f"{conversation}/messages", {"content": "Hello"}, format="json")

    assert answer.status_code == 201, answer.content
    assert answer.json()["answer"]["content"] == "Hello, Alice."
    kept = alice.get(f"{conversation}/messages").json()["results"]
    assert [(m["role"], m["content"], m["engine"]) for m in kept] == [
        ("user", "Hello", None),
        ("assistant", "Hello, Alice.", "llama-8b"),
    ]
    assert asked[0]["messages"] == [{"role": "user", "content": "Hello"}]


def test_a_message_that_nobody_can_answer_is_503_and_kept(
    alice: APIClient, people: People, engines: Engines, redis_client: Redis
) -> None:
    use_engine(people.alice, engines.old)
    conversation = alice.post("/api/v1/conversations", {}, format="json")["Location"]

    answer = alice.post(f"{conversation}/messages", {"content": "Hello"}, format="json")

    problem(answer, 503, "host_unavailable")
    assert [m.content for m in Message.objects.all()] == ["Hello"]


def test_a_stranger_finds_no_conversation(alice: APIClient, bob: APIClient) -> None:
    conversation = alice.post("/api/v1/conversations", {"title": "Mine"}, format="json")["Location"]

    assert bob.get("/api/v1/conversations").json()["results"] == []
    problem(bob.get(conversation), 404, "not_found")
    problem(bob.get(f"{conversation}/messages"), 404, "not_found")
    answer = bob.post(f"{conversation}/messages", {"content": "Hello"}, format="json")
    problem(answer, 404, "not_found")
    assert not Message.objects.exists()


@pytest.mark.parametrize("name", ["team", "no-such-group", 7, ["team"]])
def test_a_plain_user_cannot_tell_which_groups_there_are(alice: APIClient, name: Any) -> None:
    Group.objects.create(name="team")

    answer = alice.post("/api/v1/knowledge-bases", {"name": "x", "group": name}, format="json")

    assert "Only a curator" in problem(answer, 403, "permission_denied")["detail"]
    assert not KnowledgeBase.objects.exists()
