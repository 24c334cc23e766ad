"""Where a request may go, and where a token may go: never past the Hub's own origin."""

from __future__ import annotations

import httpx2

from engines.exceptions import AddressRefusedError, TransferError
from engines.network.guard import DEFAULT_PORTS, address_guard


def same_origin(first: httpx2.URL, second: httpx2.URL) -> bool:
    """Whether scheme, host and port are equal."""
    return _origin(first) == _origin(second)


def next_hop(current: httpx2.URL, location: str) -> httpx2.URL:
    """Return where a redirect leads; raises TransferError when SAM does not follow there.

    Followed are http and https, never from https down to http, and never to an address that the
    guard of this process refuses.
    """
    try:
        target = current.join(location)
    except httpx2.InvalidURL as error:
        raise _refused(location, "is not an address") from error
    if target.scheme not in DEFAULT_PORTS or not target.host:
        raise _refused(location, "is not an http or https address")
    if current.scheme == "https" and target.scheme != "https":
        raise _refused(location, "would leave encryption")
    try:
        address_guard().check_url(str(target))
    except AddressRefusedError as error:
        raise _refused(location, "is for this machine or this network only") from error
    return target


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or DEFAULT_PORTS.get(url.scheme)


def _refused(location: str, why: str) -> TransferError:
    shown = ascii(location.partition("?")[0][:100])
    return TransferError(
        f"The server redirects to {shown}, which {why}; SAM does not follow. "
        "Check the Hub's address, or have an administrator allow that host "
        "(SAM_ALLOWED_PRIVATE_HOSTS)."
    )
