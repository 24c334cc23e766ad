"""This machine's row: its hardware, what its workers can do, and its heartbeat."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from django.conf import settings
from django.db import transaction

from engines import machine
from engines.db.clock import ClockTimestamp
from engines.models import Host, HostStatus
from engines.services.hosts import admit_host, join_host, lock_host, move_host, note_sample
from migrations_app.queues import live_queue, work_queue
from migrations_app.serving.protocol import LIVE_KINDS, TASK_PREFIX
from migrations_app.steps import HANDLERS
from worker.process.database import retry_database

_admitted = threading.Event()
"""Set once this process was admitted; a row that is removed later is created again without a token."""


def announcements(queues: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what a worker of these queues can do: kinds of steps, and kinds of live requests."""
    names = set(queues)
    steps = sorted(HANDLERS) if work_queue(settings.SAM_HOST_NAME) in names else []
    live = [TASK_PREFIX + kind for kind in LIVE_KINDS]
    return steps, live if live_queue(settings.SAM_HOST_NAME) in names else []


def register(queues: Iterable[str]) -> Host | None:
    """Write this host's row for a worker of these queues; None for one of the control plane.

    Called with every heartbeat, so a row that was removed or restored from a backup is repaired. An
    operator's ``draining`` stays; joining and lost become active. HostRefusedError for a machine
    that nobody admitted, or that was retired.
    """
    steps, live = announcements(queues)
    if not (steps or live):
        return None
    host = retry_database(lambda: _register(steps, live))
    _admitted.set()
    return host


def _register(steps: list[str], live: list[str]) -> Host:
    name = settings.SAM_HOST_NAME
    with transaction.atomic():
        if _admitted.is_set():
            admit_host(name, who=name, why="Its row was gone while its workers ran.")
        else:
            join_host(name, settings.SAM_JOIN_TOKEN)
        host = lock_host(name)
        # A host may have two workers, one for steps and one for live requests: each writes its own half.
        known = [kind for kind in host.announces if kind.startswith(TASK_PREFIX)]
        other = [kind for kind in host.announces if not kind.startswith(TASK_PREFIX)]
        host.announces = [*(steps or other), *(live or known)]
        if steps:
            host.folder_roots = [str(folder) for folder in settings.SAM_WATCHED_FOLDERS]
        _measure(host)
        host.save()
        if host.status in (HostStatus.JOINING, HostStatus.LOST):
            move_host(host, HostStatus.ACTIVE, who=name, why="Its workers are ready.")
        # By the database's clock: hosts' own may differ by minutes.
        Host.objects.filter(pk=host.pk).update(last_seen=ClockTimestamp())
        note_sample(host, load=machine.load(), memory_used_bytes=machine.memory_used_bytes())
    return host


def _measure(host: Host) -> None:
    host.cores = machine.cores()
    host.memory_bytes = machine.memory_bytes()
    gpus = machine.gpus()
    host.gpus = [gpu.name for gpu in gpus]
    host.vram_bytes = sum(gpu.vram_bytes for gpu in gpus)
    host.disk_total_bytes, host.disk_free_bytes = machine.disk_bytes(settings.SAM_MODELS_DIR)
