"""A place at the Hub as people have it at hand: from the address bar, from a card, from Ollama."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import parse_qs, unquote

from engines.exceptions import InvalidRequestError

MAX_PLACE_LENGTH = 2000
"""Longer than any address with a name of a file that can be fetched."""
HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com"})
SCHEME = "hf:"
_WEB = re.compile(r"https?://", re.IGNORECASE)
_VIEWS = frozenset({"tree", "blob", "resolve", "raw"})
"""What stands between a repository and a revision."""
_VIEWS_OF_HISTORY = frozenset({"commits", "blame", "edit"})
_FILE = ".gguf"
_ANY = "latest"
"""Ollama's tag where none is chosen."""
_SHOWN_FILE = "show_file_info"
"""In the query of a repository's page: the file whose tensors it shows."""
_OTHER_KINDS = {"datasets": "a data set", "spaces": "a space", "collections": "a collection"}
_PARTS_OF_A_NAME = 2


@dataclass(frozen=True, slots=True)
class HubPlace:
    """A repository, and what else was named of it; nothing is checked at the Hub."""

    repo: str
    """``owner/name``, or what was written in its place."""
    filename: str = ""
    revision: str = "main"
    quantization: str = ""
    """As Ollama's names have it behind a colon."""

    @classmethod
    def parse(cls, text: str, endpoint: str = "") -> HubPlace:
        """Read an address of the Hub or of ``endpoint``, ``hf.co/owner/name:Q4_K_M``, ``hf:owner/name/file``
        or ``owner/name``.

        InvalidRequestError for an address of something else.
        """
        text = text.strip()
        web, rest = _without_scheme(text)
        host, _, path = rest.partition("/")
        if host.lower() in {*HOSTS, _host_of(endpoint)}:
            # Browsers hide https://, and what is behind the host is a page's all the same.
            return cls._of_page(path)
        if web:
            _refuse(f"{_shown(text)} is not at the Hub.")
        return cls._of_path(rest.strip("/").split("/"))

    @classmethod
    def _of_page(cls, address: str) -> HubPlace:
        """Read the path and query of a page; one about no files (its discussions) is its repository's."""
        path, _, query = address.partition("#")[0].partition("?")
        names = unquote(path).strip("/").split("/")
        if not _is_about_files(names[_PARTS_OF_A_NAME:]):
            names = names[: _PARTS_OF_A_NAME + (names[0] in _OTHER_KINDS)]
        place = cls._of_path(names)
        (shown, *_) = parse_qs(query).get(_SHOWN_FILE, [""])
        return replace(place, filename=place.filename or shown)

    @classmethod
    def _of_path(cls, names: list[str]) -> HubPlace:
        if names[0] in _OTHER_KINDS:
            _refuse(f"{'/'.join(names[:3])} is {_OTHER_KINDS[names[0]]}, not a model.")
        owned, further = names[:_PARTS_OF_A_NAME], names[_PARTS_OF_A_NAME:]
        repo, _, quantization = "/".join(owned).partition(":")
        # As git knows it; no repository's name ends so.
        repo = repo.removesuffix(".git")
        revision = "main"
        if further and further[0] in _VIEWS:
            # A change that was proposed is called refs/pr/1.
            length = 3 if further[1:2] == ["refs"] else 1
            revision = "/".join(further[1 : 1 + length]) or revision
            further = further[1 + length :]
        return cls(repo, "/".join(further), revision, "" if quantization == _ANY else quantization)


def _is_about_files(further: list[str]) -> bool:
    """Whether what stands behind a repository's name is a view of its files, or a file that was added by hand."""
    if not further or further[0] in _VIEWS:
        return True
    return further[0] not in _VIEWS_OF_HISTORY and further[-1].lower().endswith(_FILE)


def is_hub_address(text: str, endpoint: str = "") -> bool:
    """Whether a text names the Hub, so that it is no path and no search."""
    _, rest = _without_scheme(text.strip())
    named = rest != text.strip()
    return named or rest.partition("/")[0].lower() in {*HOSTS, _host_of(endpoint)}


def _without_scheme(text: str) -> tuple[bool, str]:
    """Return whether it is an address of the web, and what is behind http:// or hf:."""
    found = _WEB.match(text)
    if found is not None:
        return True, text[found.end() :]
    return False, text.removeprefix(SCHEME).lstrip("/") if text.startswith(SCHEME) else text


def _host_of(endpoint: str) -> str:
    host = _WEB.sub("", endpoint).partition("/")[0].lower()
    return host or "huggingface.co"


def _shown(text: str) -> str:
    return ascii(text[:100])


def _refuse(what: str) -> NoReturn:
    raise InvalidRequestError(
        f"{what} Write the model's repository as organisation/name, or its address at the Hub."
    )
