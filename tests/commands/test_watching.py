"""`sam documents watch`: a folder and a base in step, look by look."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.contrib.auth.models import User

from engines.folders import watching as rules
from engines.folders.local import LocalFile, digest_file
from engines.models import Document
from samproject.cli.client import Client
from samproject.cli.errors import CommandError, RefusedError
from samproject.cli.folders import watching
from samproject.cli.folders.sending import RemoteBase
from samproject.cli.folders.watching import WatchedRemotely, read_seconds
from tests.reading.made import pack
from tests.sam_command import run_sam

Between = Callable[[], object]


@pytest.fixture
def folder(db: None, tmp_path: Path) -> Path:
    User.objects.create_user("alice")
    made = tmp_path / "notes"
    (made / "deep").mkdir(parents=True)
    (made / "one.md").write_text("# One\n\nThe harbour opens at six.")
    (made / "deep" / "two.txt").write_text("The ferry leaves at seven.")
    return made


def watch(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *between: Between, options: Sequence[str] = ()
) -> list[str]:
    """Run the command for one look more than there are steps; Ctrl-C comes after the last."""
    steps = list(between)
    waited = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(watching, "pause", pause)
    said = run_sam("documents", "watch", str(folder), *options, "--user", "alice").splitlines()
    assert set(waited) == {60}
    assert said[0].startswith(f"Watching {folder} for Documents, every 60s")
    assert said[-1] == "Not watched any more; what was sent stays."
    return [
        line for line in said[1:-1] if line.startswith(("added", "updated", "moved", "deleted"))
    ]


def texts() -> dict[str, str]:
    return dict(Document.objects.values_list("path", "text"))


def nothing() -> None:
    return None


def test_new_changed_renamed_and_deleted_files_are_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        (folder / "new.txt").write_text("The lighthouse is red.")
        (folder / "one.md").write_text("# One\n\nThe harbour opens at five.")
        (folder / "deep" / "two.txt").rename(folder / "moved.txt")

    said = watch(
        monkeypatch, folder, nothing, change, (folder / "new.txt").unlink, nothing, nothing
    )

    assert said == [
        "added  notes/deep/two.txt",
        "added  notes/one.md",
        "moved  notes/moved.txt",
        "added  notes/new.txt",
        "updated  notes/one.md",
        "deleted  notes/new.txt",
    ]
    assert set(texts()) == {"notes/moved.txt", "notes/one.md"}
    assert "five" in texts()["notes/one.md"]


def test_a_second_watch_finds_what_changed_meanwhile_and_sends_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(monkeypatch, folder)
    (folder / "one.md").unlink()
    (folder / "three.txt").write_text("The pier is long.")

    first_look = watch(monkeypatch, folder)
    kept = watch(monkeypatch, folder, nothing, options=["--keep-deleted"])
    second_look = watch(monkeypatch, folder, nothing)

    assert first_look == ["added  notes/three.txt"]
    assert kept == []
    assert second_look == ["deleted  notes/one.md"]


def test_what_is_gone_from_an_archive_is_deleted_when_the_archive_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = folder / "all.zip"
    archive.write_bytes(pack({"kept.md": "The pier.", "gone.md": "The old ferry."}))

    def take_one_out() -> None:
        archive.write_bytes(pack({"kept.md": "The pier is new."}))

    kept = watch(monkeypatch, folder, take_one_out, nothing, options=["--keep-deleted"])
    assert kept[-1] == "updated  notes/all.zip/kept.md"
    assert "notes/all.zip/gone.md" in texts()

    assert watch(monkeypatch, folder, nothing) == ["deleted  notes/all.zip/gone.md"]
    assert "notes/all.zip/kept.md" in texts()

    archive.write_bytes(pack({}))
    assert watch(monkeypatch, folder, nothing) == []
    assert "notes/all.zip/kept.md" in texts()


def test_what_could_not_be_deleted_with_its_archive_is_deleted_with_the_next_look(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = folder / "all.zip"
    archive.write_bytes(pack({"kept.md": "The pier.", "gone.md": "The old ferry."}))
    delete = RemoteBase.delete

    def refuse(*_: object) -> None:
        raise CommandError("The base is being switched.")

    def take_one_out() -> None:
        archive.write_bytes(pack({"kept.md": "The pier."}))
        monkeypatch.setattr(RemoteBase, "delete", refuse)

    def let_delete() -> None:
        monkeypatch.setattr(RemoteBase, "delete", delete)

    assert watch(monkeypatch, folder, take_one_out, let_delete)[-1] == (
        "deleted  notes/all.zip/gone.md"
    )


def test_a_folder_that_is_missing_or_empty_deletes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = folder.with_name("away")

    def empty() -> None:
        folder.mkdir()

    def come_back() -> None:
        folder.rmdir()
        away.rename(folder)

    said = watch(
        monkeypatch,
        folder,
        lambda: folder.rename(away),
        nothing,
        empty,
        nothing,
        nothing,
        come_back,
        nothing,
        nothing,
    )

    assert said == ["added  notes/deep/two.txt", "added  notes/one.md"]
    assert set(texts()) == {"notes/deep/two.txt", "notes/one.md"}


def test_a_refused_file_hides_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")

    def mend() -> None:
        (folder / "broken.pdf").rename(folder / "kept.txt")
        (folder / "kept.txt").write_text("A sentence after all.")

    said = watch(monkeypatch, folder, nothing, nothing, mend)

    assert said == [
        "added  notes/deep/two.txt",
        "added  notes/one.md",
        "added  notes/kept.txt",
    ]
    assert set(texts()) == {"notes/deep/two.txt", "notes/kept.txt", "notes/one.md"}


class FakeSam:
    """Answers as SAM does, or not at all."""

    def __init__(self) -> None:
        self.there = True
        self.refuses: set[str] = set()
        self.signed_in = True
        self.documents: dict[str, str] = {}
        self.sent: list[str] = []

    def client(self) -> Client:
        transport = httpx2.MockTransport(self.answer)
        return Client(httpx2.Client(base_url="http://sam", transport=transport))

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if not self.there:
            raise httpx2.ConnectError("connection refused")
        if not self.signed_in:
            problem = {"detail": "Sign in.", "code": "authentication_failed"}
            return httpx2.Response(401, json=problem)
        if request.method == "GET":
            rows: list[dict[str, Any]] = [
                {"path": path, "source_sha256": digest, "id": number}
                for number, (path, digest) in enumerate(self.documents.items())
            ]
            return httpx2.Response(200, json={"results": rows, "next": None})
        path = request.url.path.partition("/files/")[2]
        self.sent.append(path)
        outcome = "refused" if path in self.refuses else "added"
        if outcome == "added":
            self.documents[path] = "of another file"
        line = {"path": path, "outcome": outcome, "document_id": None, "said": ""}
        return httpx2.Response(200, json={"files": [line]})


def looks_of(watched: WatchedRemotely, count: int) -> None:
    for _ in range(count):
        list(watched.look())


def test_a_document_that_somebody_else_deleted_meanwhile_ends_nothing() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, json={"detail": "Not found.", "code": "not_found"})

    http = httpx2.Client(base_url="http://sam", transport=httpx2.MockTransport(answer))

    RemoteBase(Client(http), 1).delete(7)


def test_it_goes_on_when_the_server_was_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sam, said = FakeSam(), list[str]()
    sam.there = False
    watched = WatchedRemotely(sam.client(), 1, folder, deletes=True)
    told = watched.look_again_and_again(5, said.append)
    waits = 0

    def pause(_: float) -> None:
        nonlocal waits
        waits += 1
        sam.there = waits >= 3

    monkeypatch.setattr(watching, "pause", pause)

    assert [next(told)[0]["path"], next(told)[0]["path"]] == ["notes/deep/two.txt", "notes/one.md"]
    assert waits == 3
    assert len(said) == 1
    assert "does not answer" in said[0]


def test_who_is_signed_out_is_told_and_the_watch_ends(folder: Path) -> None:
    sam = FakeSam()
    sam.signed_in = False
    watched = WatchedRemotely(sam.client(), 1, folder, deletes=True)

    with pytest.raises(RefusedError, match="Sign in"):
        next(watched.look_again_and_again(5, lambda _: None))


def test_what_is_refused_waits_twice_as_long_each_time_until_it_changes(folder: Path) -> None:
    sam = FakeSam()
    sam.refuses = {"notes/one.md"}
    watched = WatchedRemotely(sam.client(), 1, folder, deletes=True)

    looks_of(watched, 20)
    assert sam.sent.count("notes/deep/two.txt") == 1
    # At the looks 1, 2, 4, 8 and 16.
    assert sam.sent.count("notes/one.md") == 5
    (folder / "one.md").write_text("changed")
    looks_of(watched, 1)
    assert sam.sent.count("notes/one.md") == 6
    sam.refuses = set()
    looks_of(watched, 3)
    assert sam.sent.count("notes/one.md") == 7


def test_a_file_is_read_again_only_when_its_size_or_times_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def digest(file: LocalFile) -> str:
        read.append(file.local)
        return digest_file(file)

    monkeypatch.setattr(rules, "digest_file", digest)
    watched = WatchedRemotely(FakeSam().client(), 1, folder, deletes=True)

    looks_of(watched, 3)
    assert sorted(path.name for path in read) == ["one.md", "two.txt"]
    stat = (folder / "one.md").stat()
    (folder / "one.md").write_text("# One\n\nThe harbour opens at 777.")
    os.utime(folder / "one.md", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    looks_of(watched, 1)
    assert [path.name for path in read].count("one.md") == 2


@pytest.mark.parametrize(
    ("written", "seconds"), [("1", 1), ("30s", 30), (" 5m ", 300), ("168h", 604_800)]
)
def test_times_are_read(written: str, seconds: int) -> None:
    assert read_seconds(written) == seconds


@pytest.mark.parametrize("written", ["", "0", "-1s", "1d", "169h", "1.5m", "s", "9999999"])
def test_what_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(CommandError, match="no time to wait"):
        read_seconds(written)


def test_a_file_or_nothing_is_not_watched(folder: Path) -> None:
    for path in (folder / "one.md", folder / "none"):
        with pytest.raises(CommandError, match="no folder"):
            run_sam("documents", "watch", str(path), "--user", "alice")
    assert texts() == {}
