"""Where SAM keeps what it owns: one data folder, and one short folder for the sockets.

Modes of folders SAM did not create are never changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.users import ServiceUser, blocked_at

MAX_SOCKET_FOLDER_BYTES = 90
"""The kernel holds 107 bytes of a socket's path; PostgreSQL's file name takes 14 and a slash."""

SHORT_ROOT = Path("/tmp")  # noqa: S108 - each use checks the owner; TMPDIR may be long or differ

_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
"""Characters that need no quoting in a connection string, a broker URL or PostgreSQL's lists."""

_PRIVATE = 0o700
_ENTER_ONLY = 0o711
"""Root's folders let the servers' user pass through but not look around."""


@dataclass(frozen=True, slots=True)
class Locations:
    """Every path the supervisor and the settings agree on."""

    data: Path
    run: Path

    @property
    def postgres_data(self) -> Path:
        return self.data / "postgres"

    @property
    def postgres_access(self) -> Path:
        return self.data / "postgres-access"

    @property
    def postgres_password(self) -> Path:
        """The file with the password of SAM's role."""
        return self.data / "postgres-password"

    @property
    def postgres_sockets(self) -> Path:
        return self.run / "pg"

    @property
    def redis_data(self) -> Path:
        return self.data / "redis"

    @property
    def redis_access(self) -> Path:
        return self.data / "redis-access"

    @property
    def redis_password(self) -> Path:
        """The file with the password of SAM's processes."""
        return self.data / "redis-password"

    @property
    def redis_admin_password(self) -> Path:
        """The file with the password of the supervisor and of operators."""
        return self.data / "redis-admin-password"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis" / "redis.sock"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def origin(self) -> Path:
        """The file with the address at which SAM was last started here, for commands beside it."""
        return self.data / "origin"

    @property
    def host_name(self) -> Path:
        """The file with the name under which this folder's model files were last served."""
        return self.data / "host-name"

    @property
    def lock(self) -> Path:
        return self.data / "up.lock"

    @property
    def programs(self) -> Path:
        return self.data / "programs"


def locate(data: Path) -> Locations:
    """Return the locations under an absolute data folder; touches nothing."""
    run = data / "run"
    sockets = os.fsencode(run / "redis")
    if len(sockets) >= MAX_SOCKET_FOLDER_BYTES or not _PLAIN.fullmatch(str(run)):
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
        run = SHORT_ROOT / f"sam-{os.geteuid()}-{digest}"
    return Locations(data, run)


def ensure_data_folder(data: Path) -> None:
    """Create the data folder when it is missing, and refuse one that belongs to somebody else."""
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        _ensure_own_folder(data, passage=True)
    except OSError as error:
        raise SupervisorError(
            f"The data folder {data} cannot be used: {error.strerror}. "
            "Choose a folder you can write to with SAM_DATA_DIR."
        ) from error


def prepare(locations: Locations, *, for_servers: bool, user: ServiceUser | None) -> None:
    """Create every folder the processes need, and those of the embedded servers on request.

    Raises SupervisorError when a folder belongs to another user, or when the servers' user
    cannot reach it.
    """
    ensure_data_folder(locations.data)
    _ensure_own_folder(locations.logs)
    _ensure_own_folder(locations.run, passage=True)
    if for_servers:
        _prepare_for_servers(locations, user)


def _prepare_for_servers(locations: Locations, user: ServiceUser | None) -> None:
    if user is not None and (wall := blocked_at(locations.data, user)):
        raise SupervisorError(
            f"The servers run as user '{user.name}', who may not enter {wall}. "
            "Choose a SAM_DATA_DIR outside of it, such as /var/lib/sam."
        )
    for folder in (locations.postgres_access, locations.redis_access, locations.programs):
        _ensure_own_folder(folder, passage=True)
    sockets = (locations.postgres_sockets, locations.redis_socket.parent)
    for folder in (*sockets, locations.redis_data):
        hand_over(folder, user)


def hand_over(folder: Path, user: ServiceUser | None) -> None:
    """Create ``folder`` with mode 0700 for ``user``, or for ourselves when None."""
    owner = os.geteuid() if user is None else user.uid
    try:
        folder.mkdir(mode=_PRIVATE)
    except FileExistsError:
        _require_owner(folder, owner)
        return
    folder.chmod(_PRIVATE)
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def _ensure_own_folder(folder: Path, *, passage: bool = False) -> None:
    """Create a folder of ours; with ``passage`` root's servers may pass through it."""
    try:
        folder.mkdir(mode=_PRIVATE)
        created = True
    except FileExistsError:
        _require_owner(folder, os.geteuid())
        created = not any(folder.iterdir())
    if created:
        folder.chmod(_ENTER_ONLY if passage and os.geteuid() == 0 else _PRIVATE)


def _require_owner(folder: Path, owner: int) -> None:
    # lstat: in a shared folder somebody may have put a link where ours should be.
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise SupervisorError(f"{folder} is not a folder; move it away or change SAM_DATA_DIR.")
    if facts.st_uid != owner:
        raise SupervisorError(
            f"{folder} belongs to user id {facts.st_uid}, not {owner}. "
            "Start SAM as that user, or choose another SAM_DATA_DIR."
        )
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SupervisorError(
            f"Other users may write to {folder}; run chmod go-w '{folder}' or change SAM_DATA_DIR."
        )
