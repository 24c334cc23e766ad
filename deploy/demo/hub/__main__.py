"""Serves a folder of models as a Hub: ``python -m deploy.demo.hub --root FOLDER``."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.demo.hub.server import HubServer


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


main()
