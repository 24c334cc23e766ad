"""The checked connections for Ollama's client, which stands on httpx and comes with the same extra."""

from __future__ import annotations

import httpcore
import httpx

from engines.network.transports import CheckedAddresses, CheckedRoutes


class _Backend(CheckedAddresses, httpcore.SyncBackend):
    failures = (httpcore.ConnectError, httpcore.ConnectTimeout)


class _Direct(httpx.HTTPTransport):
    def __init__(self) -> None:
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        self._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=_Backend())


class OllamaTransport(CheckedRoutes, httpx.BaseTransport):
    """For Ollama's client."""

    direct = _Direct
    proxied = httpx.HTTPTransport
