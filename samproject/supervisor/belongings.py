"""What SAM's processes own on this machine, and as whom they run when root starts them.

Root's supervisor lends its processes the user that the servers have. They then own what they write,
and the supervisor keeps what they must not change.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engines.files.private import PRIVATE_FOLDER, private_folder
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.users import DEVICE_GROUPS, ServiceUser, blocked_at, service_user

FIRST_FREE_PORT = 1024
"""Below it only root may listen."""
OPEN_TO_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Belongings:
    """Absolute paths."""

    data: Path
    folders: tuple[Path, ...]
    """Folders that SAM's processes write to."""
    secrets: tuple[Path, ...]
    """Files that they read and nobody else may."""
    needed: tuple[Path, ...]
    """What they must be able to reach: interpreter, code, folders of other programs they read."""
    ports: tuple[int, ...] = ()
    """What they listen on; 0 for nothing."""


def process_user(postgres_data: Path, belongings: Belongings) -> ServiceUser | None:
    """Return whom root's processes run as; None for "as ourselves", also where nobody else could.

    ``reasons_to_stay_root`` says why root itself has to run them then.
    """
    if os.geteuid() != 0 or reasons_to_stay_root(postgres_data, belongings):
        return None
    user = service_user(postgres_data)
    return None if user is None else replace(user, groups=tuple(_device_groups()))


def reasons_to_stay_root(postgres_data: Path, belongings: Belongings) -> list[str]:
    """Return why no other user could run SAM's processes, a sentence each; empty for who is not root."""
    try:
        user = service_user(postgres_data)
    except SupervisorError as error:
        return [str(error)]
    if user is None:
        return []
    walls = {blocked_at(path, user) for path in belongings.needed if path.exists()} - {None}
    foreign = [
        folder
        for folder in belongings.folders
        if folder.exists()
        and not folder.is_relative_to(belongings.data)
        and not _owns(folder, user)
    ]
    low = [port for port in belongings.ports if 0 < port < FIRST_FREE_PORT]
    return [
        *(
            f"User {user.name} may not enter {wall}; move SAM out of it."
            for wall in sorted(map(str, walls))
        ),
        *(
            f"{folder} belongs to another user; run chown -R {user.name} '{folder}'."
            for folder in foreign
        ),
        *(f"Only root may listen on port {port}; take one above 1023." for port in low),
    ]


def take_possession(belongings: Belongings, user: ServiceUser | None) -> None:
    """Create the folders, close them to others, and give them to the user of SAM's processes.

    A folder is walked only when it changes its owner, and that is set last: what was interrupted is
    done again. Folders elsewhere than in the data folder are made when missing and else left alone.
    """
    for folder in belongings.folders:
        if not folder.is_relative_to(belongings.data):
            private_folder(folder)
            continue
        private_folder(folder)
        _close(folder, PRIVATE_FOLDER)
        if user is not None and folder.stat().st_uid != user.uid:
            _give_all(folder, user)
    for secret in belongings.secrets:
        if secret.exists() and user is not None:
            os.chown(secret, user.uid, user.gid, follow_symlinks=False)


def environment_for(user: ServiceUser, home: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what changes in the environment of processes that root starts as ``user``."""
    return {"HOME": str(home), "USER": user.name, "LOGNAME": user.name} | dict(
        _contents_of(_SECRETS, inherited)
    )


_SECRETS = (
    *("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SAM_BACKUP_KEY", "SAM_BACKUP_OLD_KEYS"),
    *("HF_TOKEN", "SAM_ENGINE_KEYS", "SAM_JOIN_TOKEN"),
)


def _contents_of(names: Iterable[str], inherited: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A file of root's that holds a secret is read for who may not read it."""
    for name in names:
        file = inherited.get(f"{name}_FILE", "").strip()
        if file:
            yield name, Path(file).read_text().strip()
            yield f"{name}_FILE", ""


def _give_all(folder: Path, user: ServiceUser) -> None:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            facts = path.lstat()
            # A file with another name elsewhere is shared with a program that may own it.
            if stat.S_ISDIR(facts.st_mode) or facts.st_nlink == 1:
                os.chown(path, user.uid, user.gid, follow_symlinks=False)
    os.chown(folder, user.uid, user.gid, follow_symlinks=False)


def _close(folder: Path, mode: int) -> None:
    """Take others' rights to a folder of SAM's own; one that is a link stays what it is."""
    facts = folder.lstat()
    if stat.S_ISDIR(facts.st_mode) and facts.st_mode & OPEN_TO_OTHERS:
        folder.chmod(mode)


def _owns(folder: Path, user: ServiceUser) -> bool:
    return folder.stat().st_uid == user.uid


def _device_groups() -> Iterator[int]:
    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    return (known[name] for name in DEVICE_GROUPS if name in known)
