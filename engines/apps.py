from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from engines.checks import register_checks
from engines.network.guard import allow_places


class EnginesConfig(AppConfig):
    name = "engines"
    verbose_name = "Engines and knowledge"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, and say which inner addresses this process may use."""
        register_checks()
        allow_places(settings.SAM_ALLOWED_PLACES)
