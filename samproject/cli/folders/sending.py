"""A base behind the REST API, as files and folders of a person's machine are sent to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from engines.folders.local import Found, LocalFile, NotReadableError
from engines.folders.sending import MAX_FILE_BYTES, STAYS, TOO_LARGE, Known, Line, refuse
from engines.reading.limits import HEAD_BYTES
from engines.reading.refusals import NO_TEXTS, say_not_read
from samproject.cli.client import NOT_THERE, Client, name_in_path
from samproject.cli.errors import CommandError, RefusedError, UnreachableError


@dataclass(frozen=True, slots=True)
class RemoteBase:
    """A base of the SAM that is asked; UnreachableError when nobody is there: the rest would fare no better."""

    api: Client
    base: int
    deletes: bool = False

    def known(self) -> Known:
        """Return the documents that were made of files."""
        known = Known()
        for row in self.api.rows(f"/knowledge-bases/{self.base}/documents"):
            if row["path"]:
                known.add(row["path"], row["source_sha256"], row["id"])
        return known

    def put(self, file: LocalFile, moved_from: str) -> list[Line]:
        """Send a file; what the server says against it is its line."""
        address = f"/knowledge-bases/{self.base}/files/{name_in_path(file.path)}"
        fields = {"moved_from": moved_from} if moved_from else {}
        if self.deletes:
            fields["delete_missing"] = "true"
        with file.opened() as opened:
            # Read before its length is announced: a log grows while it is sent.
            content = opened.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            return [refuse(file.path, TOO_LARGE)]
        try:
            answer = self.api.put_file(address, fields, {"file": ("file", content)})
        except UnreachableError:
            raise
        except CommandError as error:
            return [refuse(file.path, str(error))]
        lines: list[Line] = answer["files"]
        return lines

    def delete(self, document_id: int) -> None:
        """Delete a document, unless somebody else did."""
        try:
            self.api.delete(f"/knowledge-bases/{self.base}/documents/{document_id}")
        except RefusedError as error:
            # Of a base that is gone the next request tells.
            if error.code != NOT_THERE:
                raise


def leave_out_no_texts(lines: Sequence[Line], found: Found) -> list[Line]:
    """Return the lines of files that should have been read and were not, as pictures, sound and empty files hold no text.

    One whose document stays as it was is missed, whatever it is now.
    """
    local = {file.path: file for file in found.files}
    refused = (line for line in lines if line["outcome"] == "refused")
    return [line for line in refused if not _is_no_text(line, local.get(line["path"]))]


def _is_no_text(line: Line, file: LocalFile | None) -> bool:
    if line["said"].endswith(STAYS):
        return False
    if any(sentence in line["said"] for sentence in NO_TEXTS):
        return True
    # A film is refused for its size before anybody looks at what it is.
    with suppress(NotReadableError, OSError):
        if file is not None:
            with file.opened() as opened:
                return say_not_read(opened.read(HEAD_BYTES)) in NO_TEXTS
    return False
