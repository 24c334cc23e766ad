"""A Hub on this machine: real HTTP, the Hub's protocol, any folder of models, faults on demand.

The quickstart serves its demo engines from it, and the tests make it fail in every way a Hub can.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Literal

from deploy.demo.hub.answers import HubState, OriginServer
from deploy.demo.hub.faults import FaultQueue, LogEntry
from deploy.demo.hub.files import Repositories

_POLL_SECONDS = 0.05


class HubServer:
    """Serves ``root/<owner>/<name>/<file>`` at ``endpoint``, and again at ``elsewhere``.

    ``elsewhere`` is a second origin, for redirects to storage. A ``.gated`` file in a repository
    names the tokens it accepts. Use it as a context manager; it stops with all its connections.
    """

    def __init__(self, root: Path, *, port: int = 0, page_size: int = 1000) -> None:
        self._state = HubState(Repositories(root), page_size)
        self._servers = [self._start("hub", port), self._start("elsewhere", 0)]
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
            for server in self._servers
        ]

    @property
    def endpoint(self) -> str:
        return self._state.origins["hub"]

    @property
    def elsewhere(self) -> str:
        return self._state.origins["elsewhere"]

    @property
    def faults(self) -> FaultQueue:
        return self._state.faults

    @property
    def log(self) -> list[LogEntry]:
        """All requests so far, oldest first."""
        return list(self._state.log)

    def __enter__(self) -> HubServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._state.stopping.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.end_connections()
            server.server_close()

    def _start(self, origin: Literal["hub", "elsewhere"], port: int) -> OriginServer:
        server = OriginServer(port, origin, self._state)
        self._state.origins[origin] = f"http://127.0.0.1:{server.server_port}"
        return server
