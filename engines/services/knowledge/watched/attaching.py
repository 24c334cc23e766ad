"""Which folders of hosts bases are kept in step with: who sees them, attaching, letting go, looking now."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath

from django.db import transaction
from django.db.models import QuerySet

from engines.db.clock import ClockTimestamp
from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.folders.local import say_unfit_name
from engines.models import Host, WatchedFolder
from engines.models.watched import LEAST_SECONDS, MOST_SECONDS
from engines.services.hosts import find_host, refuse_leaving_host
from engines.services.knowledge.access import bases_visible_to, may_write
from engines.services.knowledge.writing import lock_base
from engines.services.people.roles import AnyUser, is_administrator

MOST_FOLDERS = 50
"""Of one base."""
MAX_PATH_CHARS = 1000
MAX_NAME_CHARS = 255
ADMINISTRATORS_ONLY = "Only an administrator may attach a folder of a host to a base."
WRITERS_ONLY = "Only who may change the base, or an administrator, may do this with its folder."


def folders_visible_to(user: AnyUser) -> QuerySet[WatchedFolder]:
    """Return the folders of the bases that somebody may read; an administrator has all."""
    rows = WatchedFolder.objects.select_related("base__group", "host")
    if is_administrator(user):
        return rows
    return rows.filter(base__in=bases_visible_to(user).values("pk"))


def may_direct(user: AnyUser, folder: WatchedFolder) -> bool:
    """Whether somebody who sees a folder may have it looked at, and let it go."""
    return is_administrator(user) or may_write(user, folder.base)


def attach_folder(
    base_id: int, host_name: str, path: str, *, every_seconds: int, keep_deleted: bool = False
) -> WatchedFolder:
    """Keep a base in step with a folder of a host from now on; only administrators ask for it.

    InvalidRequestError for what is no path or not allowed there, ConflictError when the base has a folder of
    that name, and for a host that takes no new work, NotFoundError.
    """
    if not LEAST_SECONDS <= every_seconds <= MOST_SECONDS:
        raise InvalidRequestError(
            f"A folder is looked at every {LEAST_SECONDS} to {MOST_SECONDS} seconds, not {every_seconds}."
        )
    host = find_host(host_name)
    with transaction.atomic():
        base = lock_base(base_id)
        whole = validate_folder(base_id, host, path)
        return WatchedFolder.objects.create(
            base=base,
            host=host,
            path=str(whole),
            name=whole.name,
            every_seconds=every_seconds,
            keep_deleted=keep_deleted,
            next_look_at=ClockTimestamp(),
        )


def validate_folder(base_id: int, host: Host, path: str) -> PurePosixPath:
    """Return the path of a folder that may be attached. Raises as ``attach_folder``."""
    whole = _require_allowed(host, path)
    refuse_leaving_host(host, way_out="choose another host that sees the folder.")
    there = WatchedFolder.objects.filter(base=base_id)
    if there.count() >= MOST_FOLDERS:
        raise ConflictError(f"The base has {MOST_FOLDERS} folders already; let one go first.")
    if there.filter(name=whole.name).exists():
        raise ConflictError(
            f"The base is kept in step with a folder {whole.name!r:.80} already, and their documents would "
            "mix; let that one go first."
        )
    return whole


def detach_folder(folder_id: int) -> None:
    """Look at a folder no more; its documents stay. NotFoundError when it was let go before."""
    _removed, by_table = WatchedFolder.objects.filter(pk=folder_id).delete()
    if not by_table.get("engines.WatchedFolder"):
        raise _unknown(folder_id)


def look_now(folder_id: int) -> WatchedFolder:
    """Have a folder looked at as soon as its host can; NotFoundError when there is none."""
    found = WatchedFolder.objects.filter(pk=folder_id)
    if not found.update(next_look_at=ClockTimestamp(), called_at=None):
        raise _unknown(folder_id)
    return found.select_related("base__group", "host").get()


def _require_allowed(host: Host, path: str) -> PurePosixPath:
    whole = PurePosixPath(path)
    is_whole = (
        whole.is_absolute() and posixpath.normpath(path) == str(whole) and len(whole.parts) > 1
    )
    if not is_whole or len(path) > MAX_PATH_CHARS or len(whole.name) > MAX_NAME_CHARS:
        raise InvalidRequestError(
            f"{path!r:.80} is no whole path of a folder, such as /srv/handbook."
        )
    if say_unfit_name(path) or "\0" in path:
        raise InvalidRequestError(f"{path!r:.80} has characters that no document's path may have.")
    if not host.folder_roots:
        raise InvalidRequestError(
            f"The host {host.name} lets no folder be watched; whoever runs it allows some with "
            "SAM_WATCHED_FOLDERS and starts its worker again."
        )
    if not any(whole.is_relative_to(root) for root in host.folder_roots):
        allowed = ", ".join(host.folder_roots)
        raise InvalidRequestError(
            f"The host {host.name} does not let {path!r:.80} be watched, only what is in: {allowed}."
        )
    return whole


def _unknown(folder_id: int) -> NotFoundError:
    return NotFoundError(f"There is no watched folder {folder_id}; list them to see their numbers.")
