"""A folder of everyday files, the same folder again, and what a search of it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.models import Chunk, Document, KnowledgeBase
from engines.services.answers.messages import FoundPassage
from engines.services.knowledge.search import FoundBy
from engines.services.knowledge.words.search import search_words
from migrations_app.api.views import knowledge
from migrations_app.serving.protocol import SearchReply
from tests.api.roles import People
from tests.reading.made import docx, paragraph, pdf
from tests.sam_command import run_sam

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

    def add() -> str:
        return run_sam("documents", "add", str(folder), "--user", "alice")

    assert "0 unchanged, 0 updated, 6 new in Documents." in add()
    assert set(Document.objects.values_list("path", flat=True)) == {f"harbour/{n}" for n in KINDS}
    assert len(found("harbour")) == len(KINDS) - 1
    assert found("k\u00f6niglich") == ["Gr\u00f6\u00dfe des Hafens: k\u00f6niglich."]
    before = list(Chunk.objects.order_by("pk").values_list("pk", flat=True))

    assert "6 unchanged, 0 updated, 0 new in Documents." in add()
    assert list(Chunk.objects.order_by("pk").values_list("pk", flat=True)) == before

    corrected = KINDS["notes.md"].replace(b"Wojtylko", b"Wojtylka")
    (folder / "notes.md").write_bytes(corrected)
    assert "5 unchanged, 1 updated, 0 new in Documents." in add()
    assert found("Wojtylko") == []
    assert found("who is the keeper of the harbour") == [
        corrected.decode(),
        *[text for text in found("harbour") if text != corrected.decode()],
    ]
    assert not any("Wojtylko" in text for text in Chunk.objects.values_list("text", flat=True))


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
