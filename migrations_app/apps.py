from __future__ import annotations

from django.apps import AppConfig


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    verbose_name = "Plans"
    default_auto_field = "django.db.models.BigAutoField"
