"""One GET to the Hub, through its redirects, with its refusals turned into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx2

from engines.exceptions import (
    GatedRepositoryError,
    NotFoundError,
    TransferError,
    TransientTransferError,
)
from engines.network.transports import GuardedTransport
from engines.transfer.redirects import next_hop, same_origin
from engines.transfer.remote_file import DownloadOptions, RemoteFile

MAX_REDIRECTS = 5
UNTRUSTED = (
    "The certificate of the server, or of a proxy that reads what passes, is not trusted here. Name the file "
    "with your organisation's certificates in SSL_CERT_FILE where SAM runs, and restart it."
)
_ANSWERS = frozenset({200, 206, 416})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_REFUSED = frozenset({401, 403})
_GONE = frozenset({404, 410})
_SERVER_ERROR = 500
_REASONS = ("X-Error-Code", "X-Error-Message")
_UNEXPLAINED = (
    ", without the reason that it gives: where a firewall or proxy has answered in its place, have it let SAM "
    "through"
)
_USED_UP = re.compile(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*([0-9]{1,9})")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16})", re.IGNORECASE)


class ContentRange(NamedTuple):
    """First and last byte (both inside) and the whole length, as a 206 names them."""

    start: int
    last: int
    total: int


class InterruptedTransferError(TransientTransferError):
    """This attempt failed and the next may succeed."""


def parse_content_range(value: str | None) -> ContentRange | None:
    """Read a Content-Range header (RFC 9110, 14.4); None unless it is whole and consistent."""
    found = _CONTENT_RANGE.fullmatch(value or "")
    if found is None:
        return None
    parsed = ContentRange(*(int(number) for number in found.groups()))
    return parsed if parsed.start <= parsed.last < parsed.total else None


def new_client(options: DownloadOptions) -> httpx2.Client:
    """Return a client that follows no redirects and asks for unencoded bytes."""
    # A compressed answer has other offsets, so neither Range nor the digest would fit.
    timeout = httpx2.Timeout(options.read_timeout, connect=options.connect_timeout)
    headers = {"Accept-Encoding": "identity", "User-Agent": "sam-engine-upgrade"}
    return httpx2.Client(
        follow_redirects=False, timeout=timeout, headers=headers, transport=GuardedTransport()
    )


@contextmanager
def open_body(
    client: httpx2.Client, remote: RemoteFile, token: str | None, headers: Mapping[str, str]
) -> Iterator[httpx2.Response]:
    """Give the final response with its body unread.

    Raises InterruptedTransferError when the network or the server fails in a way that passes, also
    while the body is read; TransferError, GatedRepositoryError or NotFoundError otherwise.
    """
    try:
        response = _follow(client, httpx2.URL(remote.url), token, headers)
        try:
            _raise_for_status(response, remote)
            yield response
        finally:
            response.close()
    except httpx2.TransportError as error:
        if is_untrusted(error):
            raise TransferError(f"{remote.filename} is not fetched: {UNTRUSTED}") from error
        raise InterruptedTransferError(
            f"The connection for {remote.filename} failed ({type(error).__name__}: {error})."
        ) from error


def is_untrusted(error: Exception) -> bool:
    """Whether a connection failed for a certificate, which no later attempt mends."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _follow(
    client: httpx2.Client, home: httpx2.URL, token: str | None, headers: Mapping[str, str]
) -> httpx2.Response:
    url = home
    for _ in range(MAX_REDIRECTS + 1):
        allowed = {**headers, **_authorization(token, url, home)}
        response = client.send(client.build_request("GET", url, headers=allowed), stream=True)
        if response.status_code not in _REDIRECTS:
            return response
        response.close()
        # Each hop is checked, and the token is decided anew: storage gets none.
        url = next_hop(url, response.headers.get("Location", ""))
    raise TransferError(
        f"The server at {home.host} redirects more than {MAX_REDIRECTS} times. Check its address."
    )


def _authorization(token: str | None, url: httpx2.URL, home: httpx2.URL) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token and same_origin(url, home) else {}


def _raise_for_status(response: httpx2.Response, remote: RemoteFile) -> None:
    status = response.status_code
    if status in _PASSING or status >= _SERVER_ERROR:
        sentence = f"The server answered {status} for {remote.filename}."
        raise InterruptedTransferError(sentence, asked_wait(response.headers))
    if status not in _ANSWERS and not same_origin(response.url, httpx2.URL(remote.url)):
        raise _refused_behind(response.url.host, status, remote)
    if status in _REFUSED:
        raise refused(remote.repo, status, response.headers)
    if status in _GONE:
        raise NotFoundError(
            f"{remote.repo} has no {remote.filename} at commit {remote.commit}. Check the file's "
            "name; if it was there, choose another revision in the catalog."
        )
    if status not in _ANSWERS:
        raise TransferError(
            f"The server answered {status} for {remote.filename}. Check the Hub's address."
        )


def _refused_behind(host: str, status: int, remote: RemoteFile) -> TransferError:
    """Return the error for a refusal that is not the Hub's, so neither licence nor token are to blame."""
    return TransferError(
        f"The Hub sends on to {host} for {remote.filename}, and {host} answered {status}. Have your firewall "
        "or proxy let this host through to it, check this host's clock (such addresses hold for minutes), "
        "and start the download again."
    )


def refused(repo: str, status: int, headers: Mapping[str, str]) -> GatedRepositoryError:
    """Return the error for a repository whose files the server does not give to this token."""
    # The Hub says why it refuses.
    is_silent = not any(name in headers for name in _REASONS)
    return GatedRepositoryError(
        f"The Hub refuses the files of {repo} ({status}){_UNEXPLAINED if is_silent else ''}. "
        "Accept its licence on the repository's "
        "page with the account whose token SAM uses, and set HF_TOKEN to that token, which goes to the Hub "
        "of HF_ENDPOINT only."
    )


def asked_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds a server asks to be left alone for; 0 if it says nothing.

    The Hub says in RateLimit (IETF, draft-ietf-httpapi-ratelimit-headers) with every answer when a window ends;
    that is to be waited for only where nothing remains in it.
    """
    ends = _USED_UP.findall(headers.get("RateLimit", ""))
    return max(retry_after(headers.get("Retry-After")), *map(float, ends), 0.0)


def retry_after(value: str | None) -> float:
    """Return the seconds a Retry-After header asks for (RFC 9110, 10.2.3); 0 if it says nothing."""
    if value is None:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
