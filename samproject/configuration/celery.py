"""Celery's configuration: a message is only a wake-up call, the database owns the work.

Hence early acknowledgement, no prefetching, no results, no soft shutdown (it fails with the
threads pool); a lost message is sent again by the sweeper.
"""

from __future__ import annotations

from kombu import Queue

from migrations_app.queues import CONTROL_QUEUE, live_queue, work_queue

SWEEP_TASK = "control.sweep"
KEY_PREFIX = "sam:"


def celery_settings(broker: str, host: str, sweep_seconds: int) -> dict[str, object]:
    """Return the settings of the Celery app for this host."""
    work, live = work_queue(host), live_queue(host)
    return {
        **_messages(),
        **_workers(),
        "broker_url": broker,
        "broker_transport_options": _transport(),
        "task_queues": [
            *(Queue(name, routing_key=name) for name in (CONTROL_QUEUE, work)),
            # Nobody brings a lost message back here: who waits for an answer sends another.
            Queue(live, routing_key=live, no_ack=True),
        ],
        "task_default_queue": CONTROL_QUEUE,
        "beat_schedule": {
            "sweep": {
                "task": SWEEP_TASK,
                "schedule": float(sweep_seconds),
                "options": {"queue": CONTROL_QUEUE, "expires": float(sweep_seconds)},
            }
        },
        # The schedule is one entry: nothing worth a file (the default one is a pickle).
        "beat_scheduler": "celery.beat:Scheduler",
    }


def _messages() -> dict[str, object]:
    return {
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "event_serializer": "json",
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "task_create_missing_queues": False,
        "task_publish_retry_policy": {
            "max_retries": 3,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 1,
        },
        "timezone": "UTC",
        "enable_utc": True,
    }


def _workers() -> dict[str, object]:
    return {
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": 10,
        "worker_pool": "threads",
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_enable_remote_control": True,
        "worker_send_task_events": True,
        "task_track_started": True,
    }


def _transport() -> dict[str, object]:
    return {
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "visibility_timeout": 3600,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "global_keyprefix": KEY_PREFIX,
        "client_name": "sam",
    }
