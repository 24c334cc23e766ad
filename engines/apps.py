from __future__ import annotations

from django.apps import AppConfig

from engines.checks import register_checks


class EnginesConfig(AppConfig):
    name = "engines"
    verbose_name = "Engines and knowledge"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks."""
        register_checks()
