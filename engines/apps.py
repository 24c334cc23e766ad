from __future__ import annotations

from django.apps import AppConfig


class EnginesConfig(AppConfig):
    name = "engines"
    verbose_name = "Engines and knowledge"
    default_auto_field = "django.db.models.BigAutoField"
