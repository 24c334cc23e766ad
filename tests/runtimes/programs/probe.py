"""What a hostile program would try from its box; it says what was refused, and ends."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable


def _connect() -> None:
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(sys.argv[1])


ATTEMPTS: dict[str, Callable[[], object]] = {
    "internet": lambda: socket.socket(socket.AF_INET),
    "datagram": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "pair": socket.socketpair,
    "connect": _connect,
    "fork": os.fork,
    "secret": lambda: open(sys.argv[2]),  # noqa: SIM115, PTH123 - never opened
    "program": lambda: os.execv("/bin/ls", ["ls"]),  # noqa: S606 - never started
    "write": lambda: open("/tmp/from-the-box", "w"),  # noqa: SIM115, PTH123 - never opened
    "allowed": lambda: socket.socket(socket.AF_UNIX).bind("own.sock"),
}


def main() -> None:
    done = []
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
            done.append(name)
        except OSError:
            continue
    sys.exit(f"done: {' '.join(done)}")


if __name__ == "__main__":
    main()
