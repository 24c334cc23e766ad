"""Files from outside: what is taken, what is refused with its reason, and archives that mean harm."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from engines.exceptions import InvalidRequestError
from engines.models import Document, KnowledgeBase
from engines.reading import archive
from engines.services.knowledge.documents import add_document
from migrations_app.limits.held import UPLOADS, hold
from tests.api.roles import People
from tests.pages.knowledge.packing import encrypted, link, pack, upload
from tests.reading.made import docx, paragraph, xlsx

BOMB_BYTES = 30 * 1024 * 1024


def send(client: Client, base: KnowledgeBase, *files: Any, **fields: str) -> Any:
    return client.post(f"/knowledge/{base.pk}/upload/", {"files": list(files), **fields})


def titles() -> list[str]:
    return list(Document.objects.order_by("title").values_list("title", flat=True))


def refusals(answer: Any) -> dict[str, str]:
    assert answer.status_code == 200, answer.content
    return {file.path: file.said for file in answer.context["intake"].refused}


def test_several_files_are_taken_and_each_refusal_has_a_line(
    alice: Client, base: KnowledgeBase
) -> None:
    answer = send(
        alice,
        base,
        upload("a.md", "# A\n\ntext"),
        upload("b.txt", b"\xef\xbb\xbfwith a mark"),
        upload("c.txt", b"\xff\xff"),
        upload("d.txt", "  \n"),
        upload("e.txt", "a\x00b"),
        upload("f.pdf", b"%PDF-1.4"),
    )

    assert titles() == ["a.md", "b.txt"]
    assert Document.objects.get(title="b.txt").text == "with a mark"
    assert Document.objects.get(title="a.md").media_type == "text/markdown"
    assert set(refusals(answer)) == {"c.txt", "d.txt", "e.txt", "f.pdf"}
    html = answer.content.decode()
    assert "2 added, 4 refused." in html
    assert html.count("Added.") == 2
    assert all(why.endswith(".") for why in refusals(answer).values())


def test_a_file_again_is_kept_replaced_or_added(alice: Client, base: KnowledgeBase) -> None:
    add_document(base.pk, title="a.txt", text="one")

    assert send(alice, base, upload("a.txt", "one")).context["intake"].kept == 1
    assert send(alice, base, upload("a.txt", "two"), replace="1").context["intake"].replaced == 1
    assert [d.text for d in Document.objects.all()] == ["two"]
    assert send(alice, base, upload("a.txt", "three")).context["intake"].added == 1
    assert titles() == ["a.txt", "a.txt"]


def test_office_documents_are_read_and_named_as_their_person_names_them(
    alice: Client, base: KnowledgeBase
) -> None:
    """A form's own field for the name loses the no-break space and the joiner."""
    name = "Bericht\u00a0\u200d2.docx"
    document = docx(paragraph("The roof was repaired."))
    path = f"Haus/{name}"

    answer = send(alice, base, upload(name, document), path=path)

    assert refusals(answer) == {}
    kept = Document.objects.get()
    assert (kept.title, kept.path, kept.text) == (path, path, "The roof was repaired.")
    again = send(alice, base, upload(name, document), path=path, replace="1")
    assert again.context["intake"].kept == 1


def test_rows_of_a_file_are_shown_on_lines_of_their_own(alice: Client, base: KnowledgeBase) -> None:
    book = xlsx([["Item", "Cost"], ["Tiles", 4000], ["Gutters", 812]])
    written = "# Budget\n\nTiles are\ndear.\n"

    send(alice, base, upload("budget.xlsx", book), upload("budget.md", written))

    read, own = (Document.objects.get(title=f"budget.{ending}") for ending in ("xlsx", "md"))
    assert (read.kind, own.kind) == ("XLSX", "Markdown")
    html = alice.get(f"/knowledge/documents/{read.pk}/").content.decode()
    assert "Item: Tiles; Cost: 4000<br>\nItem: Gutters; Cost: 812" in html
    html = alice.get(f"/knowledge/documents/{own.pk}/").content.decode()
    assert "Tiles are\ndear." in html


def test_what_was_not_read_of_a_file_is_said_on_the_page_of_its_document(
    alice: Client, base: KnowledgeBase
) -> None:
    send(alice, base, upload("old.txt", "Die Prüfung der Geräte.".encode("cp1252")))

    html = alice.get(f"/knowledge/documents/{Document.objects.get().pk}/").content.decode()

    assert "It does not say its encoding; it was read as windows-1252." in html


