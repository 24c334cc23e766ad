"""Names of files that no base takes: each is refused in one line, nothing of it is sent, and the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from engines.folders.local import BROKEN_LINK, LEADS_OUT, find_local
from engines.folders.sending import MAX_FILE_BYTES, STAYS, Line, bring_up
from samproject.cli.client import Client
from samproject.cli.folders.sending import RemoteBase


class Recording:
    """Stands where the API is: has documents of some paths, and keeps what it is sent."""

    def __init__(self, *known: str) -> None:
        self.sent: list[str] = []
        self._known = known

    def rows(self, _: str) -> list[Any]:
        return [{"path": path, "source_sha256": "", "id": 1} for path in self._known]

    def put_file(self, address: str, _: object, __: object) -> dict[str, Any]:
        self.sent.append(address)
        return {"files": [{"path": "notes/fit.txt", "outcome": "added", "said": ""}]}


def send(api: Recording, folder: Path) -> Iterator[list[Line]]:
    base = RemoteBase(cast("Client", api), 7)
    return bring_up(base, find_local([folder]), base.known())


@pytest.mark.parametrize(
    ("name", "shown", "said"),
    [
        (b"two\nlines.txt", "two\\nlines.txt", "control character"),
        (b"red\x1b[31m.txt", "red\\x1b[31m.txt", "control character"),
        (b"caf\xe9.txt", "caf?.txt", "no valid Unicode"),
    ],
)
def test_a_name_that_no_base_takes_is_refused_in_one_line(
    tmp_path: Path, name: bytes, shown: str, said: str
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "fit.txt").write_text("It stays.")
    Path(bytes(folder).decode() + "/" + name.decode(errors="surrogateescape")).write_text("Odd.")
    api = Recording()

    sent = send(api, folder)
    lines = [line for part in sent for line in part]

    refused = [line for line in lines if line["outcome"] == "refused"]
    assert [line["path"] for line in refused] == [f"notes/{shown}"]
    assert said in refused[0]["said"]
    assert api.sent == ["/knowledge-bases/7/files/notes%2Ffit.txt"]


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("Nobody else's.")
    (folder / "fit.txt").write_text("It stays.")
    (folder / "again.txt").symlink_to(folder / "fit.txt")
    (folder / "plan.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "circle").symlink_to(folder)
    (folder / "gone.txt").symlink_to(tmp_path / "nothing")
    os.mkfifo(folder / "pipe")
    api = Recording()

    sent = send(api, folder)
    lines = [line for part in sent for line in part]

    assert {line["path"]: line["said"] for line in lines if line["outcome"] == "refused"} == {
        "notes/plan.txt": LEADS_OUT,
        "notes/linked": LEADS_OUT,
        "notes/gone.txt": BROKEN_LINK,
    }
    assert api.sent == [
        "/knowledge-bases/7/files/notes%2Fagain.txt",
        "/knowledge-bases/7/files/notes%2Ffit.txt",
    ]


def test_a_refused_file_that_has_a_document_says_that_it_stays(tmp_path: Path) -> None:
    for name in ("new.bin", "old.bin"):
        path = tmp_path / "notes" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)

    sent = send(Recording("notes/old.bin"), tmp_path / "notes")
    new, old = (line for part in sent for line in part)

    assert (new["outcome"], old["outcome"]) == ("refused", "refused")
    assert old["said"] == f"{new['said']} {STAYS}"


def test_a_file_that_grows_while_it_is_sent_has_the_length_that_was_announced(
    tmp_path: Path,
) -> None:
    log = tmp_path / "server.log"
    log.write_text("It began.\n")

    class Growing(Recording):
        def put_file(self, address: str, fields: Any, files: Any) -> dict[str, Any]:
            request = httpx2.Request("PUT", "http://sam.test", data=fields, files=files)
            with log.open("a") as file:
                file.write("It went on.\n")
            assert len(request.read()) == int(request.headers["Content-Length"])
            return super().put_file(address, fields, files)

    api = Growing()
    list(send(api, log))

    assert api.sent == ["/knowledge-bases/7/files/server.log"]
