"""HTTP that connects to the very address that was checked, so that a name cannot lead elsewhere after.

The Hub's and OpenAI's clients stand on httpx2; Ollama's, an extra, on its twin httpx (``ollama_transport``).
"""

from __future__ import annotations

import urllib.request
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpcore2
import httpx2

from engines.network.guard import address_guard


class CheckedAddresses:
    """Connects to one of the addresses that the guard returns, in their order."""

    failures: ClassVar[tuple[type[Exception], ...]]
    """The library's errors after which the next address is tried; the first also says: none at all."""

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        failed = self.failures[0](f"{host} is not known.")
        for address in address_guard().addresses(host, port):
            try:
                return super().connect_tcp(address, port, *args, **kwargs)  # type: ignore[misc]
            except self.failures as error:
                failed = error
        raise failed


class _Backend(CheckedAddresses, httpcore2.SyncBackend):
    failures = (httpcore2.ConnectError, httpcore2.ConnectTimeout)


class _Direct(httpx2.HTTPTransport):
    def __init__(self) -> None:
        context = httpx2.create_ssl_context()
        super().__init__(verify=context)
        self._pool = httpcore2.ConnectionPool(ssl_context=context, network_backend=_Backend())


class CheckedRoutes:
    """Asks directly, or through the proxy that the environment names."""

    direct: ClassVar[type[Any]]
    proxied: ClassVar[type[Any]]

    def __init__(self) -> None:
        self._transports: dict[str, Any] = {}

    def handle_request(self, request: Any) -> Any:
        """Send a request; AddressRefusedError when it must not go there."""
        url = str(request.url)
        proxy = _proxy_for(url)
        if proxy:
            # The proxy resolves the name itself: what it means there is for its own rules.
            address_guard().check_url(url)
        if proxy not in self._transports:
            self._transports[proxy] = self.proxied(proxy=proxy) if proxy else self.direct()
        return self._transports[proxy].handle_request(request)

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


class GuardedTransport(CheckedRoutes, httpx2.BaseTransport):
    """For clients of httpx2."""

    direct = _Direct
    proxied = httpx2.HTTPTransport


def _proxy_for(url: str) -> str:
    """Return the environment's proxy for an address, empty when it is asked directly."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all") or ""
    return found if "://" in found or not found else f"http://{found}"
