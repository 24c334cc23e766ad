from __future__ import annotations

from django.apps import AppConfig

from samproject.celery import app as celery_app
from samproject.checks import register_checks


class SamProjectConfig(AppConfig):
    name = "samproject"
    verbose_name = "SAM"

    def ready(self) -> None:
        """Make Celery's app the one every process publishes with; register the checks."""
        celery_app.set_default()
        register_checks()
