"""The web process: ``python -m samproject.web --host 127.0.0.1 --port 8000``."""

from __future__ import annotations

import importlib
import socket
from argparse import ArgumentParser

import uvicorn

from engines.long_lived import spare_collector
from samproject.supervisor.roster import STREAM_SECONDS
from samproject.web.access_log import LOGGING
from samproject.web.patience import PatientProtocol


class WebServer(uvicorn.Server):
    """uvicorn that tells the pages that listen to come back later, before it waits for answers to end."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; the application is loaded by now."""
        await super().startup(sockets)
        spare_collector()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, end what only waits, and give answers under way their time."""
        # Django is set up by the application, which is loaded by now.
        hub = importlib.import_module("migrations_app.live.hub")
        hub.live_hub().close()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until a signal says stop."""
    parser = ArgumentParser(prog="samproject.web", description="Serve SAM's pages and APIs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    config = uvicorn.Config(
        "samproject.asgi:application",
        host=options.host,
        port=options.port,
        lifespan="off",
        http=PatientProtocol,
        log_config=LOGGING,
        server_header=False,
        timeout_graceful_shutdown=STREAM_SECONDS,
        # Django reads the proxies' headers by its settings; here any program of this machine could
        # say from where and how it comes.
        proxy_headers=False,
    )
    WebServer(config).run()


if __name__ == "__main__":
    main()
