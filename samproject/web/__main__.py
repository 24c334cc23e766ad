"""The web process: ``python -m samproject.web --host 127.0.0.1 --port 8000``."""

from __future__ import annotations

from argparse import ArgumentParser

import uvicorn

from samproject.supervisor.roster import STREAM_SECONDS
from samproject.web.access_log import LOGGING
from samproject.web.patience import PatientProtocol


def main() -> None:
    """Serve until a signal says stop."""
    parser = ArgumentParser(prog="samproject.web", description="Serve SAM's pages and APIs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    uvicorn.run(
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


if __name__ == "__main__":
    main()
