"""Folders of a host: a base in step with one, turn by turn, whatever happens to folder, host and worker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import Document, Host, HostStatus, KnowledgeBase, WatchedFile, WatchedFolder
from engines.services.knowledge.documents import (
    add_document,
    create_base,
    delete_base,
    delete_document,
)
from engines.services.knowledge.watched import looking
from engines.services.knowledge.watched.attaching import (
    attach_folder,
    detach_folder,
    look_now,
)
from engines.services.knowledge.watched.due import due_folders
from engines.services.knowledge.watched.looking import NOBODY, Here, look_at
from migrations_app.audit.rows import AuditEntry, AuditKind
from migrations_app.plans import housekeeping
from migrations_app.plans.housekeeping import wake_folders

pytestmark = pytest.mark.django_db


@dataclass
class Place:
    """A folder of this host, and the base that it is attached to."""

    base: KnowledgeBase
    folder: Path
    row: WatchedFolder
    here: Here
    files_a_turn: list[int] = field(default_factory=list)

    def look(self) -> str:
        look_now(self.row.pk)
        said = look_at(self.row.pk, self.here)
        self.row.refresh_from_db()
        return said

    def texts(self) -> dict[str, str]:
        return dict(Document.objects.filter(base=self.base).values_list("path", "text"))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def host() -> Host:
    return Host.objects.create(
        name="files-1", status=HostStatus.ACTIVE, last_seen=timezone.now(), announces=["x"]
    )


@pytest.fixture
def place(host: Host, tmp_path: Path) -> Place:
    base = create_base(owner=User.objects.create_user("alice"), name="Handbook")
    folder = tmp_path / "srv" / "notes"
    (folder / "deep").mkdir(parents=True)
    scratch = tmp_path / "sam" / "scratch"
    scratch.mkdir(parents=True)
    host.folder_roots = [str(folder.parent)]
    host.save()
    row = attach_folder(base.pk, host.name, str(folder), every_seconds=60)
    turns: list[int] = []

    def goes_on() -> bool:
        if turns:
            turns[0] -= 1
        return not turns or turns[0] > 0

    here = Here(
        roots=[folder.parent],
        forbidden=tmp_path / "sam",
        scratch=scratch,
        goes_on=goes_on,
    )
    made = Place(base, folder, row, here, turns)
    made.write("one.md", "# One\n\nThe harbour opens at six.")
    made.write("deep/two.txt", "The ferry leaves at seven.")
    return made


def test_what_changes_is_followed_and_the_row_tells_it(place: Place) -> None:
    assert place.look() == f"{place.folder}: 0 unchanged, 0 updated, 2 new."
    assert set(place.texts()) == {"notes/one.md", "notes/deep/two.txt"}
    kept = Document.objects.get(path="notes/deep/two.txt").pk

    place.write("one.md", "# One\n\nThe harbour opens at five.")
    place.write("new.txt", "The lighthouse is red.")
    place.write("broken.pdf", "%PDF-1.7 nothing")
    (place.folder / "deep" / "two.txt").rename(place.folder / "moved.txt")

    assert place.look().endswith(": 0 unchanged, 1 updated, 1 new, 1 moved, 1 refused.")
    assert Document.objects.get(path="notes/moved.txt").pk == kept
    assert place.row.problem.startswith("notes/broken.pdf: ")
    assert place.row.looked_at is not None
    assert place.row.next_look_at > timezone.now()

    (place.folder / "new.txt").unlink()
    place.write("broken.pdf", "A sentence.").rename(place.folder / "kept.txt")
    assert "deleted" not in place.look()
    assert place.look().endswith(": 3 unchanged, 0 updated, 0 new, 1 deleted.")
    assert set(place.texts()) == {"notes/one.md", "notes/moved.txt", "notes/kept.txt"}
    assert place.row.problem == ""


def test_a_file_is_read_again_only_when_it_may_have_changed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.look()
    written = place.base
    written.refresh_from_db()
    read: list[object] = []
    monkeypatch.setattr("engines.folders.watching.digest_file", read.append)

    assert place.look().endswith("2 unchanged, 0 updated, 0 new.")

    assert read == []
    before = written.write_seq
    written.refresh_from_db()
    assert written.write_seq == before


def test_a_folder_that_is_away_empty_or_unreadable_deletes_nothing(place: Place) -> None:
    place.look()
    away = place.folder.with_name("away")
    place.folder.rename(away)
    for _ in range(3):
        assert place.look() == f"{place.folder} is not there; nothing is changed meanwhile."
    assert place.row.problem.endswith("nothing is changed meanwhile.")
    place.folder.mkdir()
    for _ in range(3):
        place.look()
    place.folder.rmdir()
    away.rename(place.folder)

    def refuse(top: object, onerror: Callable[[OSError], None]) -> Iterator[Any]:
        onerror(OSError(13, "Permission denied", str(place.folder / "deep")))
        yield str(place.folder), [], ["one.md"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "walk", refuse)
        for _ in range(3):
            place.look()
        assert place.row.problem == "notes/deep: It cannot be read: Permission denied."

    assert place.look().endswith("2 unchanged, 0 updated, 0 new.")
    assert set(place.texts()) == {"notes/one.md", "notes/deep/two.txt"}


def test_links_that_lead_out_and_what_is_no_file_are_not_read(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("Nobody else's.")
    (place.folder / "plan.txt").symlink_to(tmp_path / "secret.txt")
    (place.folder / "again.txt").symlink_to(place.folder / "one.md")
    (place.folder / "out").symlink_to(tmp_path)
    os.mkfifo(place.folder / "pipe")

    assert place.look().endswith("0 unchanged, 0 updated, 3 new, 2 refused.")

    assert "leads out of the folder" in place.row.problem
    assert not Document.objects.filter(text__contains="Nobody").exists()


def test_a_turn_that_ends_early_or_is_killed_goes_on_where_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        place.write(f"{number}.txt", f"Sentence number {number}.")
    place.files_a_turn.append(2)
    assert place.look().endswith("goes on in the next turn.")
    assert place.row.is_under_way
    assert due_folders().get() == place.row
    place.files_a_turn.clear()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(looking, "_write_memory", die)
        with pytest.raises(KeyboardInterrupt):
            look_at(place.row.pk, place.here)
    # Until the lease has ended, nobody else looks.
    assert look_at(place.row.pk, place.here) == NOBODY
    assert len(place.texts()) == 3
    WatchedFolder.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))

    place.look()

    assert len(place.texts()) == 6
    assert (place.row.looks, place.row.is_under_way, place.row.claim) == (1, False, "")
    assert WatchedFile.objects.count() == 6
    assert place.look().endswith("6 unchanged, 0 updated, 0 new.")


def test_what_is_refused_waits_longer_each_time_also_over_restarts(place: Place) -> None:
    place.write("broken.pdf", "%PDF-1.7 nothing")
    tried = []
    for number in range(1, 10):
        place.row.problem = ""
        WatchedFolder.objects.update(problem="")
        place.look()
        if place.row.problem:
            tried.append(number)
    assert tried == [1, 2, 4, 8]
    assert place.row.refused == 1

    with override_settings(SAM_MAX={"documents": 2, "bases": 0, "adapters": 0}):
        place.write("more.txt", "One too many.")
        place.look()
    assert "2 documents already" in place.row.problem
    assert "notes/more.txt" not in place.texts()
    place.look()
    assert "notes/more.txt" in place.texts()


def test_what_somebody_deleted_stays_deleted_until_its_file_changes(place: Place) -> None:
    place.look()
    delete_document(Document.objects.get(path="notes/one.md").pk)
    for _ in range(3):
        place.look()
    assert set(place.texts()) == {"notes/deep/two.txt"}
    place.write("one.md", "It is back.")
    place.look()
    assert place.texts()["notes/one.md"] == "It is back."


def test_this_host_decides_what_may_be_watched(place: Place, tmp_path: Path) -> None:
    outside = Here(roots=[], forbidden=tmp_path / "sam", scratch=place.here.scratch, goes_on=bool)
    look_at(place.row.pk, outside)
    place.row.refresh_from_db()
    assert "does not let" in place.row.problem

    elsewhere = tmp_path / "elsewhere"
    place.folder.rename(elsewhere)
    place.folder.symlink_to(elsewhere)
    assert "does not let" in place.look()

    place.folder.unlink()
    place.folder.symlink_to(tmp_path / "sam")
    roots = Here(
        roots=[tmp_path], forbidden=tmp_path / "sam", scratch=place.here.scratch, goes_on=bool
    )
    look_now(place.row.pk)
    assert "SAM's own files" in look_at(place.row.pk, roots)
    assert place.texts() == {}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("notes", "no whole path"),
        ("/", "no whole path"),
        ("{root}/../etc", "no whole path"),
        ("/etc", "does not let"),
        ("{root}-other", "does not let"),
        ("{root}/a\nb", "characters that no document"),
        ("{root}/" + "x" * 300, "no whole path"),
    ],
)
def test_no_other_path_is_attached(place: Place, host: Host, path: str, said: str) -> None:
    whole = path.format(root=place.folder.parent)
    with pytest.raises(InvalidRequestError, match=said):
        attach_folder(place.base.pk, host.name, whole, every_seconds=60)
    assert WatchedFolder.objects.count() == 1


def test_what_cannot_be_attached_says_why(place: Place, host: Host) -> None:
    where = str(place.folder)
    with pytest.raises(ConflictError, match="already"):
        attach_folder(place.base.pk, host.name, where, every_seconds=60)
    with pytest.raises(InvalidRequestError, match="every 10 to"):
        attach_folder(place.base.pk, host.name, where + "/deep", every_seconds=1)
    with pytest.raises(NotFoundError):
        attach_folder(0, host.name, where, every_seconds=60)
    Host.objects.update(folder_roots=[])
    with pytest.raises(InvalidRequestError, match="SAM_WATCHED_FOLDERS"):
        attach_folder(place.base.pk, host.name, where, every_seconds=60)
    assert WatchedFolder.objects.count() == 1


def test_another_folder_of_the_name_touches_no_document(place: Place) -> None:
    for name, text in {"one.md": "Ours.", "two.md": "Ours too.", "three.md": "And this."}.items():
        add_document(place.base.pk, title=name, text=text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        Document.objects.filter(title=name).update(path=f"notes/{name}", source_sha256=digest)
    before = place.texts()

    for _ in range(3):
        assert "seems to be another folder of that name" in place.look()
    assert "Let it go, and attach it to a base of its own" in place.row.problem
    assert place.texts() == before

    place.write("three.md", "And this.")
    assert place.look() == f"{place.folder}: 1 unchanged, 1 updated, 1 new."


def test_hosts_are_called_for_what_is_due_and_only_while_they_are_there(
    place: Place, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []

    def call(row: WatchedFolder) -> bool:
        called.append(row.pk)
        return True

    monkeypatch.setattr(housekeeping, "publish_look", call)
    assert wake_folders() == 1
    WatchedFolder.objects.update(called_at=timezone.now())
    assert wake_folders() == 0
    look_now(place.row.pk)
    for status in (HostStatus.LOST, HostStatus.DRAINING):
        Host.objects.update(status=status)
        assert wake_folders() == 0
    Host.objects.update(status=HostStatus.ACTIVE)
    User.objects.update(is_active=False)
    assert wake_folders() == 0
    assert look_at(place.row.pk, place.here) == NOBODY
    User.objects.update(is_active=True)
    place.look()
    assert wake_folders() == 0
    assert called == [place.row.pk]


def test_letting_go_keeps_the_documents_and_a_turn_under_way_ends(place: Place) -> None:
    place.files_a_turn.append(1)
    place.look()
    place.files_a_turn.clear()

    def let_go() -> bool:
        detach_folder(place.row.pk)
        return True

    going = Here(
        roots=place.here.roots,
        forbidden=place.here.forbidden,
        scratch=place.here.scratch,
        goes_on=let_go,
    )
    look_now(place.row.pk)
    assert "was let go" in look_at(place.row.pk, going)
    assert len(place.texts()) == 2
    assert not WatchedFile.objects.exists()
    with pytest.raises(NotFoundError):
        detach_folder(place.row.pk)
    entries = AuditEntry.objects.filter(kind=AuditKind.WATCHED_FOLDER).order_by("pk")
    assert list(entries.values_list("action", "name")) == [
        ("created", "notes"),
        ("deleted", "notes"),
    ]
    assert entries[0].changes["host_id"] == [None, "files-1"]


def test_with_its_base_all_that_is_known_of_a_folder_goes(place: Place) -> None:
    place.look()
    assert WatchedFile.objects.count() == 2
    delete_base(place.base.pk)
    assert not WatchedFolder.objects.exists()
    assert not WatchedFile.objects.exists()
