"""What the layers above want to be told; set once at start, asked after each commit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.db import transaction

Listener = Callable[[int], object]
_listeners: dict[str, Listener] = {}


def on_knowledge_changed(listener: Listener | None) -> None:
    """Set who is told the id of a base that was written to; None takes the listener away."""
    if listener is None:
        _listeners.pop("knowledge", None)
    else:
        _listeners["knowledge"] = listener


def knowledge_changed(base_id: int) -> None:
    """Tell the listener once the running transaction is committed; never if it is rolled back.

    A listener that fails is logged by Django and changes nothing: what lags is found by a query.
    """
    listener = _listeners.get("knowledge")
    if listener is not None:
        transaction.on_commit(partial(listener, base_id), robust=True)
