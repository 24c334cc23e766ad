"""SAM's own Redis: one unix socket, no TCP, nothing on the disk."""

from __future__ import annotations

import os
import signal

from redis import Redis
from redis.exceptions import RedisError

from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.processes import Program
from samproject.supervisor.programs import redis_program
from samproject.supervisor.servers import EmbeddedServer, end_left_over, refuse_shared_socket

MAX_SOCKET_PATH_BYTES = 107
"""Redis cuts a longer path without a word."""

START_SECONDS = 120
"""A busy machine takes its time; a process that ends is noticed at once."""

TAKE_OVER_SECONDS = 30
_WISHES = (signal.SIGTERM, signal.SIGKILL)


class EmbeddedRedis(EmbeddedServer):
    """One Redis server in the data folder."""

    name = "redis"

    def start(self) -> None:
        """End what an earlier SAM left, start and wait for an answer.

        Raises SupervisorError when another Redis listens on the socket (a second one would
        silently take it away), or with the server's last words when it does not come up.
        """
        self._check_path()
        end_left_over(self._locations.redis_data, "redis-server", _WISHES, TAKE_OVER_SECONDS)
        refuse_shared_socket(self._locations.redis_socket)
        self._remove_files()
        self._launch(self._program(), self._answers, START_SECONDS)

    def _remove_files(self) -> None:
        """Remove what a SAM left that still wrote them: they hold what people asked."""
        for pattern in ("*.aof", "*.rdb", "appendonlydir/*"):
            for path in self._locations.redis_data.glob(pattern):
                path.unlink()

    def _check_path(self) -> None:
        path = self._locations.redis_socket
        if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            raise SupervisorError(f"The path of Redis' socket is too long: {path}.")

    def _program(self) -> Program:
        settings = {
            "port": "0",
            "unixsocket": str(self._locations.redis_socket),
            "unixsocketperm": "700",
            "dir": str(self._locations.redis_data),
            # Questions and answers pass through it: what is on no disk is erased with the key. Nothing
            # needs to be found again: plans are in PostgreSQL, and lost wake-ups are sent again.
            "appendonly": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        server = redis_program(self._locations.programs, self._user)
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Program(
            name=self.name,
            argv=(str(server), *options),
            log=self._locations.logs / "redis.log",
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=self._user,
        )

    def _answers(self) -> bool:
        client = Redis(unix_socket_path=str(self._locations.redis_socket), socket_timeout=5)
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()
