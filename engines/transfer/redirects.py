"""Where a request may go, and where a token may go: never past the Hub's own origin."""

from __future__ import annotations

import ipaddress
import socket

import httpx2

from engines.exceptions import TransferError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_DEFAULT_PORTS = {"http": 80, "https": 443}


def same_origin(first: httpx2.URL, second: httpx2.URL) -> bool:
    """Whether scheme, host and port are equal."""
    return _origin(first) == _origin(second)


def next_hop(current: httpx2.URL, location: str, home: httpx2.URL) -> httpx2.URL:
    """Return where a redirect leads; raises TransferError when SAM does not follow there.

    Followed are http and https, never from https down to http, and never to this machine or to
    link-local addresses (where clouds keep credentials) unless the Hub itself (``home``) is such.
    A name is checked by what it resolves to now; a later answer of the name server is not seen.
    Private networks are allowed: mirrors in a company keep their bytes there.
    """
    try:
        target = current.join(location)
    except httpx2.InvalidURL as error:
        raise _refused(location, "is not an address") from error
    if target.scheme not in _DEFAULT_PORTS or not target.host:
        raise _refused(location, "is not an http or https address")
    if current.scheme == "https" and target.scheme != "https":
        raise _refused(location, "would leave encryption")
    if target.host != home.host:
        _refuse_inner_address(target, home)
    return target


def _refuse_inner_address(target: httpx2.URL, home: httpx2.URL) -> None:
    home_is_local = any(address.is_loopback for address in _addresses(home))
    for address in _addresses(target):
        # 169.254.169.254 and its like hand out a cloud's credentials.
        if address.is_link_local or address.is_unspecified or address.is_multicast:
            raise _refused(str(target), "is an address for this network only")
        if address.is_loopback and not home_is_local:
            raise _refused(str(target), "is this machine itself")


def _addresses(url: httpx2.URL) -> list[Address]:
    """Resolve the host; empty when only a proxy can."""
    try:
        found = socket.getaddrinfo(url.host, url.port, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return []
    parsed = (ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found)
    # ::ffff:127.0.0.1 is 127.0.0.1, but only as an IPv4 address is it recognised.
    return [getattr(address, "ipv4_mapped", None) or address for address in parsed]


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)


def _refused(location: str, why: str) -> TransferError:
    shown = ascii(location.partition("?")[0][:100])
    return TransferError(
        f"The server redirects to {shown}, which {why}; SAM does not follow. "
        "Check the Hub's address in the settings."
    )
