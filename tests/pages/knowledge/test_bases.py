"""Bases and documents on pages: who may do what, and a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from engines.models import Chunk, Document, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import add_document, create_base, update_document
from tests.api.roles import Engines, People
from tests.pages.knowledge.conftest import FACTS
from tests.pages.knowledge.packing import upload

HTMX = {"HX-Request": "true"}
MANY = 14


def html_of(client: Client, address: str, **options: Any) -> str:
    answer = client.get(address, **options)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def contents() -> list[Any]:
    """Everything that a refusal must leave as it was."""
    return [
        list(KnowledgeBase.objects.order_by("pk").values_list("pk", "name", "write_seq")),
        list(Document.objects.order_by("pk").values_list("pk", "title", "sha256")),
        list(Chunk.objects.order_by("pk").values_list("pk", "deleted_seq")),
    ]


def test_strangers_sign_in_first(shared: KnowledgeBase) -> None:
    for address in ("/knowledge/", f"/knowledge/{shared.pk}/"):
        assert Client().get(address).status_code == 302
    sent = Client().post(f"/knowledge/{shared.pk}/upload/", {"files": upload("a.md", "text")})
    assert sent["Location"].startswith("/accounts/login/")


def test_the_list_tells_how_much_is_there_and_what_searches_it(
    alice: Client, base: KnowledgeBase, engines: Engines
) -> None:
    add_document(base.pk, title="Whales", text="Whales are mammals.\n\n" + "x" * 1200)
    assert "Needs an engine" in html_of(alice, "/knowledge/")

    revision = engines.embedder.current_revision
    assert revision is not None
    space = Fingerprint.objects.create(digest="d" * 64, revision=revision, facts=FACTS)
    index = VectorIndex.objects.create(base=base, fingerprint=space, covered_seq=1)
    KnowledgeBase.objects.update(live_index=index)

    html = html_of(alice, "/knowledge/")
    assert "1 document · 2 passages · searched with MINILM" in html
    assert "Searchable" in html
    add_document(base.pk, title="Fish", text="Fish swim.")
    assert "Being read in" in html_of(alice, f"/knowledge/{base.pk}/")


def test_a_base_is_made_renamed_and_deleted(alice: Client, people: People) -> None:
    made = alice.post("/knowledge/", {"name": "Handbook"}, follow=True)
    base = KnowledgeBase.objects.get()
    assert (base.owner, base.name) == (people.alice, "Handbook")
    assert "No documents yet" in made.content.decode()

    alice.post(f"/knowledge/{base.pk}/settings/", {"name": "Rules"})
    assert KnowledgeBase.objects.get().name == "Rules"
    add_document(base.pk, title="One", text="text")
    assert "1 document and 1 passage" in html_of(alice, f"/knowledge/{base.pk}/settings/")

    assert alice.post(f"/knowledge/{base.pk}/delete/")["Location"] == "/knowledge/"
    assert not KnowledgeBase.objects.exists()


@pytest.mark.parametrize("name", ["", "   ", "n" * 201, "two\x00"])
def test_a_name_that_cannot_be_is_refused(alice: Client, base: KnowledgeBase, name: str) -> None:
    before = contents()

    assert alice.post("/knowledge/", {"name": name}).status_code == 400
    assert alice.post(f"/knowledge/{base.pk}/settings/", {"name": name}).status_code == 400
    assert contents() == before


def test_only_a_curator_gives_a_base_to_a_group(
    people: People, visit: Callable[[User], Client]
) -> None:
    group = Group.objects.create(name="research")
    asked = {"name": "Shared", "group": group.pk}

    visit(people.bob).post("/knowledge/", asked)
    assert KnowledgeBase.objects.get().owner == people.bob
    assert "Whose" not in html_of(visit(people.bob), "/knowledge/")
    visit(people.curator).post("/knowledge/", asked)
    assert KnowledgeBase.objects.filter(group=group).count() == 1


def actions(base: KnowledgeBase) -> list[tuple[str, dict[str, Any]]]:
    """Every address that changes something, with what it wants."""
    document = Document.objects.filter(base=base).first()
    assert document is not None
    one = f"/knowledge/documents/{document.pk}"
    text = {"title": "T", "text": "other", "media_type": "text/plain"}
    return [
        (f"/knowledge/{base.pk}/upload/", {"files": upload("a.md", "text")}),
        (f"/knowledge/{base.pk}/write/", text),
        (f"/knowledge/{base.pk}/settings/", {"name": "Mine"}),
        (f"{one}/edit/", text),
        (f"{one}/replace/", {"file": upload("a.md", "text")}),
        (f"{one}/delete/", {}),
        (f"/knowledge/{base.pk}/delete/", {}),
    ]


def test_a_reader_of_a_groups_base_changes_nothing(alice: Client, shared: KnowledgeBase) -> None:
    before = contents()
    document = Document.objects.get()

    for address, asked in actions(shared):
        assert alice.post(address, asked).status_code == 403, address
    assert contents() == before
    html = html_of(alice, f"/knowledge/{shared.pk}/")
    assert "Rules" in html
    assert "data-uploads" not in html
    assert "Rename or delete" not in html
    assert "Change or delete" not in html_of(alice, f"/knowledge/documents/{document.pk}/")
    assert alice.get(f"/knowledge/documents/{document.pk}/edit/").status_code == 403


@pytest.mark.parametrize("who", ["bob", "operator"])
def test_what_is_not_ones_own_is_not_there(
    people: People, visit: Callable[[User], Client], shared: KnowledgeBase, who: str
) -> None:
    client, before = visit(getattr(people, who)), contents()
    document = Document.objects.get()

    for address, asked in actions(shared):
        assert client.post(address, asked).status_code == 404, address
    for address in (f"/knowledge/{shared.pk}/", f"/knowledge/documents/{document.pk}/"):
        assert client.get(address).status_code == 404
    assert contents() == before
    assert "Shared" not in html_of(client, "/knowledge/")


def test_a_curator_changes_what_a_group_shares(
    people: People, visit: Callable[[User], Client], shared: KnowledgeBase
) -> None:
    curator = visit(people.curator)

    for address, asked in actions(shared):
        assert curator.post(address, asked).status_code in (200, 302), address
    assert not KnowledgeBase.objects.exists()


def test_a_key_that_no_row_has_is_not_there(alice: Client) -> None:
    assert alice.get(f"/knowledge/{10**30}/").status_code == 404
    assert alice.get(f"/knowledge/documents/{10**30}/").status_code == 404


def test_a_document_is_written_changed_and_deleted(alice: Client, base: KnowledgeBase) -> None:
    text = {"title": "Whales", "text": "# Whales\r\n\r\nThey sing.", "media_type": "text/markdown"}
    alice.post(f"/knowledge/{base.pk}/write/", text)
    document = Document.objects.get()
    assert document.text == "# Whales\n\nThey sing."
    one = f"/knowledge/documents/{document.pk}"

    page = alice.get(f"{one}/edit/")
    made_on = page.context["form"]["made_on"].value()
    changed = {**text, "title": "Songs", "text": "They sing at night.", "made_on": made_on}
    assert alice.post(f"{one}/edit/", changed)["Location"] == f"{one}/"
    assert Document.objects.get().title == "Songs"

    alice.post(f"{one}/replace/", {"file": upload("fish.txt", "Fish swim.")})
    document.refresh_from_db()
    assert (document.title, document.text, document.media_type) == (
        "Songs",
        "Fish swim.",
        "text/plain",
    )
    alice.post(f"{one}/delete/")
    assert not Document.objects.exists()


def test_a_stale_change_is_refused_with_both_texts(alice: Client, base: KnowledgeBase) -> None:
    document = add_document(base.pk, title="Whales", text="They sing.")
    one = f"/knowledge/documents/{document.pk}/edit/"
    made_on = alice.get(one).context["form"]["made_on"].value()
    update_document(document.pk, text="They dive.")
    before = contents()

    answer = alice.post(
        one,
        {"title": "W", "text": "They sleep.", "media_type": "text/plain", "made_on": made_on},
    )

    assert answer.status_code == 409
    assert contents() == before
    html = answer.content.decode()
    assert "They dive." in html
    assert "They sleep." in html
    assert "changed meanwhile" in html


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"%PDF-1.7 text", b"", b"PK\x03\x04rest"])
def test_a_document_is_not_replaced_by_what_is_no_text(
    alice: Client, base: KnowledgeBase, content: bytes
) -> None:
    document = add_document(base.pk, title="Whales", text="They sing.")
    before = contents()

    address = f"/knowledge/documents/{document.pk}/replace/"
    answer = alice.post(address, {"file": upload("new.txt", content)})
    assert answer.status_code == 400
    assert alice.post(address).status_code == 400
    assert contents() == before


def test_a_document_is_shown_without_harm_and_its_passage_marked(
    alice: Client, base: KnowledgeBase
) -> None:
    paragraphs = "\n\n".join(f"Part {n}. " + "words " * 140 for n in range(60))
    harmful = "<script>alert(1)</script> [x](javascript:alert(1))\n\n"
    document = add_document(
        base.pk, title="<b>Long</b>", text=harmful + paragraphs, media_type="text/markdown"
    )
    chunk = Chunk.objects.get(text__contains="Part 55.")
    one = f"/knowledge/documents/{document.pk}/"

    first, marked = html_of(alice, one), html_of(alice, f"{one}?passage={chunk.pk}")

    for html in (first, marked):
        assert "<script>alert" not in html
        assert "javascript:alert" not in html.replace("](javascript:alert", "")
        assert "<b>Long" not in html
    assert "Part 55." not in first
    assert 'id="passage"' in marked
    assert marked.index('id="passage"') < marked.index("Part 55.")
    update_document(document.pk, text="Nothing of it is left.")
    assert "This passage is not there any more" in html_of(alice, f"{one}?passage={chunk.pk}")
    for nonsense in ("x", "-1", "9" * 40):
        assert "Not there any more" in html_of(alice, f"{one}?passage={nonsense}")


def test_titles_are_searched_and_htmx_gets_the_list_alone(
    alice: Client, base: KnowledgeBase
) -> None:
    for title in ("Deep whales", "Blue whales", "Fish"):
        add_document(base.pk, title=title, text="text")
    address = f"/knowledge/{base.pk}/"

    html = html_of(alice, address + "?q=whales+blue", headers=HTMX)

    assert "Blue whales" in html
    assert "Deep whales" not in html
    assert "<html" not in html
    assert 'id="base-head" hx-swap-oob="true"' in html
    assert "3 passages" in html
    assert "No document is called that" in html_of(alice, address + "?q=zebra")
    assert "1–3 of 3" in html_of(alice, address + "?page=99")


@pytest.mark.parametrize("address", ["/knowledge/", "/knowledge/{base}/", "{document}"])
def test_questions_do_not_grow(
    alice: Client, people: People, base: KnowledgeBase, address: str
) -> None:
    document = add_document(base.pk, title="One", text="text")
    where = address.format(base=base.pk, document=f"/knowledge/documents/{document.pk}/")

    def count() -> int:
        alice.get(where)
        with CaptureQueriesContext(connection) as caught:
            assert alice.get(where).status_code == 200
        return len(caught)

    few = count()
    for number in range(MANY):
        create_base(owner=people.alice, name=f"Base {number}")
        add_document(base.pk, title=f"More {number}", text=f"text {number}")
    update_document(document.pk, text="\n\n".join("word " * 170 for _ in range(MANY)))

    assert count() == few
