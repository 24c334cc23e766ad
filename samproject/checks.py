"""What ``manage.py check --deploy`` refuses in production, besides Django's own findings."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Advice

from engines.runtimes.child.sandbox import missing_parts
from samproject.supervisor.belongings import reasons_to_stay_root
from samproject.supervisor.site import site_belongings

MIN_DIFFERENT_BYTES = 16


def register_checks() -> None:
    """Make Django run these checks with ``--deploy``; called once when the apps are ready."""
    for check in (
        embedded_services,
        generated_secrets,
        weak_backup_key,
        any_host,
        debug_pages,
        weak_walls,
    ):
        register(check, Tags.security, deploy=True)


def embedded_services(
    *, app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Refuse the servers SAM runs itself: one disk, one machine, nobody to back them up."""
    embedded = [
        (settings.SAM_EMBEDDED_POSTGRES, "DATABASE_URL", "PostgreSQL"),
        (settings.SAM_EMBEDDED_REDIS, "REDIS_URL", "Redis"),
    ]
    return [
        Error(
            f"The embedded {server} is meant for one machine, not for production.",
            hint=f"Set {variable} to a server of your own.",
            id="sam.E001",
        )
        for used, variable, server in embedded
        if used
    ]


def generated_secrets(
    *, app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Refuse secrets SAM made for itself: other machines and a restore would lack them."""
    return [
        Error(
            f"{name} was generated into the data folder of this machine.",
            hint=f"Set {name} or {name}_FILE from your own store of secrets.",
            id="sam.E002",
        )
        for name in settings.SAM_GENERATED_SECRETS
    ]


def weak_backup_key(
    *, app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Refuse a key that nobody drew: of 32 random bytes hardly any is there twice."""
    if len(set(bytes.fromhex(settings.SAM_BACKUP_KEY))) >= MIN_DIFFERENT_BYTES:
        return []
    return [
        Error(
            "SAM_BACKUP_KEY is not random: whoever guesses it opens every backup.",
            hint="Make one with 'openssl rand -hex 32'; backups sealed with the old one need it.",
            id="sam.E004",
        )
    ]


def any_host(*, app_configs: Sequence[AppConfig] | None, **options: object) -> list[CheckMessage]:
    """Refuse a web server that answers to every name: links and redirects would follow a stranger's."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Error(
            "SAM_ALLOWED_HOSTS lets any name in.",
            hint="Name the hosts under which people reach SAM.",
            id="sam.E005",
        )
    ]


def debug_pages(
    *, app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Refuse DEBUG as an error: its pages show settings and code to anybody."""
    if not settings.DEBUG:
        return []
    return [Error("DEBUG is on.", hint="Set DEBUG to false.", id="sam.E003")]


def weak_walls(*, app_configs: Sequence[AppConfig] | None, **options: object) -> list[CheckMessage]:
    """Warn of what this machine does not do to hold an engine, or SAM itself, in its bounds."""
    reasons = reasons_to_stay_root(settings.SAM_LOCATIONS.postgres_data, site_belongings())
    return [
        *(Advice(sentence, id="sam.W001") for sentence in missing_parts()),
        *(
            Advice("Started by root, web and workers would run as root.", hint=why, id="sam.W002")
            for why in reasons
        ),
    ]
