"""Who the embedded servers run as: PostgreSQL refuses root, so root lends them another user."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from samproject.supervisor.errors import SupervisorError

UNPRIVILEGED_NAMES = ("sam", "postgres", "nobody")
"""Tried in this order; an administrator who wants a user of SAM's own creates ``sam``."""


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """The unprivileged user that owns the servers' folders and processes."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Further groups of its processes."""


DEVICE_GROUPS = ("render", "video")
"""Who may use a GPU, on machines where not everybody may."""


def own_name() -> str:
    """Return this process's user name; PostgreSQL knows its users by name, so one is needed."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise SupervisorError(
            f"User id {os.geteuid()} has no entry in /etc/passwd, which PostgreSQL needs. "
            "Add one, or set DATABASE_URL and REDIS_URL."
        ) from error


def service_user(existing_data: Path) -> ServiceUser | None:
    """Return whom the servers run as, or None for "as ourselves" when we are not root.

    Existing data keeps its owner, so that a user added later does not lock the data away.
    """
    if os.geteuid() != 0:
        return None
    if existing_data.exists() and (uid := existing_data.stat().st_uid) != 0:
        return _from_entry(pwd.getpwuid(uid))
    for name in UNPRIVILEGED_NAMES:
        try:
            return _from_entry(pwd.getpwnam(name))
        except KeyError:
            continue
    raise SupervisorError(
        "PostgreSQL does not run as root and this machine has no unprivileged user for it. "
        "Create one with 'useradd --system sam', or start SAM as another user."
    )


def blocked_at(path: Path, user: ServiceUser) -> Path | None:
    """Return the first folder on the way to ``path`` that ``user`` may not enter, or None."""
    for folder in (*reversed(path.parents), path):
        if not _may_enter(folder, user):
            return folder
    return None


def _may_enter(path: Path, user: ServiceUser) -> bool:
    facts = path.stat()
    if facts.st_uid == user.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == user.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)


def _from_entry(entry: pwd.struct_passwd) -> ServiceUser:
    return ServiceUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
