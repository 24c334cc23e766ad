"""Pages stay with their text when it is changed: marks are carried, searches go on naming them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from engines.models import Chunk, Document
from engines.reading.carried_places import carry_places
from engines.services.knowledge.content import Content, Origin
from engines.services.knowledge.documents import create_base, update_document
from engines.services.knowledge.writing import insert_document, lock_base, write

PAGES = ["Cover", "The roof\nis red.", "The cellar\nis wet.", "The end"]
OLD = "\n\n".join(PAGES)
MARKS = [(OLD.index(page), f"page {number}") for number, page in enumerate(PAGES, 1)]


def pages_of(text: str, marks: list[tuple[int, str]]) -> dict[str, str]:
    ends = [at for at, _ in marks[1:]] + [len(text)]
    return {label: text[at:end].strip() for (at, label), end in zip(marks, ends, strict=True)}


@pytest.mark.parametrize(
    ("new", "pages"),
    [
        (OLD, PAGES),
        (OLD.replace("\n", "\r\n"), [page.replace("\n", "\r\n") for page in PAGES]),
        (OLD.replace("red", "slate grey"), ["Cover", "The roof\nis slate grey.", *PAGES[2:]]),
        (OLD.replace("The cellar", "Our cellar"), [*PAGES[:2], "Our cellar\nis wet.", "The end"]),
        (f"New first line\n\n{OLD}", PAGES),
        (OLD.replace("red.", "red.\n\nAnd old.\n\nVery old."),
         ["Cover", "The roof\nis red.\n\nAnd old.\n\nVery old.", *PAGES[2:]]),
    ],
)  # fmt: skip
def test_a_page_keeps_what_is_on_it(new: str, pages: list[str]) -> None:
    found = pages_of(new, carry_places(OLD, new, MARKS))

    assert list(found.values()) == pages
    assert list(found) == ["page 1", "page 2", "page 3", "page 4"]


def test_a_page_that_is_taken_out_has_no_mark_any_more() -> None:
    new = OLD.replace("The cellar\nis wet.\n\n", "")

    found = pages_of(new, carry_places(OLD, new, MARKS))

    assert found == {"page 1": "Cover", "page 2": PAGES[1], "page 4": "The end"}


def test_a_text_that_is_all_new_has_its_marks_in_order_and_within_it() -> None:
    marks = carry_places(OLD, "quite\nanother", MARKS)

    assert [at for at, _ in marks] == sorted(at for at, _ in marks)
    assert all(at <= len("quite\nanother") for at, _ in marks)
    assert carry_places(OLD, "x", []) == []


def test_a_change_in_the_browser_keeps_the_pages_and_says_so(db: None) -> None:
    ada = User.objects.create_user("ada")
    base = create_base(owner=ada, name="House")
    long = [f"{page} {'It is dry here. ' * 60}" for page in PAGES]
    text = "\n\n".join(long)
    marks = [(text.index(page), f"page {number}") for number, page in enumerate(long, 1)]
    content = Content.of("House", text, "text/plain", Origin("house.pdf", "0" * 64, marks))
    document = write(
        base.pk, content.pieces, None, lambda _base: insert_document(lock_base(base.pk), content)
    )
    browser = Client()
    browser.force_login(ada)
    page = browser.get(f"/knowledge/documents/{document.pk}/edit/")
    assert "It has 4 marked places, like page 1" in page.content.decode()

    changed = f"Written by hand.\r\n\r\n{text}".replace("The end", "The very end")
    sent = {"title": "House", "text": changed, "media_type": "text/plain"}
    answer = browser.post(page.wsgi_request.path, {**sent, "made_on": document.sha256}, follow=True)

    document.refresh_from_db()
    assert [label for _, label in document.places] == ["page 1", "page 2", "page 3", "page 4"]
    assert document.text[document.places[3][0] :].startswith("The very end")
    assert "moved along with their lines" in answer.content.decode()
    live = Chunk.objects.filter(document=document, deleted_seq__isnull=True).order_by("position")
    assert {chunk.place for chunk in live} >= {"page 1", "page 4"}
    # Nothing of the text was touched by a change of the title alone.
    update_document(document.pk, title="Our house")
    assert Document.objects.get(pk=document.pk).places == document.places
