"""SAM's own PostgreSQL: no TCP, one private socket folder, a password that only SAM's user reads.

What can be found after a crash (a server left behind, a damaged or stale pid file) is put right
at the next start; the caller holds the data folder's lock, so nobody else does the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import psycopg

from samproject.generated_secrets import generated_secret
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.locations import hand_over
from samproject.supervisor.processes import Program, run_to_end
from samproject.supervisor.programs import postgres_programs
from samproject.supervisor.roles import NO_OWNER, OWNER, ROLE, arrange, rename_owner
from samproject.supervisor.servers import (
    POLL_SECONDS,
    EmbeddedServer,
    end_left_over,
    refuse_shared_socket,
)
from samproject.supervisor.users import own_name

PORT = 5432
"""Only a part of the socket's file name: nothing listens on TCP."""

MAJOR_VERSION = "18"
MAX_CONNECTIONS = 300
START_SECONDS = 300
"""Recovery after a crash reads the write-ahead log: 514 MB took 2.4 s on a small machine."""

TAKE_OVER_SECONDS = 60
_SILENT_LOG = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""What people wrote stands in statements, their values and the details of errors: who sent a statement
is told about it, the log is not."""
RELOAD_SECONDS = 60
_WISHES = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
"""PostgreSQL's fast and immediate shutdown, then the end."""
_ACCESS = f"local all {OWNER} peer map=sam\nlocal all {ROLE} scram-sha-256\n"
"""Only the supervisor's operating-system user becomes the owner; SAM's role has a password."""
_ACCESS_BEFORE = f"local all {OWNER},{ROLE} peer map=sam\n"
"""For a data folder that does not have the owner yet, until it is given one."""


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server in the data folder."""

    name = "postgresql"

    def start(self) -> None:
        """Create the cluster if needed, end what an earlier SAM left, start and wait.

        Raises SupervisorError with the server's last words when it does not come up.
        """
        programs = postgres_programs(self._locations.programs, self._user)
        data = self._locations.postgres_data
        self._create_cluster(programs)
        self._check_version()
        end_left_over(data, "postgres", _WISHES, TAKE_OVER_SECONDS)
        self._remove_claims()
        self._write_access_files(_ACCESS)
        self._launch(self._program(programs), self._answers, START_SECONDS)
        self._arrange_roles()

    def _create_cluster(self, programs: Path) -> None:
        data = self._locations.postgres_data
        if data.exists():
            return
        # A cluster appears under its name only when complete; a draft is what a crash left.
        draft = data.with_name(f"{data.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        hand_over(draft, self._user)
        run_to_end(self._initdb(programs, draft))
        draft.replace(data)

    def _initdb(self, programs: Path, draft: Path) -> Program:
        # Its own access file is never read: ours is, see _write_access_files.
        argv = (str(programs / "initdb"), "-D", str(draft), "-U", OWNER, "-A", "reject")
        text = ("-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        return Program(
            name="initdb",
            argv=(*argv, *text, "--no-instructions"),
            log=self._locations.logs / "initdb.log",
            environment=_bare_environment(),
            user=self._user,
            stop_signal=signal.SIGKILL,
        )

    def _check_version(self) -> None:
        path = self._locations.postgres_data / "PG_VERSION"
        version = path.read_text().strip() if path.exists() else "nothing"
        if version != MAJOR_VERSION:
            raise SupervisorError(
                f"{path.parent} holds data of PostgreSQL {version}, this SAM runs {MAJOR_VERSION}. "
                "Move the folder away, or dump it with the old version and load it into a new one."
            )

    def _remove_claims(self) -> None:
        """Remove what a killed server left; its number may by now be anybody's process."""
        socket_file = self._locations.postgres_sockets / f".s.PGSQL.{PORT}"
        refuse_shared_socket(socket_file)
        for claim in (
            self._locations.postgres_data / "postmaster.pid",
            socket_file.with_name(f"{socket_file.name}.lock"),
            socket_file,
        ):
            claim.unlink(missing_ok=True)

    def _write_access_files(self, access: str) -> None:
        # In a folder of ours: root must not write where the servers' user could plant a link.
        folder = self._locations.postgres_access
        for name, text in (
            ("pg_hba.conf", access),
            ("pg_ident.conf", "".join(f'sam "{own_name()}" {name}\n' for name in (OWNER, ROLE))),
        ):
            path = folder / name
            path.write_text(text)
            path.chmod(0o644)

    def _program(self, programs: Path) -> Program:
        data, access = self._locations.postgres_data, self._locations.postgres_access
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": _quoted(self._locations.postgres_sockets),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "max_connections": str(MAX_CONNECTIONS),
            **_SILENT_LOG,
            "hba_file": str(access / "pg_hba.conf"),
            "ident_file": str(access / "pg_ident.conf"),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name=self.name,
            argv=(str(programs / "postgres"), "-D", str(data), *options),
            log=self._locations.logs / "postgresql.log",
            environment=_bare_environment(),
            user=self._user,
            # SIGINT is PostgreSQL's "fast" shutdown; SIGTERM would wait for clients to leave.
            stop_signal=signal.SIGINT,
            stop_seconds=60.0,
        )

    def _answers(self) -> bool:
        try:
            self._connect(OWNER, "postgres").close()
        except psycopg.OperationalError as error:
            return NO_OWNER in str(error)
        return True

    def _arrange_roles(self) -> None:
        password = generated_secret(self._locations.postgres_password)
        if not self._has_owner():
            self._write_access_files(_ACCESS_BEFORE)
            self._read_access_files(ROLE)
            rename_owner(self._connect)
            self._write_access_files(_ACCESS)
            self._read_access_files(OWNER)
        arrange(self._connect, password)

    def _has_owner(self) -> bool:
        try:
            self._connect(OWNER, "postgres").close()
        except psycopg.OperationalError as error:
            if NO_OWNER in str(error):
                return False
            raise
        return True

    def _read_access_files(self, role: str) -> None:
        """Have the server read them, and wait until it lets ``role`` in by them."""
        deadline = time.monotonic() + RELOAD_SECONDS
        os.kill(self.pid, signal.SIGHUP)
        while True:
            try:
                self._connect(role, "postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
            threading.Event().wait(POLL_SECONDS)

    def _connect(self, role: str, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self._locations.postgres_sockets),
            port=PORT,
            user=role,
            dbname=database,
            connect_timeout=10,
            autocommit=True,
        )


def _quoted(path: Path) -> str:
    doubled = str(path).replace('"', '""')
    return f'"{doubled}"'


def _bare_environment() -> dict[str, str]:
    """PG* variables of the user's shell would change where the server listens and what it reads."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
