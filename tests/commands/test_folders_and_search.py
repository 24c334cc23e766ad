"""A folder of everyday files, the same folder again, and what a search of it shows."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from engines.models import Chunk, Document, KnowledgeBase
from engines.services.answers.messages import FoundPassage
from engines.services.knowledge.search import FoundBy
from engines.services.knowledge.words.search import search_words
from migrations_app.api.views import knowledge
from migrations_app.serving.protocol import SearchReply
from samproject.cli.errors import CommandError
from tests.api.roles import People
from tests.reading.made import docx, pack, paragraph, pdf
from tests.sam_command import run_sam, try_sam

KINDS = {
    "report.pdf": pdf(["The harbour report of May."]),
    "letter.docx": docx(paragraph("A letter to the harbour master.")),
    "page.html": b"<html><body><p>Opening hours of the harbour.</p></body></html>",
    "prices.csv": b"berth,price\nharbour north,40 euros\n",
    "old.txt": "Gr\u00f6\u00dfe des Hafens: k\u00f6niglich.".encode("latin-1"),
    "notes.md": b"# Harbour\n\nThe keeper of the harbour is called Wojtylko.",
}


def found(question: str) -> list[str]:
    """Return the texts that the words of a question find, best first."""
    hits = search_words(question, [KnowledgeBase.objects.get().pk], 10)
    texts = dict(Chunk.objects.values_list("pk", "text"))
    return [texts[hit.chunk_id] for hit in hits]


def test_a_folder_of_everyday_files_is_added_as_a_whole_and_a_correction_takes_the_old_ones_place(
    people: People, tmp_path: Path
) -> None:
    folder = tmp_path / "harbour"
    folder.mkdir()
    for name, content in KINDS.items():
        (folder / name).write_bytes(content)

    assert "0 unchanged, 0 updated, 6 new in Documents." in add(folder)
    assert set(Document.objects.values_list("path", flat=True)) == {f"harbour/{n}" for n in KINDS}
    assert len(found("harbour")) == len(KINDS) - 1
    assert found("k\u00f6niglich") == ["Gr\u00f6\u00dfe des Hafens: k\u00f6niglich."]
    before = list(Chunk.objects.order_by("pk").values_list("pk", flat=True))

    assert "6 unchanged, 0 updated, 0 new in Documents." in add(folder)
    assert list(Chunk.objects.order_by("pk").values_list("pk", flat=True)) == before

    corrected = KINDS["notes.md"].replace(b"Wojtylko", b"Wojtylka")
    (folder / "notes.md").write_bytes(corrected)
    assert "5 unchanged, 1 updated, 0 new in Documents." in add(folder)
    assert found("Wojtylko") == []
    assert found("who is the keeper of the harbour") == [
        corrected.decode(),
        *[text for text in found("harbour") if text != corrected.decode()],
    ]
    assert not any("Wojtylko" in text for text in Chunk.objects.values_list("text", flat=True))


def add(*arguments: Path | str) -> str:
    """Add as alice; returns what was said, the last refusal included."""
    try:
        return run_sam("documents", "add", *map(str, arguments), "--user", "alice")
    except CommandError as error:
        return str(error)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def texts() -> dict[str, str]:
    return dict(Document.objects.values_list("path", "text"))


def test_of_files_that_would_be_one_document_none_takes_anothers_place(
    people: People, tmp_path: Path
) -> None:
    composed, apart = (unicodedata.normalize(form, "caf\u00e9.md") for form in ("NFC", "NFD"))
    for folder in ("work", "private"):
        write(tmp_path / folder / "notes" / "same.md", f"The {folder} harbour.")
        write(tmp_path / folder / "notes" / f"{folder}.md", f"Only {folder}.")
    work, private = tmp_path / "work" / "notes", tmp_path / "private" / "notes"

    assert "1 file was refused" in add(work, private)
    assert set(texts()) == {"notes/work.md", "notes/private.md"}
    assert add(work / "same.md", private / "same.md") == "No file could be added."
    assert "3 new" in add(work, work, work / "same.md", "--base", "Work")

    twins = tmp_path / "twins"
    for name in (composed, apart, "plain.md"):
        write(twins / name, f"Named {name!a}.")
    (twins / "both.zip").write_bytes(pack({composed: "One.", apart: "Two."}))
    assert "2 files were refused" in add(twins, "--base", "Twins")
    assert {p: t for p, t in texts().items() if p.startswith("twins/")} == {
        "twins/plain.md": "Named 'plain.md'.",
        f"twins/both.zip/{composed}": "One.",
    }


def test_what_systems_lay_beside_files_is_not_added(people: People, tmp_path: Path) -> None:
    beside = ("Thumbs.db", "desktop.ini", "~$letter.docx", "Icon\r", "__MACOSX/x.md", ".hidden")
    for name in (*beside, "letter.md"):
        write(tmp_path / "share" / name, "Some words.")
    (tmp_path / "share" / "all.zip").write_bytes(
        pack(dict.fromkeys((*beside[:-1], "kept.md"), "Words."))
    )

    assert "0 unchanged, 0 updated, 2 new in Documents." in add(tmp_path / "share")
    assert set(texts()) == {"share/letter.md", "share/all.zip/kept.md"}


def test_what_is_gone_from_an_archive_is_deleted_with_what_is_gone_from_the_folder(
    people: People, tmp_path: Path
) -> None:
    archive = write(tmp_path / "mine" / "all.zip", "")
    archive.write_bytes(
        pack({"kept.md": "The pier.", "gone.md": "The old ferry.", "cafe\u0301.pdf": "Opened."})
    )
    write(tmp_path / "mine" / "all.zip.md", "About it.")
    add(tmp_path / "mine")
    archive.write_bytes(
        pack({"kept.md": "The pier.", "cafe\u0301.pdf": b"%PDF-1.4 is damaged now"})
    )

    add(tmp_path / "mine")
    assert found("old ferry") == ["The old ferry."]
    assert "1 file was refused" in add(tmp_path / "mine", "--delete-missing")
    assert found("old ferry") == []
    assert set(texts()) == {
        "mine/all.zip.md",
        "mine/all.zip/kept.md",
        "mine/all.zip/caf\u00e9.pdf",
    }

    archive.write_bytes(b"PK is no archive any more")
    add(tmp_path / "mine", "--delete-missing")
    assert len(texts()) == 3


def test_what_a_folder_does_not_hold_any_more_is_told_without_deleting_it(
    people: People, tmp_path: Path
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    paths = [mine / "a.md", mine / "b.md", other / "c.md"]
    for path in paths:
        write(path, f"{path.name} is here.")
    add(mine, other)
    for path in paths[1:]:
        path.unlink()

    said = add(mine, other)
    assert "missing  mine/b.md (The folder does not hold it any more, and its document" in said
    assert "1 unchanged, 0 updated, 0 new, 1 missing in Documents." in said
    assert "--delete-missing deletes them" in said
    assert "1 deleted" in add(mine, other, "--delete-missing")
    # Of a folder that is empty, as on a disk that is not mounted, nothing is deleted.
    assert set(texts()) == {"mine/a.md", "other/c.md"}


def test_another_folder_of_the_same_name_does_not_replace_the_first_ones_documents(
    people: People, tmp_path: Path
) -> None:
    work, private = tmp_path / "work" / "notes", tmp_path / "private" / "notes"
    for number in range(5):
        write(work / f"{number}.md", f"Of work, number {number}.")
        write(private / f"{number + 3}.md", f"Private, number {number}.")
    add(work)
    before = texts()

    for flags in ((), ("--delete-missing",)):
        said = add(private, *flags)
        assert "a folder notes; most have no file here, and not one is as its file" in said
        assert texts() == before
    with pytest.raises(CommandError, match="seems to be another folder of that name"):
        run_sam("documents", "watch", str(private), "--user", "alice")
    assert texts() == before
    assert "5 new in Private" in add(private, "--base", "Private")
    assert "2 updated, 3 new, 3 missing" in add(private, "--replace")


def test_a_folder_whose_files_are_all_written_anew_is_the_same_folder(
    people: People, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    for night in range(3):
        for number in range(4):
            write(export / f"{number}.md", f"Night {night}, number {number}.")
        assert f"{4 if night else 0} updated" in add(export)

    # Half of it is gone as well.
    for number in range(4):
        (export / f"{number}.md").unlink() if number < 2 else write(
            export / f"{number}.md", "Anew."
        )
    assert "2 updated, 0 new, 2 missing" in add(export)


def test_what_an_archive_holds_is_not_missing_in_its_folder(people: People, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    write(folder / "readme.md", "Read it.")
    (folder / "all.zip").write_bytes(pack({f"{number}.md": f"Of {number}." for number in range(4)}))
    add(folder)
    write(folder / "readme.md", "Read it again.")

    assert "4 unchanged, 1 updated" in add(folder)


def test_what_an_archive_holds_makes_no_other_folder_of_the_one_it_lies_in(
    people: People, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    write(notes / "about.md", "What is in it.")
    (notes / "post.zip").write_bytes(pack({"a.md": "First letter.", "b.md": "Second letter."}))
    assert "3 new" in add(notes)

    write(notes / "about.md", "What is in it, in other words.")

    assert "2 unchanged, 1 updated" in add(notes)


def test_a_file_that_moved_is_not_lost_to_one_that_had_its_path_before(
    people: People, tmp_path: Path
) -> None:
    first = write(tmp_path / "mine" / "a.md", "The pier.")
    second = write(tmp_path / "mine" / "b.md", "The ferry.")
    add(tmp_path / "mine")
    moved = Document.objects.get(path="mine/a.md").pk
    first.rename(tmp_path / "mine" / "z.md")
    second.write_text("The pier.")

    assert "0 unchanged, 1 updated, 0 new, 1 moved" in add(tmp_path / "mine")
    assert Document.objects.get(path="mine/z.md").pk == moved
    assert set(texts()) == {"mine/b.md", "mine/z.md"}


def test_a_search_by_words_alone_says_why_and_shows_no_nearness(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = FoundPassage(
        chunk_id=1,
        document_id=2,
        base_id=3,
        title="Whales",
        text="Whales sing.",
        score=0.0,
        content_hash="00",
        found_by=FoundBy.WORDS,
    )
    found = SearchReply(
        hits=[hit], engine_id="x", words_only="Only words were searched: start one."
    )
    monkeypatch.setattr(knowledge, "answer_search", lambda *_: found)

    said = run_sam("search", "whales", "--user", "alice")

    assert said.startswith("Only words were searched: start one.\n")
    assert "0.0000" not in said
    assert "Whales  (chunk 1, by words)" in said


def test_a_passage_of_markdown_is_shown_without_its_marks(
    people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "# Keepers\n\n**Wojtylko** keeps a_b_c and [the light](light.md).\n\n- one\n- two"
    (tmp_path / "keepers.md").write_text(text)
    (tmp_path / "keepers.txt").write_text(text)
    run_sam("documents", "add", str(tmp_path / "keepers.md"), "--user", "alice")
    run_sam("documents", "add", str(tmp_path / "keepers.txt"), "--user", "alice")
    hits = [
        FoundPassage(
            chunk_id=key,
            document_id=key,
            base_id=1,
            title=title,
            text=text,
            score=0.5,
            content_hash="00",
        )
        for key, title in Document.objects.order_by("title").values_list("pk", "title")
    ]
    found = SearchReply(hits=hits, engine_id="x")
    monkeypatch.setattr(knowledge, "answer_search", lambda *_: found)

    said = run_sam("search", "keeper", "--user", "alice")

    assert "        Keepers Wojtylko keeps a_b_c and the light. • one • two\n" in said
    assert f"        {' '.join(text.split())}\n" in said


def test_photos_and_films_in_a_folder_do_not_fail_a_script(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    write(notes / "a.md", "The harbour.")
    monkeypatch.setattr("engines.folders.sending.MAX_FILE_BYTES", 20_000)
    (notes / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (notes / "film.mp4").write_bytes(b"\0\0\0\x20ftypmp42" + bytes(30_000))
    (notes / "empty.txt").write_bytes(b"")
    (notes / "blank.md").write_bytes(b" \n\n")
    (notes / "post.zip").write_bytes(
        pack({"a.md": "seen", "b.png": b"\x89PNG\r\n\x1a\n", "__init__.py": ""})
    )

    command = ("documents", "add", str(notes), "--user", "alice")
    said, error = try_sam(*command)
    (notes / "report.docx").write_bytes(b"PK\x03\x04 damaged")
    _, missed = try_sam(*command)
    (notes / "report.docx").unlink()
    (notes / "a.md").write_bytes(b"")
    _, emptied = try_sam(*command)
    _, nothing = try_sam("documents", "add", str(notes / "photo.jpg"), "--user", "alice")

    assert error is None
    assert "2 new, 6 refused in Documents." in said
    assert "6 files hold no text that could be read, as pictures" in said
    assert "1 file was refused and all others that hold a text are in the base" in str(missed)
    assert "notes/a.md" in str(emptied)
    assert str(nothing) == "No file could be added."
