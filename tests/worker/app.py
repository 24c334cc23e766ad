"""SAM's Celery app with the handlers of the tests: for ``celery -A tests.worker.app``."""

from __future__ import annotations

from samproject.celery import app

__all__ = ["app"]

# Imported by Celery once Django is ready.
app.conf.imports = ("tests.worker.acts",)