def test_a_name_without_an_ending_has_the_kind_of_its_text(
    alice: Client, base: KnowledgeBase
) -> None:
    send(alice, base, upload("README", "text"), upload("notes v1. draft", "text"))

    assert {document.kind for document in Document.objects.all()} == {"Text"}


def test_a_script_gets_the_lines_alone(alice: Client, base: KnowledgeBase) -> None:
    answer = alice.post(
        f"/knowledge/{base.pk}/upload/",
        {"files": upload("ch1.md", "text"), "folder": "handbook/part"},
        headers={"HX-Request": "true"},
    )

    html = answer.content.decode()
    assert 'data-added="1"' in html
    assert "<html" not in html
    assert titles() == ["handbook/part/ch1.md"]


@pytest.mark.parametrize("folder", ["../up", "/etc", "a//b", "a\\b", ".git", "x" * 2000])
def test_a_folder_that_leads_elsewhere_is_refused(
    alice: Client, base: KnowledgeBase, folder: str
) -> None:
    answer = send(alice, base, upload("a.md", "text"), folder=folder)

    assert len(refusals(answer)) == 1
    assert titles() == []


def test_an_archive_becomes_documents(alice: Client, base: KnowledgeBase) -> None:
    packed = pack(
        [
            ("book/", b""),
            ("book/one.md", "# One"),
            ("book/Größe.txt", "groß"),
            ("__MACOSX/book/._one.md", b"\0\5"),
        ]
    )

    answer = send(alice, base, upload("book.zip", packed))

    assert refusals(answer) == {}
    assert titles() == ["book.zip/book/Größe.txt", "book.zip/book/one.md"]


def test_an_archive_in_a_folder_keeps_its_place_there_as_the_command_gives_it(
    alice: Client, base: KnowledgeBase
) -> None:
    packed = upload("all.zip", pack([("a.md", "A."), ("b.md", "B.")]))
    send(alice, base, upload("a.md", "Another."), packed, path="", folder="handbook/2024")
    assert titles() == [
        f"handbook/2024/{name}" for name in ("a.md", "all.zip/a.md", "all.zip/b.md")
    ]

    smaller = upload("all.zip", pack([("a.md", "A.")]))
    answer = send(alice, base, smaller, path="handbook/2024/all.zip", replace="1")

    html = answer.content.decode()
    assert "1 already there, 1 missing." in html
    assert "its document stays until somebody deletes it" in html
    assert len(titles()) == 3


HOSTILE = {
    "above": ("../../etc/passwd", "x"),
    "absolute": ("/etc/passwd", "x"),
    "windows": ("..\\up.txt", "x"),
    "hidden": (".ssh/id", "x"),
    "direction": ("a\u202etxt.exe", "x"),
    "link": link("link.txt", "/etc/passwd"),
    "bytes": ("bytes.txt", b"\xff\xff"),
    "nested": ("inner.zip", pack([("a.txt", "x")])),
    "disguised": ("inner.txt", pack([("a.txt", "x")], method=zipfile.ZIP_STORED)),
    "empty": ("empty.txt", ""),
    "bomb": ("bomb.txt", b" " * BOMB_BYTES),
}


def test_hostile_members_are_refused_and_the_others_are_taken(
    alice: Client, base: KnowledgeBase
) -> None:
    packed = pack([*HOSTILE.values(), ("good.txt", "good")])

    answer = send(alice, base, upload("a.zip", packed))

    assert len(refusals(answer)) == len(HOSTILE)
    assert titles() == ["a.zip/good.txt"]


def test_a_name_twice_is_taken_once(alice: Client, base: KnowledgeBase) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed = pack([("a.txt", "first"), ("a.txt", "second")])

    answer = send(alice, base, upload("a.zip", packed), replace="1")

    assert list(refusals(answer)) == ["a.zip/a.txt"]
    assert [d.text for d in Document.objects.all()] == ["first"]


def test_what_wants_a_password_or_another_method_is_refused(
    alice: Client, base: KnowledgeBase
) -> None:
    locked = encrypted(pack([("a.txt", "secret")]))
    other = pack([("b.txt", "text")], method=zipfile.ZIP_LZMA)

    answer = send(alice, base, upload("a.zip", locked), upload("b.zip", other))

    assert set(refusals(answer)) == {"a.zip/a.txt", "b.zip/b.txt"}
    assert titles() == []


