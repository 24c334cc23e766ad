from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from engines.services.knowledge.hooks import on_knowledge_changed


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    verbose_name = "Plans"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hear from below what was written, so that it is embedded at once; have connections name who acts."""
        # Models are ready only now.
        from migrations_app.audit.actor import watch_connection  # noqa: PLC0415
        from migrations_app.plans.housekeeping import wake_base  # noqa: PLC0415

        on_knowledge_changed(wake_base)
        connection_created.connect(watch_connection)
