"""An address from the catalog leads to public hosts, or to what the administrator allowed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from engines.exceptions import AddressRefusedError
from engines.network.guard import (
    AddressGuard,
    parse_place,
    place_of_url,
)
from engines.network.ollama_transport import OllamaTransport
from engines.network.transports import GuardedTransport

PUBLIC = "93.184.216.34"
INNER = (
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - to be refused
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::1",
    "64:ff9b::7f00:1",
    "ff02::1",
)
Resolver = Callable[[str, list[str]], None]


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Have a name lead to an address, at each question to the next one; the last one stays."""
    answers: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        known = answers.get(host)
        if known is None:
            return real(host, port, *args, **kwargs)
        address = known.pop(0) if len(known) > 1 else known[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers.__setitem__


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that something tried to connect to; nothing is."""
    seen: list[str] = []

    def create_connection(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        seen.append(address[0])
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return seen


@pytest.mark.parametrize("address", INNER)
def test_addresses_of_this_machine_and_of_inner_networks_are_refused(address: str) -> None:
    with pytest.raises(AddressRefusedError, match="SAM_ALLOWED_PRIVATE_HOSTS"):
        AddressGuard().addresses(address, 443)


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1::1"])
def test_public_addresses_are_free(address: str) -> None:
    assert AddressGuard().addresses(address, 443) == [address]


@pytest.mark.parametrize(
    "spelling", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "LOCALHOST."]
)
def test_another_spelling_of_this_machine_is_refused(spelling: str) -> None:
    with pytest.raises(AddressRefusedError):
        AddressGuard().addresses(spelling, 80)


@pytest.mark.parametrize(
    ("place", "host", "port", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("127.0.0.1:11434", "127.0.0.1", 11434, True),
        ("127.0.0.1:11434", "127.0.0.1", 5432, False),
        ("10.0.0.0/8", "10.9.9.9", 80, True),
        ("10.0.0.0/8", "192.168.0.1", 80, False),
        ("localhost", "localhost", 80, True),
        ("localhost", "127.0.0.1", 80, False),
        ("[::1]:8000", "::1", 8000, True),
        ("::1", "::1", 1, True),
    ],
)
def test_the_administrator_allows_hosts_networks_and_ports(
    place: str, host: str, port: int, *, allowed: bool
) -> None:
    guard = AddressGuard([parse_place(place)])

    if allowed:
        assert guard.addresses(host, port)
    else:
        with pytest.raises(AddressRefusedError):
            guard.addresses(host, port)


@pytest.mark.parametrize("text", ["", "a/b", "user@host", "host:port", "10.0.0.0/99", "http://x"])
def test_a_place_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the whole message
        parse_place(text)


def test_the_administrators_own_hub_is_one_host_and_port(resolves: Resolver) -> None:
    resolves("hub.lan", ["10.0.0.5"])
    guard = AddressGuard([place_of_url("https://hub.lan/mirror")])

    assert guard.addresses("hub.lan", 443) == ["10.0.0.5"]
    for host, port in (("hub.lan", 5432), ("10.0.0.5", 443)):
        with pytest.raises(AddressRefusedError):
            guard.addresses(host, port)


@pytest.mark.usefixtures("no_inner_addresses")
@pytest.mark.parametrize("library", ["httpx2", "httpx"])
def test_a_name_that_leads_inside_is_not_connected_to(
    resolves: Resolver, dialled: list[str], library: str
) -> None:
    resolves("innocent.example", ["127.0.0.1"])

    with pytest.raises(AddressRefusedError):
        ask(library, "http://innocent.example:5432/")

    assert dialled == []


@pytest.mark.usefixtures("no_inner_addresses")
@pytest.mark.parametrize("library", ["httpx2", "httpx"])
def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    resolves: Resolver, dialled: list[str], library: str
) -> None:
    resolves("rebinding.example", [PUBLIC, "127.0.0.1"])

    with pytest.raises((httpx.ConnectError, httpx2.ConnectError)):
        ask(library, "http://rebinding.example/")

    assert dialled == [PUBLIC]


@pytest.mark.usefixtures("no_inner_addresses")
def test_a_proxy_is_not_asked_for_an_inner_address(
    dialled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{PUBLIC}:3128")
    monkeypatch.setenv("no_proxy", "")

    with pytest.raises(AddressRefusedError):
        ask("httpx2", "http://169.254.169.254/latest/meta-data")
    with pytest.raises(httpx2.ConnectError):
        ask("httpx2", "http://hub.example/")

    assert dialled == [PUBLIC]


def ask(library: str, url: str) -> None:
    if library == "httpx2":
        with httpx2.Client(transport=GuardedTransport()) as client:
            client.get(url)
    else:
        with httpx.Client(transport=OllamaTransport()) as old:
            old.get(url)
