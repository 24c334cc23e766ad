"""A Hub on this machine: real HTTP, the Hub's protocol, any folder of models, faults on demand.

The quickstart serves its demo engines from it, and the tests make it fail in every way a Hub can.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

from deploy.demo.hub_answers import HubState, OriginServer
from deploy.demo.hub_faults import FaultQueue, LogEntry
from deploy.demo.hub_files import Repositories

_POLL_SECONDS = 0.05


class HubServer:
    """Serves ``root/<owner>/<name>/<file>`` at ``endpoint``, and again at ``elsewhere``.

    ``elsewhere`` is a second origin, for redirects to storage. A ``.gated`` file in a repository
    names the tokens it accepts. Use it as a context manager; it stops with all its connections.
    """

    def __init__(self, root: Path, *, port: int = 0) -> None:
        self._state = HubState(Repositories(root))
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


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set."""
    stopped = threading.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in signals]
    yield stopped
    for number, handler in zip(signals, before, strict=True):
        signal.signal(number, handler)


def main() -> None:
    """Serve a folder until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve a folder of models as a Hub.")
    parser.add_argument(
        "--root", type=Path, required=True, help="folder with <owner>/<name>/<file>"
    )
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    arguments = parser.parse_args()
    with _until_stopped() as stopped, HubServer(arguments.root, port=arguments.port) as hub:
        print(hub.endpoint, flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