def test_a_member_that_lies_about_its_size_is_refused(alice: Client, base: KnowledgeBase) -> None:
    packed = bytearray(pack([("a.txt", "much longer than it says")]))
    at = packed.index(b"PK\x01\x02")
    packed[at + 24 : at + 28] = (4).to_bytes(4, "little")

    answer = send(alice, base, upload("a.zip", bytes(packed)))

    assert "damaged" in refusals(answer)["a.zip/a.txt"]
    assert titles() == []


def whole_refusals() -> dict[str, bytes]:
    good = pack([("a.txt", "text")])
    zip64 = bytearray(good)
    zip64[good.index(b"PK\x05\x06") : good.index(b"PK\x05\x06")] = b"PK\x06\x07" + bytes(16)
    bad_name = bytearray(pack([("ä.txt", "text")]))
    for at in (bad_name.index("ä".encode()), bad_name.rindex("ä".encode())):
        bad_name[at : at + 2] = b"\xff\xfe"
    return {
        "no zip": b"just text",
        "nothing": b"",
        "cut": good[:-30],
        "end only": b"PK\x05\x06",
        "zip64": bytes(zip64),
        "bad name": bytes(bad_name),
        "10 000 names": pack((f"{n}.txt", b"x") for n in range(10_000)),
        "1 001 names": pack((f"{n}.txt", b"x") for n in range(1_001)),
    }


def test_an_archive_is_refused_whole_before_anything_of_it_is_kept(
    alice: Client, base: KnowledgeBase
) -> None:
    for kind, packed in whole_refusals().items():
        answer = send(alice, base, upload("a.zip", packed))

        if kind == "nothing":
            assert "a.zip" in refusals(answer)
            continue
        assert list(refusals(answer)) == ["a.zip"], kind
    assert titles() == []


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    packed = tmp_path / "a.zip"
    packed.write_bytes(pack((f"{n}.txt", b"x" * 400) for n in range(3)))

    with pytest.raises(InvalidRequestError, match="unpacks to more"):
        archive.Archive(packed)


def test_a_list_of_names_is_judged_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = bytearray(pack([("a.txt", "text")]))
    end = packed.index(b"PK\x05\x06")
    packed[end + 12 : end + 16] = (0x7FFFFFFF).to_bytes(4, "little")

    def never(*_: object) -> None:
        raise AssertionError("the list was read")

    monkeypatch.setattr(zipfile, "ZipFile", never)
    commented = bytes(packed[:-2]) + (4).to_bytes(2, "little") + b"note"
    for content in (bytes(packed), commented):
        stored = tmp_path / "a.zip"
        stored.write_bytes(content)
        with pytest.raises(InvalidRequestError, match="too many files"):
            archive.Archive(stored)


def test_limits_of_a_person_hold_here_too(
    alice: Client, base: KnowledgeBase, people: People, settings: Any
) -> None:
    settings.SAM_MAX = {**settings.SAM_MAX, "documents": 1}
    packed = pack([("a.txt", "a"), ("b.txt", "b")])

    assert (
        "SAM_MAX_DOCUMENTS" in refusals(send(alice, base, upload("z.zip", packed)))["z.zip/b.txt"]
    )
    settings.SAM_AT_ONCE = {**settings.SAM_AT_ONCE, UPLOADS: 1}
    held = hold(people.alice.pk, UPLOADS)
    assert held is not None
    try:
        assert send(alice, base, upload("c.txt", "c")).status_code == 429
    finally:
        held.release()
    assert titles() == ["z.zip/a.txt"]


def test_a_body_is_judged_before_it_is_read(alice: Client, base: KnowledgeBase) -> None:
    answer = alice.post(
        f"/knowledge/{base.pk}/upload/",
        {"files": upload("a.txt", "text")},
        CONTENT_LENGTH=str(10**12),
    )

    assert answer.status_code == 413
    assert "in parts" in answer.content.decode()
    assert titles() == []


def test_more_files_than_a_form_may_send_is_said(alice: Client, base: KnowledgeBase) -> None:
    answer = send(alice, base, *(upload(f"{n}.txt", "x") for n in range(101)))

    assert answer.status_code == 400
    assert "zip archive" in answer.content.decode()
    assert titles() == []


def test_a_form_of_another_site_is_refused(people: People, base: KnowledgeBase) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.alice)

    assert send(client, base, upload("a.txt", "text")).status_code == 403
    assert titles() == []
