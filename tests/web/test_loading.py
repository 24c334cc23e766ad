"""What SAM loads is there before anybody asks, and nobody looks for garbage while it is loaded."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from engines.long_lived import loading, spare_collector

PROJECT = Path(__file__).resolve().parents[2]
WATCH = """
import gc, json, sys

looks = 0
def count(phase, info):
    global looks
    looks += phase == "start"
import samproject.celery
from samproject.cli import local
from samproject.cli.errors import CommandError
from samproject.cli.trying.loading import lend
gc.callbacks.append(count)
"""
TELL = """
gc.callbacks.remove(count)
from django.apps import apps
from django.conf import settings
routes = settings.ROOT_URLCONF in sys.modules
print(json.dumps([looks, apps.ready, routes, gc.isenabled(), gc.get_freeze_count()]))
"""
BEGINNINGS = {
    "web": "import samproject.asgi",
    "worker": "samproject.celery.app.loader.import_default_modules()",
    "command": """
try:
    local.connect(None)
except CommandError as refusal:
    assert "The database does not answer" in str(refusal), refusal
""",
    "command of this machine": """
with lend("options"):
    pass
""",
}
LOOKS = 20
"""For what is loaded before and after; otherwise there are more than four hundred."""

LOADED = 100_000
"""Objects, and some more."""


class Ring:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("name", BEGINNINGS)
def test_sam_is_loaded_without_a_look_for_garbage(name: str) -> None:
    program = WATCH + BEGINNINGS[name] + TELL
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": "postgresql://sam@127.0.0.1:9/sam"},
        capture_output=True,
        text=True,
        check=True,
    )

    looks, is_ready, has_routes, looks_again, spared = json.loads(done.stdout)
    assert (is_ready, looks_again) == (True, True)
    assert looks < LOOKS
    assert spared > LOADED
    # The first visitor of a server does not wait for them.
    assert has_routes == (name == "web")


def test_who_looked_for_no_garbage_before_does_not_begin() -> None:
    gc.disable()
    try:
        with loading():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_could_not_be_loaded_leaves_the_collector_on() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError("no such module")

    assert gc.isenabled()


def test_what_became_garbage_while_sam_was_loaded_goes_when_a_server_is_ready() -> None:
    with loading():
        left = weakref.ref(Ring())
    gc.collect()
    assert left() is not None

    spare_collector()

    assert left() is None
