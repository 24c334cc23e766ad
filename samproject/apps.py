from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps

from samproject.celery import app as celery_app
from samproject.checks import register_checks


class SamProjectConfig(AppConfig):
    name = "samproject"
    default = True
    verbose_name = "SAM"

    def ready(self) -> None:
        """Make Celery's app the one every process publishes with; register the checks."""
        celery_app.set_default()
        register_checks()


class SamAdminConfig(admin_apps.AdminConfig):
    """Django's admin on SAM's site."""

    default = False
    default_site = "samproject.web.admin_site.SamAdminSite"
