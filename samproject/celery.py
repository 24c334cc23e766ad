"""The Celery app; workers, beat and Flower start with ``celery -A samproject``."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "samproject.settings")

app = Celery("sam")
app.config_from_object(settings.CELERY)
app.autodiscover_tasks(["worker"])
