"""Where mails go: written to the log unless SAM_EMAIL_URL names a server."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from samproject import env

CONSOLE = "django.core.mail.backends.console.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
TIMEOUT_SECONDS = 20
_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
_ALLOWED = "smtp://, smtp+tls:// or smtps://, such as smtp+tls://user:password@mail.example.org:587"


def mail_settings() -> dict[str, object]:
    """Return Django's settings of mails; EnvironmentVariableError for an address that is none."""
    url = env.read_secret("SAM_EMAIL_URL")
    shared = {
        "DEFAULT_FROM_EMAIL": env.read_str("SAM_EMAIL_FROM", "SAM <sam@localhost>"),
        "EMAIL_TIMEOUT": TIMEOUT_SECONDS,
    }
    if not url:
        return {**shared, "EMAIL_BACKEND": CONSOLE}
    return {**shared, "EMAIL_BACKEND": SMTP, **_server(url)}


def _server(url: str) -> dict[str, object]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise env.EnvironmentVariableError(
            f"SAM_EMAIL_URL is no address; write {_ALLOWED}."
        ) from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise env.EnvironmentVariableError(f"SAM_EMAIL_URL must begin with {_ALLOWED}.")
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or _PORTS[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
    }
