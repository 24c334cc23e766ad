"""The embedded servers of one data folder, held by exactly one process."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from samproject.supervisor.locations import Locations, ensure_data_folder, prepare
from samproject.supervisor.lock import DataLock
from samproject.supervisor.postgres import EmbeddedPostgres
from samproject.supervisor.redis import EmbeddedRedis
from samproject.supervisor.servers import EmbeddedServer
from samproject.supervisor.users import service_user


class EmbeddedServices:
    """Context that holds the data folder's lock and, inside it, the running servers.

    Enter it in a thread that lives until the exit: the servers end with the thread.
    """

    def __init__(self, locations: Locations, *, postgres: bool = True, redis: bool = True) -> None:
        self._locations = locations
        self._wanted: list[type[EmbeddedServer]] = [
            *([EmbeddedPostgres] if postgres else []),
            *([EmbeddedRedis] if redis else []),
        ]
        self._stack = ExitStack()
        self.servers: list[EmbeddedServer] = []

    def __enter__(self) -> EmbeddedServices:
        """Start the wanted servers; raises SupervisorError and leaves nothing running."""
        locations = self._locations
        ensure_data_folder(locations.data)
        with ExitStack() as stack:
            stack.enter_context(DataLock(locations.lock))
            user = service_user(locations.postgres_data) if self._wanted else None
            prepare(locations, for_servers=bool(self._wanted), user=user)
            for kind in self._wanted:
                server = kind(locations)
                stack.callback(server.stop)
                server.start()
                self.servers.append(server)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.servers.clear()
        self._stack.close()
