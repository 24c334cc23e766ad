"""Download one file of a Hub: resumable, cancellable, and usable only when its digest is right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import httpx2

from engines.exceptions import (
    ArtifactMissingError,
    DigestMismatchError,
    SamError,
    TransferCancelledError,
    TransferError,
)
from engines.files.durable import READ_BY_ALL
from engines.transfer.http import (
    InterruptedTransferError,
    new_client,
    open_body,
    parse_content_range,
)
from engines.transfer.limits import KEPT, Disk, Patience, RateWatch
from engines.transfer.part import PartFile, claim_part
from engines.transfer.progress import Reporter
from engines.transfer.remote_file import (
    DEFAULT_OPTIONS,
    DownloadOptions,
    DownloadResult,
    Progress,
    RemoteFile,
)
from engines.transfer.verify import verify_file

_OK = 200
_PARTIAL = 206


def download(
    remote: RemoteFile,
    destination: Path,
    *,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
    token: str | None = None,
    options: DownloadOptions = DEFAULT_OPTIONS,
) -> DownloadResult:
    """Make ``destination`` the file ``remote`` names, verified and read-only.

    What an earlier call left in ``.parts`` beside it is hashed again and continued. Any error leaves
    ``destination`` as it was. Raises TransientTransferError, FetchedElsewhereError,
    TransferCancelledError, DiskFullError, DigestMismatchError, GatedRepositoryError, NotFoundError,
    TransferError. ``cancelled`` is also polled while waiting, but not while a server is silent
    (``options.read_timeout``).
    """
    sha256 = _pinned_digest(remote)
    disk = Disk(destination.parent, options)
    reporter = Reporter(remote.filename, progress, cancelled)
    with disk.guard(lambda: remote.size), claim_part(destination, sha256, remote.size) as part:
        # Under the part's lock, so two processes cannot both find the file missing and fetch it.
        if _is_there(destination, sha256, remote.size, progress, cancelled):
            part.discard()
            return DownloadResult(destination, sha256, remote.size, bytes_fetched=0)
        transfer = _Transfer(remote, part, reporter, disk, options)
        with disk.guard(lambda: remote.size - part.offset):
            transfer.run(token)
            # Named only when every byte was hashed: whoever finds the file may use it.
            part.publish(destination)
        return DownloadResult(destination, sha256, remote.size, transfer.bytes_fetched)


def _pinned_digest(remote: RemoteFile) -> str:
    if remote.sha256 is None:
        raise TransferError(
            f"The publisher names no SHA-256 for {remote.filename} in {remote.repo}, so it could "
            "not be verified. Enter the digest in the catalog first."
        )
    return remote.sha256


def _is_there(
    path: Path,
    sha256: str,
    size: int,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> bool:
    try:
        verify_file(path, sha256=sha256, size=size, progress=progress, cancelled=cancelled)
    except (ArtifactMissingError, DigestMismatchError):
        return False
    if path.stat().st_uid == os.geteuid():
        # A file shared with another program may belong to that program's user.
        path.chmod(READ_BY_ALL)
    return True


class _Transfer:
    """The attempts of one download until the part is whole."""

    def __init__(
        self,
        remote: RemoteFile,
        part: PartFile,
        reporter: Reporter,
        disk: Disk,
        options: DownloadOptions,
    ) -> None:
        self._remote = remote
        self._part = part
        self._reporter = reporter
        self._disk = disk
        self._options = options
        self.bytes_fetched = 0

    def run(self, token: str | None) -> None:
        """Return when every byte is in the part and the digest is right."""
        try:
            self._resume()
            self._fetch(token)
        except SamError as error:
            if isinstance(error, TransferCancelledError) and not self._options.keep_part:
                self._part.discard()
            self._keep()
            raise
        self._require_digest()

    def _keep(self) -> None:
        """Bring what arrived to the disk: whoever paused this may switch the machine off next."""
        if self._part.unsynced:
            self._part.sync()

    def _resume(self) -> None:
        for offset in self._part.resume():
            self._reporter.step(Progress("checking", offset, self._remote.size))

    def _fetch(self, token: str | None) -> None:
        patience = Patience(self._options, self._part.offset, KEPT)
        with new_client(self._options) as client:
            while self._part.offset < self._remote.size:
                try:
                    self._attempt(client, token)
                except InterruptedTransferError as error:
                    # Every attempt continues at the part's offset; only time without progress ends them.
                    patience.moved(self._part.offset)
                    self._reporter.wait(patience.next_wait(error))

    def _attempt(self, client: httpx2.Client, token: str | None) -> None:
        self._reporter.check()
        self._disk.require(self._remote.size - self._part.offset)
        with open_body(client, self._remote, token, self._range_headers()) as response:
            self._accept(response)
            rate = RateWatch(self._options)
            for chunk in response.iter_raw():
                self._take(chunk)
                rate.feed(len(chunk))
        if self._part.offset < self._remote.size:
            raise self._interrupted("ended the answer early")

    def _range_headers(self) -> dict[str, str]:
        """Ask for the rest; ``If-Range`` needs a strong validator (RFC 9110, 13.1.5)."""
        if not self._part.offset:
            return {}
        # A file that changed on the server comes whole (200) instead of as a rest that does not fit.
        # A weak validator may not be sent; then the digest at the end finds the change.
        strong = self._part.etag.startswith('"')
        condition = {"If-Range": self._part.etag} if strong else {}
        return {"Range": f"bytes={self._part.offset}-", **condition}

    def _accept(self, response: httpx2.Response) -> None:
        """Decide where the body's first byte goes; raise when it fits nowhere."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._wrong("sends the bytes in another encoding than asked for")
        if response.status_code == _PARTIAL:
            self._require_continuation(response)
        else:
            self._start_over(response)
        # Before the first byte: after a crash the journal must not name an older validator for newer bytes.
        self._part.begin(response.headers.get("ETag", ""))

    def _require_continuation(self, response: httpx2.Response) -> None:
        found = parse_content_range(response.headers.get("Content-Range"))
        fits = found is not None and (found.start, found.total) == (
            self._part.offset,
            self._remote.size,
        )
        changed = self._part.etag and response.headers.get("ETag", "") != self._part.etag
        if not fits or (self._part.offset and changed):
            # Bytes of two versions in one part could never have the right digest.
            self._part.restart()
            raise self._interrupted("sent another part of the file than asked for")

    def _start_over(self, response: httpx2.Response) -> None:
        # Not a 206, so the body is the file from its start, or no file at all (416).
        self._part.restart()
        if response.status_code != _OK:
            raise self._interrupted("does not have the rest that was asked for")
        length = response.headers.get("Content-Length")
        if length is not None and length != str(self._remote.size):
            raise self._wrong(f"offers {length} bytes instead of {self._remote.size}")

    def _take(self, chunk: bytes) -> None:
        self.bytes_fetched += len(chunk)
        if self._part.offset + len(chunk) > self._remote.size:
            self._part.discard()
            raise self._wrong(f"sends more than the {self._remote.size} bytes announced")
        self._part.append(chunk)
        if self._part.unsynced >= self._options.sync_every:
            # Bounded loss after a power cut; every chunk would be too slow.
            self._part.sync()
            self._disk.require(self._remote.size - self._part.offset)
        self._reporter.step(Progress("downloading", self._part.offset, self._remote.size))

    def _require_digest(self) -> None:
        found = self._part.sha256()
        if found != self._remote.sha256:
            # Nothing of it can be trusted, and a resume would only repeat the result.
            self._part.discard()
            raise DigestMismatchError(
                f"What arrived as {self._remote.filename} has the SHA-256 {found}, but the publisher "
                f"names {self._remote.sha256}; it was removed. Download it again; if that fails too, "
                "the server's copy is damaged: choose another mirror or revision."
            )

    def _interrupted(self, what: str) -> InterruptedTransferError:
        return InterruptedTransferError(f"The server {what} ({self._remote.filename}).")

    def _wrong(self, what: str) -> TransferError:
        return TransferError(
            f"The server {what} for {self._remote.filename}. Check the Hub's address, or choose "
            "another mirror."
        )
