"""SAM's own Redis (Valkey): one unix socket, no TCP, nothing on the disk but who may log in."""

from __future__ import annotations

import hashlib
import os
import signal

from redis import Redis
from redis.exceptions import RedisError

from samproject.generated_secrets import generated_secret
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.processes import Program
from samproject.supervisor.programs import redis_program
from samproject.supervisor.servers import EmbeddedServer, end_left_over, refuse_shared_socket

MAX_SOCKET_PATH_BYTES = 107
"""Redis cuts a longer path without a word."""

START_SECONDS = 120
"""A busy machine takes its time; a process that ends is noticed at once."""

TAKE_OVER_SECONDS = 30
ADMIN = "admin"
_PROGRAMS = ("valkey-server", "redis-server")
"""Today's, and the one that an earlier SAM may have left."""
_WISHES = (signal.SIGTERM, signal.SIGKILL)
_EVERYTHING = "on ~* &* +@all"
_OF_SAM = (
    f"{_EVERYTHING} -@admin -@dangerous -@scripting +info +evalsha +script|load +script|exists"
)
"""No administration, nothing that empties or copies the server, and of scripts what SAM, Celery and
redis-py run by their digest."""


class EmbeddedRedis(EmbeddedServer):
    """One server that speaks Redis' protocol, in the data folder."""

    name = "redis"

    def start(self) -> None:
        """End what an earlier SAM left, start and wait for an answer.

        Raises SupervisorError when another Redis listens on the socket (a second one would
        silently take it away), or with the server's last words when it does not come up.
        """
        self._check_path()
        for program in _PROGRAMS:
            end_left_over(self._locations.redis_data, program, _WISHES, TAKE_OVER_SECONDS)
        refuse_shared_socket(self._locations.redis_socket)
        self._remove_files()
        self._write_users()
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

    def _write_users(self) -> None:
        """The user without a name is SAM's, because Flower gives a password only."""
        path = self._locations.redis_access / "users.acl"
        sam = generated_secret(self._locations.redis_password)
        admin = generated_secret(self._locations.redis_admin_password)
        path.write_text(
            f"user default {_OF_SAM} #{_digest(sam)}\nuser {ADMIN} {_EVERYTHING} #{_digest(admin)}\n"
        )
        # The server's user reads it; a digest of a long random secret tells nothing.
        path.chmod(0o644)

    def _program(self) -> Program:
        settings = {
            "port": "0",
            "unixsocket": str(self._locations.redis_socket),
            "unixsocketperm": "700",
            "aclfile": str(self._locations.redis_access / "users.acl"),
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
        client = Redis(
            unix_socket_path=str(self._locations.redis_socket),
            username=ADMIN,
            password=generated_secret(self._locations.redis_admin_password),
            socket_timeout=5,
        )
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
