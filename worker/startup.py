"""What a worker does when it is ready and when it is told to end, by Celery's signals."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import signals
from celery.exceptions import WorkerShutdown
from django.conf import settings

from engines.long_lived import spare_collector
from engines.models import Host
from engines.services.hosts import HEARTBEAT_SECONDS, HostRefusedError
from migrations_app.plans.transitions import call_ready
from migrations_app.queues import CONTROL_QUEUE, live_queue, work_queue
from worker.host.engine_pool import engine_pool
from worker.host.memory import KEEP_WARM_SECONDS, host_memory
from worker.host.registration import register
from worker.live.requests import PRESENCE_SECONDS, renew_presence
from worker.process.database import retry_database
from worker.process.periodic import PeriodicThread
from worker.process.shutdown import begin_drain
from worker.steps.places import long_places
from worker.sweeper import remove_leftovers, sweep

logger = logging.getLogger(__name__)

SLOW_SWEEP_SECONDS = 60.0
"""Of every worker, in case beat is dead."""
SHARE_SECONDS = 1.0
"""Between two looks whether another process of this host wants room for an engine."""

_threads: list[PeriodicThread] = []


def connect() -> None:
    """Listen to Celery's signals; idempotent."""
    signals.worker_ready.connect(_ready, dispatch_uid="sam.ready", weak=False)
    signals.worker_shutting_down.connect(begin_drain, dispatch_uid="sam.drain", weak=False)


def _ready(sender: Any, **_: object) -> None:
    queues = set(sender.app.amqp.queues.consume_from)
    is_host = _is_host(queues)
    _start("sweep", SLOW_SWEEP_SECONDS, sweep)
    if is_host:
        _start("host-beat", HEARTBEAT_SECONDS, lambda: _beat(queues))
        _start("leftovers", SLOW_SWEEP_SECONDS, remove_leftovers)
    host_memory().serves = live_queue(settings.SAM_HOST_NAME) in queues
    if host_memory().serves:
        _start("presence", PRESENCE_SECONDS, renew_presence)
    elif work_queue(settings.SAM_HOST_NAME) in queues:
        _start("idle-engines", SLOW_SWEEP_SECONDS, _unload_idle_engines)
    if is_host:
        _start("engine-memory", SHARE_SECONDS, _share_memory)
    long_places.limit(sender.pool.limit)
    retry_database(lambda: _call_ready(queues))
    spare_collector()


def _call_ready(queues: set[str]) -> None:
    if CONTROL_QUEUE in queues:
        call_ready(None)
    host = Host.objects.filter(name=settings.SAM_HOST_NAME).first()
    if host is not None and work_queue(host.name) in queues:
        call_ready(host)


def _is_host(queues: set[str]) -> bool:
    """Register a worker of a host; one that is refused ends, with the sentence in its log."""
    try:
        return _beat(queues)
    except HostRefusedError as error:
        logger.critical("%s", error)
        raise WorkerShutdown(os.EX_NOPERM) from error


def _beat(queues: set[str]) -> bool:
    """Write the host's row, and keep to the memory that its row allows; False without a host."""
    host = register(queues)
    if host is not None:
        engine_pool().limit_memory(host.parsed_limits().memory_bytes)
    return host is not None


def _start(name: str, seconds: float, action: Any) -> None:
    thread = PeriodicThread(name, seconds, action)
    _threads.append(thread)
    thread.ensure_started()


def _unload_idle_engines() -> None:
    """End what this process, which answers nobody, has not used: it is the live worker's to keep warm."""
    engine_pool().unload_idle(KEEP_WARM_SECONDS)


def _share_memory() -> None:
    """Say what this process holds, and end what it can spare when another one asks."""
    engine_pool().publish()
    spare = host_memory().spare_seconds()
    if spare is not None:
        engine_pool().unload_idle(spare)
