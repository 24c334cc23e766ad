"""A worker that dies while it looks at a folder: its transaction is gone with it, and the next look goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from engines.models import Chunk, WatchedFolder
from engines.services.knowledge.watched.attaching import look_now
from engines.services.knowledge.watched.looking import NOBODY, look_at
from tests.knowledge.watched.test_looking import Place, host, place  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)

PROJECT = Path(__file__).resolve().parents[3]
LOOK_AND_DIE = """
import django, os, signal, sys
django.setup()
from engines.models import Document
from engines.services.knowledge import writing
from worker.tasks import look_at_watched_folder

insert = writing._insert_content

def insert_and_die(document, content, seq):
    insert(document, content, seq)
    if Document.objects.filter(base=document.base_id).count() == 2:
        os.kill(os.getpid(), signal.SIGKILL)

writing._insert_content = insert_and_die
look_at_watched_folder(int(sys.argv[1]))
"""


def test_a_worker_that_is_killed_amid_a_document_leaves_nothing_half(
    place: Place,  # noqa: F811
) -> None:
    """Killed when the second document and its passages are written, and not yet committed."""
    database = connection.settings_dict
    where = quote(str(database["HOST"]), safe="")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(PROJECT),
        "DATABASE_URL": f"postgresql://{database['USER']}:{database['PASSWORD']}@{where}/{database['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "SAM_WATCHED_FOLDERS": str(place.folder.parent),
    }
    command = [sys.executable, "-c", LOOK_AND_DIE, str(place.row.pk)]
    look_now(place.row.pk)

    killed = subprocess.run(
        command, cwd=PROJECT, env=environment, check=False, capture_output=True, text=True
    )

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (path,) = place.texts()
    assert set(Chunk.objects.values_list("document__path", flat=True)) == {path}
    assert look_at(place.row.pk, place.here) == NOBODY
    WatchedFolder.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))

    place.look()

    assert set(place.texts()) == {"notes/one.md", "notes/deep/two.txt"}
    assert Chunk.objects.count() == 2
    assert (place.row.looks, place.row.is_under_way, place.row.claim) == (1, False, "")
    assert place.look().endswith("2 unchanged, 0 updated, 0 new.")
