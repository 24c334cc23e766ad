"""From where a request comes, as far as nobody can make it up."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

NEIGHBOURS_BITS = 64
"""An IPv6 customer has at least this network to themself, so an address alone limits nobody."""


def client_address(request: HttpRequest) -> str:
    """Return the client's IPv4 address or IPv6 network, empty when it has none (a unix socket).

    Each trusted proxy (SAM_TRUSTED_PROXIES) adds the address it sees at the end of X-Forwarded-For;
    what stands before their entries is whatever the client sent.
    """
    told = request.META.get("REMOTE_ADDR") or ""
    proxies: int = settings.SAM_TRUSTED_PROXIES
    if proxies:
        entries = request.headers.get("X-Forwarded-For", "").split(",")
        told = entries[-proxies].strip() if len(entries) >= proxies else told
    try:
        address = ipaddress.ip_address(told.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, NEIGHBOURS_BITS), strict=False))
