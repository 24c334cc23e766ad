"""Reads a model's GGUF header over HTTP Range: a file of 40 GB is judged by its first megabytes."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx2

from engines.exceptions import TransferError
from engines.gguf import limits
from engines.gguf.header import GgufHeader
from engines.gguf.parts import merge_headers
from engines.gguf.reader import read_header
from engines.transfer.http import (
    InterruptedTransferError,
    new_client,
    open_body,
    parse_content_range,
)
from engines.transfer.limits import Patience, RateWatch
from engines.transfer.remote_file import DownloadOptions, RemoteFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST_RANGE = 1024 * 1024
MAX_RANGE = 8 * FIRST_RANGE
HEADER_OPTIONS = DownloadOptions(read_timeout=10.0, stall_window=10.0, give_up_after=30.0)
"""Somebody waits for the answer, so patience is shorter than for a download."""
_PARTIAL = 206


def read_remote_header(
    remote: RemoteFile, *, token: str | None = None, options: DownloadOptions = HEADER_OPTIONS
) -> GgufHeader:
    """Read and check the header of a file that stays where it is.

    Ranges grow from 1 to 8 MiB; what the header's limits forbid is never asked for. The token goes
    to the Hub's own origin only. Raises UnsafeModelFileError like the local reader; TransferError,
    TransientTransferError, GatedRepositoryError, NotFoundError.
    """
    with (
        new_client(options) as client,
        _RangeStream(client, remote, token, options) as ranges,
        io.BufferedReader(ranges) as stream,
    ):
        return read_header(stream, file_size=remote.size)


def read_remote_model(
    remotes: Sequence[RemoteFile],
    *,
    token: str | None = None,
    options: DownloadOptions = HEADER_OPTIONS,
) -> GgufHeader:
    """Read and check the header of a model whose parts, in their order, stay where they are.

    Raises what ``read_remote_header`` raises, UnsafeModelFileError also for parts that do not belong
    together.
    """
    headers = [read_remote_header(remote, token=token, options=options) for remote in remotes]
    return merge_headers(headers)


class _RangeStream(io.RawIOBase):
    """The start of a remote file as a stream; each block is one Range request."""

    def __init__(
        self, client: httpx2.Client, remote: RemoteFile, token: str | None, options: DownloadOptions
    ) -> None:
        super().__init__()
        self._client = client
        self._remote = remote
        self._token = token
        self._options = options
        self._end = min(remote.size, limits.MAX_HEADER_BYTES)
        self._position = 0
        self._block = b""
        self._block_start = 0
        self._next_length = FIRST_RANGE
        self._etag = ""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move without fetching; only from the start or from here, the end is never needed."""
        self._position = offset + (self._position if whence == io.SEEK_CUR else 0)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` from the present block, fetching the next one when it is used up."""
        target = memoryview(buffer).cast("B")
        if self._position >= self._end:
            return 0
        if not 0 <= self._position - self._block_start < len(self._block):
            self._fetch()
        offset = self._position - self._block_start
        piece = self._block[offset : offset + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self) -> None:
        last = min(self._position + self._next_length, self._end) - 1
        self._block = self._fetch_patiently(self._position, last)
        self._block_start = self._position
        # Most headers are done after the first block; vocabularies need more, in few requests.
        self._next_length = min(2 * self._next_length, MAX_RANGE)

    def _fetch_patiently(self, start: int, last: int) -> bytes:
        patience = Patience(self._options, start, "Try again later.")
        while True:
            try:
                return self._attempt(start, last)
            except InterruptedTransferError as error:
                threading.Event().wait(patience.next_wait(error))

    def _attempt(self, start: int, last: int) -> bytes:
        headers = {"Range": f"bytes={start}-{last}"}
        with open_body(self._client, self._remote, self._token, headers) as response:
            self._check(response, start, last)
            block = self._body(response, last - start + 1)
        if len(block) <= last - start:
            raise InterruptedTransferError(
                f"The server ended its answer early ({self._remote.filename})."
            )
        return block

    def _check(self, response: httpx2.Response, start: int, last: int) -> None:
        if response.status_code != _PARTIAL:
            raise self._wrong("does not serve parts of files (HTTP Range)")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._wrong("sends the bytes in another encoding than asked for")
        found = parse_content_range(response.headers.get("Content-Range"))
        if found is None or tuple(found) != (start, last, self._remote.size):
            raise self._wrong("sent another part of the file than asked for")
        etag = response.headers.get("ETag", "")
        # Two blocks of two versions would be a header that no file has.
        if self._etag and etag != self._etag:
            raise self._wrong("changed the file while it was read")
        self._etag = etag

    def _body(self, response: httpx2.Response, wanted: int) -> bytes:
        block = bytearray()
        rate = RateWatch(self._options)
        for chunk in response.iter_raw():
            block += chunk
            rate.feed(len(chunk))
            if len(block) > wanted:
                raise self._wrong("sends more than it was asked for")
        return bytes(block)

    def _wrong(self, what: str) -> TransferError:
        return TransferError(
            f"The server {what}, so the header of {self._remote.filename} cannot be read "
            "remotely. Download the model to judge it, or choose another mirror."
        )
