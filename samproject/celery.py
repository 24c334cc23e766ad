"""The Celery app; workers, beat and Flower start with ``celery -A samproject``."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.loaders.app import AppLoader
from django.conf import settings

from engines.long_lived import loading

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "samproject.settings")
# At its start a worker would run Django's checks, which import every page, and drop what they find.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")


class SamLoader(AppLoader):
    """Loads what a worker needs, which is all of SAM."""

    def import_default_modules(self) -> list[Any]:
        """Set up Django and import the tasks."""
        with loading():
            imported: list[Any] = super().import_default_modules()
        return imported


app = Celery("sam", loader="samproject.celery:SamLoader")
app.config_from_object(settings.CELERY)
app.autodiscover_tasks(["worker"])
