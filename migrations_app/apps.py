from __future__ import annotations

from django.apps import AppConfig

from engines.services.knowledge.hooks import on_knowledge_changed


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    verbose_name = "Plans"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hear from below what was written, so that it is embedded at once and not at the next sweep."""
        from migrations_app.plans.housekeeping import wake_base  # noqa: PLC0415 - models are ready only now

        on_knowledge_changed(wake_base)
