"""Which addresses this process may connect to when somebody other than the administrator names them.

Public addresses are free. Loopback, link-local (where clouds keep credentials), private and other
special ranges are refused unless the administrator allowed them: an address in a catalog must not make
SAM ask services that only this machine or this network can reach.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from engines.exceptions import AddressRefusedError

SETTING = "SAM_ALLOWED_PRIVATE_HOSTS"
DEFAULT_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class AllowedPlace:
    """A host name, an address or a network whose special addresses may be used; port 0 means any."""

    name: str = ""
    network: Network | None = None
    port: int = 0

    def covers(self, name: str, address: Address, port: int) -> bool:
        """Whether an address, reached by a name, is meant."""
        if self.port not in (0, port):
            return False
        return address in self.network if self.network is not None else name == self.name


def parse_place(text: str) -> AllowedPlace:
    """Read ``name``, ``address``, ``network/bits``, each also with ``:port``; ValueError otherwise."""
    network = _network(text)
    if network is not None:
        return AllowedPlace(network=network)
    parts = urlsplit(f"//{text}")
    host = parts.hostname
    if not host or parts.path or parts.username is not None or parts.query or parts.fragment:
        raise ValueError(text)
    network = _network(host)
    port = parts.port or 0
    return AllowedPlace(network=network, port=port) if network else AllowedPlace(host, port=port)


def place_of_url(url: str) -> AllowedPlace:
    """Return the one host and port of an address that the administrator gave."""
    parts = urlsplit(url)
    place = parse_place(parts.netloc.rpartition("@")[2])
    port = place.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return AllowedPlace(place.name, place.network, port)


class AddressGuard:
    """Resolves names and refuses what they must not lead to; safe to share between threads."""

    def __init__(self, allowed: Iterable[AllowedPlace] = ()) -> None:
        self.allowed = tuple(allowed)

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host that may be connected to; empty when it does not resolve.

        One that is not allowed refuses the host (AddressRefusedError): a name that leads both outside
        and inside is a trap. Connect to what is returned, not to the name: it may lead elsewhere later.
        """
        name = host.lower().strip("[]").rstrip(".")
        found = _resolved(name, port)
        for address in found:
            if not self._may_use(name, address, port):
                raise AddressRefusedError(
                    f"{ascii(name)[1:-1]:.100} leads to {address}, an address of this machine or of an inner "
                    f"network, where SAM does not go for an address in the catalog. If it is meant, "
                    f"an administrator adds it to {SETTING}."
                )
        return [str(address) for address in found]

    def check_url(self, url: str) -> None:
        """Raise AddressRefusedError when an address leads where it must not."""
        parts = urlsplit(url)
        self.addresses(parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0))

    def _may_use(self, name: str, address: Address, port: int) -> bool:
        return _is_public(address) or any(
            place.covers(name, address, port) for place in self.allowed
        )


_guards = [AddressGuard()]


def allow_places(places: Iterable[AllowedPlace]) -> None:
    """Set what this process may use beside public addresses; called once, when it starts."""
    _guards[0] = AddressGuard(places)


def address_guard() -> AddressGuard:
    """Return the guard of this process; until places are allowed it lets nobody in."""
    return _guards[0]


def _resolved(name: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _is_public(inner)
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
