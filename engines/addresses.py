"""Addresses of engines' servers, as curators write them."""

from __future__ import annotations

from urllib.parse import urlsplit

from engines.exceptions import InvalidRequestError


def parse_endpoint(address: str) -> str:
    """Return the address without a trailing slash; InvalidRequestError unless it is plain HTTP(S)."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    # A user, a query or a fragment would be sent or logged with every request.
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidRequestError(
            "The address of an engine's server must be like http://host:8000/v1, without a user, "
            "a query or a fragment; correct the entry."
        )
    return address.rstrip("/")
