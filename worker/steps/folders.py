"""Folders of this host that bases are kept in step with: one is looked at at a time, a turn each."""

from __future__ import annotations

import time

from django.conf import settings
from django.db import close_old_connections

from engines.db.keys import require_row_id
from engines.models import WatchedFolder
from engines.services.knowledge.watched.looking import Here, look_at
from migrations_app.serving.answers import embed_for_writer
from migrations_app.wakeups import publish_look
from worker.host.resources import scratch_folder
from worker.process.shutdown import is_draining
from worker.steps.embedding import do_alone, do_in_turn
from worker.steps.places import LongWork

TURN_SECONDS = 30.0
"""After which other work of this host, and other folders, have their turn."""


def look_at_folder(folder_id: object) -> str:
    """Look at a folder for a while; returns a sentence. Plans have all other threads of this process."""
    key = require_row_id(folder_id)
    return do_alone("folders", lambda: _look(key))


def _look(folder_id: int) -> str:
    folder = WatchedFolder.objects.select_related("base", "host").filter(pk=folder_id).first()
    if folder is None:
        return look_at(folder_id, _here())
    work = LongWork("folder", folder_id, folder.base.owner_id, lambda: publish_look(folder))
    return do_in_turn(work, lambda: look_at(folder_id, _here()))


def _here() -> Here:
    ends_at = time.monotonic() + TURN_SECONDS

    def goes_on() -> bool:
        close_old_connections()
        return not is_draining() and time.monotonic() < ends_at

    return Here(
        roots=settings.SAM_WATCHED_FOLDERS,
        forbidden=settings.SAM_DATA_DIR,
        scratch=scratch_folder(),
        goes_on=goes_on,
        embed=embed_for_writer,
    )
