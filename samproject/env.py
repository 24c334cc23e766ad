"""Typed reading of environment variables: a wrong value stops the start and names the variable.

A variable that is set but empty counts as not set, because container files often write ``NAME=``.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from engines.exceptions import SamError
from engines.network.guard import AllowedPlace, parse_place, place_of_url

MAX_SECRET_FILE_BYTES = 64 * 1024

_RATE = re.compile(r"[1-9][0-9]{0,8}/(s|sec|min|hour|day)")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class EnvironmentVariableError(SamError, ImproperlyConfigured):
    """An environment variable holds something SAM cannot use; the text never shows a secret."""

    code = "bad_environment"


def settle_settings_module() -> None:
    """Let Django read SAM's settings, unless the environment names others."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "samproject.settings")


def read_str(name: str, default: str = "", *, choices: Collection[str] = ()) -> str:
    """Return the variable, stripped.

    Raises EnvironmentVariableError when ``choices`` are given and it is none of them.
    """
    value = os.environ.get(name, "").strip() or default
    if choices and value not in choices:
        allowed = ", ".join(sorted(choices))
        raise EnvironmentVariableError(f"{name} is {value!r}; set it to one of: {allowed}.")
    return value


def read_int(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Return a whole number from ``minimum`` to ``maximum``; anything else is an error."""
    text = read_str(name, str(default))
    allowed = f"a whole number from {minimum} to {maximum}"
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and minimum <= int(text) <= maximum):
        raise EnvironmentVariableError(f"{name} is {text!r}; set it to {allowed}.")
    return int(text)


def read_bool(name: str, *, default: bool) -> bool:
    """Return a truth value; only true, false, 1 and 0 are understood, in any case of letters."""
    text = read_str(name, str(default)).lower()
    if text not in _BOOLEANS:
        raise EnvironmentVariableError(f"{name} is {text!r}; set it to true, false, 1 or 0.")
    return _BOOLEANS[text]


def read_list(name: str, default: str = "") -> list[str]:
    """Return the comma-separated parts, without empty ones."""
    return [part.strip() for part in read_str(name, default).split(",") if part.strip()]


def read_arguments(name: str) -> list[str]:
    """Return a program's arguments, written as for a shell; EnvironmentVariableError for an open quote."""
    try:
        return shlex.split(read_str(name))
    except ValueError as error:
        raise EnvironmentVariableError(
            f"{name} cannot be read as arguments ({error}); write them as in a shell, like "
            "--tensor-parallel-size 2."
        ) from error


def read_folders(name: str) -> list[Path]:
    """Return the folders of a list with ``:`` between them; each is a whole path, and none is the root."""
    folders = [Path(part.strip()) for part in read_str(name).split(":") if part.strip()]
    for folder in folders:
        if not folder.is_absolute() or ".." in folder.parts or folder == Path("/"):
            raise EnvironmentVariableError(
                f"{name} names {str(folder)!r}; write whole paths with : between them, not the root: "
                "/srv/handbook:/srv/projects."
            )
    return folders


def read_origins(name: str) -> list[str]:
    """Return origins of pages, or ``*`` for any; an address that is no origin is an error."""
    given = read_list(name)
    for origin in given:
        parts = urlsplit(origin)
        whole = f"{parts.scheme}://{parts.netloc}"
        is_origin = parts.scheme in ("http", "https") and bool(parts.netloc) and origin == whole
        if origin != "*" and not is_origin:
            raise EnvironmentVariableError(
                f"{name} has {origin!r}; write origins as https://chat.example.org, without a path, or *."
            )
    return given


def read_url(name: str, default: str) -> str:
    """Return an http or https address without a slash at its end; anything else is an error."""
    text = read_str(name, default)
    try:
        place_of_url(text)
    except ValueError as error:
        raise EnvironmentVariableError(f"{name} is no address; write https://host.") from error
    if not text.startswith(("http://", "https://")):
        raise EnvironmentVariableError(f"{name} must begin with http:// or https://.")
    return text.rstrip("/")


def read_places(name: str) -> list[AllowedPlace]:
    """Return the hosts, addresses and networks of a comma-separated list; anything else is an error."""
    places = []
    for part in read_list(name):
        try:
            places.append(parse_place(part))
        except ValueError as error:
            raise EnvironmentVariableError(
                f"{name} names {part!r}; write hosts, addresses or networks, each may have a port: "
                "ollama.lan, 127.0.0.1:11434, 10.0.0.0/8."
            ) from error
    return places


def read_rate(name: str, default: str) -> str:
    """Return a request rate such as ``60/min``; anything else is an error."""
    text = read_str(name, default)
    if not _RATE.fullmatch(text):
        raise EnvironmentVariableError(
            f"{name} is {text!r}; set it to a number per s, min, hour or day, such as 60/min."
        )
    return text


def read_path(name: str, default: Path) -> Path:
    """Return an absolute path with ``~`` and symbolic links resolved; it need not exist."""
    text = read_str(name, str(default))
    if "\0" in text or "\n" in text:
        raise EnvironmentVariableError(f"{name} holds a line break; set it to one path.")
    return Path(text).expanduser().resolve()


def read_secret(name: str, create: Callable[[], str] | None = None) -> str:
    """Return the secret in NAME, or in the file that NAME_FILE points to, or a created one.

    With neither set and no ``create`` the secret is empty.
    """
    value, file_name = read_str(name), read_str(f"{name}_FILE")
    if value and file_name:
        raise EnvironmentVariableError(f"{name} and {name}_FILE are both set; keep one of them.")
    if file_name:
        return _secret_in(Path(file_name), f"{name}_FILE")
    if value or create is None:
        return value
    return create()


def _secret_in(path: Path, variable: str) -> str:
    try:
        with path.open("rb") as source:
            text = source.read(MAX_SECRET_FILE_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise EnvironmentVariableError(
            f"{variable} points to {path}, which cannot be read: {reason}."
        ) from error
    if not text:
        raise EnvironmentVariableError(f"{variable} points to {path}, which is empty.")
    return text


def require_hexadecimal(name: str, value: str, *, size: int) -> None:
    """Raise EnvironmentVariableError unless ``value`` is ``size`` bytes in hexadecimal."""
    allowed = set("0123456789abcdefABCDEF")
    if len(value) != 2 * size or not set(value) <= allowed:
        raise EnvironmentVariableError(
            f"{name} is not {2 * size} hexadecimal digits; make one with 'openssl rand -hex {size}'."
        )
