"""Where the database and Redis are reached: given by a URL, or the embedded ones' sockets."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import dj_database_url
from django.conf import settings
from redis.credentials import CredentialProvider

from samproject.env import EnvironmentVariableError
from samproject.supervisor.locations import Locations
from samproject.supervisor.postgres import PORT
from samproject.supervisor.roles import DATABASE, ROLE

REDIS_SCHEMES = ("redis", "rediss", "unix")
POSTGRES_ENGINE = "django.db.backends.postgresql"
ENGINE = "samproject.database"
"""Django's own with kept connections."""


def database_settings(url: str, locations: Locations, password: str) -> dict[str, object]:
    """Return Django's entry for the database at ``url``, or for the embedded one when empty.

    ``password`` is that of the embedded one.

    Raises EnvironmentVariableError (never showing the URL, which holds a password) when it is
    not a PostgreSQL URL.
    """
    if not url:
        return _embedded_database(locations, password)
    try:
        entry = dict(dj_database_url.parse(url, conn_max_age=0))
    except ValueError as error:
        raise _wrong_database_url() from error
    if entry["ENGINE"] != POSTGRES_ENGINE:
        raise _wrong_database_url()
    return {**entry, "ENGINE": ENGINE}


def redis_url(url: str, locations: Locations, password: str) -> str:
    """Return the URL for the redis client, that of the embedded server when ``url`` is empty.

    ``password`` is that of the embedded one.
    """
    if not url:
        return embedded_redis_url(locations, password)
    if urlsplit(url).scheme not in REDIS_SCHEMES:
        raise EnvironmentVariableError(
            "REDIS_URL is not a Redis URL; use redis://host:6379/0, rediss://… or unix:///path."
        )
    return url


def embedded_redis_url(locations: Locations, password: str, user: str = "") -> str:
    """Return the URL of the embedded server for a user of it; SAM's own is the one without a name."""
    return f"unix://{user}:{password}@{locations.redis_socket}?db=0"


def broker_url(url: str) -> str:
    """Return the same Redis in Celery's notation, which names unix sockets differently.

    Workers tell Flower the whole address of a socket, so the password is not in it.
    """
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    number = parse_qs(parts.query).get("db", ["0"])[0]
    login = f"&credential_provider={__name__}:{SocketLogin.__name__}" if parts.password else ""
    return f"redis+socket://{parts.path}?virtual_host={number}{login}"


class SocketLogin(CredentialProvider):
    """Gives Celery's connections the user and password of ``REDIS_URL`` as they are opened."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return (password,) or (user, password)."""
        parts = urlsplit(settings.REDIS_URL)
        password = unquote(parts.password or "")
        return (unquote(parts.username), password) if parts.username else (password,)


def _embedded_database(locations: Locations, password: str) -> dict[str, object]:
    return {
        "ENGINE": ENGINE,
        "NAME": DATABASE,
        "USER": ROLE,
        "PASSWORD": password,
        "HOST": str(locations.postgres_sockets),
        "PORT": str(PORT),
        "CONN_MAX_AGE": 0,
    }


def _wrong_database_url() -> EnvironmentVariableError:
    return EnvironmentVariableError(
        "DATABASE_URL is not a PostgreSQL URL; use postgres://user:password@host:5432/name."
    )
