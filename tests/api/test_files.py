"""A file at its path: put again it is the same document, and each file of an archive has its line."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from engines.models import Chunk, Document
from tests.api.roles import problem
from tests.api.test_knowledge import base, group_base  # noqa: F401
from tests.reading.made import docx, pack, paragraph, pdf, unpack, xlsx


def put(client: APIClient, base: str, path: str, content: bytes, **fields: str) -> Any:  # noqa: F811
    body = {"file": SimpleUploadedFile("file", content), **fields}
    return client.put(f"{base}/files/{quote(path)}", body, format="multipart")


def told(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.content
    return [(line["path"], line["outcome"]) for line in answer.json()["files"]]


def test_a_path_is_one_document(alice: APIClient, base: str) -> None:  # noqa: F811
    path = "Haus\u00a0& Hof/50%\u3000👩\u200d🔬 größe.docx"
    first = docx(paragraph("The roof leaks."))

    assert told(put(alice, base, path, first)) == [(path, "added")]
    assert told(put(alice, base, path, first)) == [(path, "unchanged")]
    changed = put(alice, base, path, docx(paragraph("The roof is mended.")))
    assert told(changed) == [(path, "updated")]

    document = Document.objects.get()
    assert changed.json()["files"][0]["document_id"] == document.pk
    assert (document.title, document.path, document.text) == (path, path, "The roof is mended.")
    live = Chunk.objects.filter(deleted_seq__isnull=True).values_list("text", flat=True)
    assert list(live) == ["The roof is mended."]
    shown = alice.get(f"{base}/documents").json()["results"][0]
    assert (shown["path"], shown["source_sha256"]) == (path, document.source_sha256)


def test_what_was_not_read_of_a_file_stays_with_its_document(alice: APIClient, base: str) -> None:  # noqa: F811
    rows = [["Who", "Paid"], ["Ada", "1234 €"], ["Bob", "5678 €"]]
    whole, cut = xlsx(rows), hide_row(xlsx(rows), 3)
    told_once = put(alice, base, "pay.xlsx", cut).json()["files"][0]

    document = Document.objects.get()
    address = f"{base}/documents/{document.pk}"
    assert "hidden rows and columns of Budget" in told_once["said"]
    assert alice.get(address).json()["note"] == told_once["said"]
    assert alice.get(f"{base}/documents").json()["results"][0]["note"] == told_once["said"]
    # A name that somebody gives it changes nothing of what was read.
    alice.patch(address, {"title": "Pay"}, format="json")
    assert alice.get(address).json()["note"] == told_once["said"]

    assert told(put(alice, base, "pay.xlsx", whole)) == [("pay.xlsx", "updated")]
    assert alice.get(address).json()["note"] == ""
    put(alice, base, "pay.xlsx", cut)
    alice.patch(address, {"text": "Ada 1234, Bob 5678"}, format="json")
    assert alice.get(address).json()["note"] == ""


def test_a_note_changes_with_its_file_where_the_text_does_not(alice: APIClient, base: str) -> None:  # noqa: F811
    text = "Die Prüfung der Geräte für nächstes Jahr."
    put(alice, base, "a.txt", text.encode("cp1252"))
    guessed = Document.objects.get()

    assert told(put(alice, base, "a.txt", text.encode())) == [("a.txt", "unchanged")]

    sure = Document.objects.get()
    assert "windows-1252" in guessed.note
    assert (sure.pk, sure.note, sure.sha256) == (guessed.pk, "", guessed.sha256)
    assert sure.source_sha256 != guessed.source_sha256


def hide_row(workbook: bytes, number: int) -> bytes:
    parts = unpack(workbook)
    name = "xl/worksheets/sheet1.xml"
    mark = f'<row r="{number}"'.encode()
    return pack({**parts, name: parts[name].replace(mark, mark + b' hidden="1"')})


def test_the_same_file_elsewhere_is_moved_when_that_is_said(alice: APIClient, base: str) -> None:  # noqa: F811
    content = pdf(["One page."])
    put(alice, base, "a.pdf", content)
    before = Document.objects.get()

    problem(
        put(alice, base, "b.pdf", pdf(["Another."]), moved_from="a.pdf"), 400, "invalid_request"
    )
    assert told(put(alice, base, "b.pdf", content, moved_from="a.pdf")) == [("b.pdf", "moved")]

    after = Document.objects.get()
    assert (after.pk, after.path, after.title) == (before.pk, "b.pdf", "b.pdf")
    assert after.updated_at == before.updated_at

    put(alice, base, "cafe\u0301.pdf", content, moved_from="b.pdf")
    assert told(put(alice, base, "c.pdf", content, moved_from="cafe\u0301.pdf")) == [
        ("c.pdf", "moved")
    ]


def test_an_archive_is_a_folder_in_which_each_file_has_its_line(
    alice: APIClient,
    base: str,  # noqa: F811
) -> None:
    packed = pack({"a.md": "# A\n\ntext", "b.pdf": b"%PDF-1.4", "c/d.txt": "text"})

    answer = put(alice, base, "all.zip", packed)

    assert told(answer) == [
        ("all.zip/a.md", "added"),
        ("all.zip/b.pdf", "refused"),
        ("all.zip/c/d.txt", "added"),
    ]
    assert "damaged" in answer.json()["files"][1]["said"]
    assert Document.objects.count() == 2


def test_what_an_archive_does_not_hold_any_more_is_told_and_deleted_when_that_is_asked(
    alice: APIClient,
    base: str,  # noqa: F811
) -> None:
    put(alice, base, "all.zip.md", b"About it.")
    put(alice, base, "cafe\u0301.ZIP", pack({"a.md": "A.", "deep/b.md": "B.", "c.pdf": pdf(["C"])}))
    gone = Document.objects.get(path="caf\u00e9.ZIP/deep/b.md")
    smaller = pack({"a.md": "A.", "c.pdf": b"%PDF-1.4 is damaged now"})

    answer = put(alice, base, "cafe\u0301.ZIP", smaller)
    assert told(answer) == [
        ("caf\u00e9.ZIP/a.md", "unchanged"),
        ("caf\u00e9.ZIP/c.pdf", "refused"),
        ("caf\u00e9.ZIP/deep/b.md", "missing"),
    ]
    line = answer.json()["files"][-1]
    assert line["document_id"] == gone.pk
    assert "its document stays" in line["said"]

    for nothing in (pack({}), b"PK is no archive"):
        put(alice, base, "cafe\u0301.ZIP", nothing, delete_missing="true")
    assert Document.objects.count() == 4
    answer = put(alice, base, "cafe\u0301.ZIP", smaller, delete_missing="true")
    assert told(answer)[-1] == ("caf\u00e9.ZIP/deep/b.md", "deleted")
    assert not Chunk.objects.filter(text__contains="B.").exists()
    assert set(Document.objects.values_list("path", flat=True)) == {
        *("all.zip.md", "caf\u00e9.ZIP/a.md", "caf\u00e9.ZIP/c.pdf")
    }


@pytest.mark.parametrize("path", [".hidden", "a/../b.txt", "a\u202eb.txt", "a\nb.txt", "a.txt\n"])
def test_what_is_refused_adds_nothing(alice: APIClient, base: str, path: str) -> None:  # noqa: F811
    assert "file" in problem(put(alice, base, path, b"text"), 400, "invalid_request")["errors"]
    assert "file" in problem(put(alice, base, "a.bin", b"\0\1"), 400, "invalid_request")["errors"]
    assert not Document.objects.exists()


def test_a_file_is_put_by_who_may_write_alone(
    bob: APIClient,
    alice: APIClient,
    base: str,  # noqa: F811
    group_base: str,  # noqa: F811
) -> None:
    problem(put(bob, base, "a.txt", b"text"), 404, "not_found")
    problem(put(alice, group_base, "a.txt", b"text"), 403, "permission_denied")
    assert not Document.objects.exists()
