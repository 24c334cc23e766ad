"""What ``manage.py check`` says about the runtimes."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Warning, register
from django.utils.module_loading import import_string

REGISTRY = "engines.runtimes.registry.EngineRegistry"
"""By name: commands that only need the tables, like ``migrate``, must not load the engines' libraries."""


def register_checks() -> None:
    """Make Django run these checks; called once when the apps are ready."""
    register(broken_plugins)


def broken_plugins(
    *, app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Name each runtime plugin that cannot be used; the others work without it."""
    return [
        Warning(problem, hint="Update or uninstall the plugin's package.", id="engines.W001")
        for problem in import_string(REGISTRY)().problems
    ]
