"""The names of the queues; who sends, who listens and Celery's settings take them from here."""

from __future__ import annotations

CONTROL_QUEUE = "control"
"""For what belongs to no host: steps of the control plane, and the sweeper."""


def work_queue(host_name: str) -> str:
    """Name the queue of a host's steps."""
    return f"host.{host_name}.work"


def live_queue(host_name: str) -> str:
    """Name the queue of a host's answers to waiting people, which must not wait behind its steps."""
    return f"host.{host_name}.live"
