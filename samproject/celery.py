"""The Celery app; workers, beat and Flower start with ``celery -A samproject``."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "samproject.settings")
# At its start a worker would run Django's checks, which import every page, and drop what they find.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("sam")
app.config_from_object(settings.CELERY)
app.autodiscover_tasks(["worker"])
