"""What is offered for a name that is not there: those like it, or a few that there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

import httpx2

from samproject.cli.errors import CommandError

NAMED = {
    "hosts": ("/hosts", "name"),
    "people": ("/people", "username"),
    "catalog": ("/catalog", "model_id"),
    "fallbacks": ("/catalog", "model_id"),
    "defaults": ("/catalog", "model_id"),
}
"""By an address's first word: where the names are listed, and the field that holds them."""
ENGINES = ("engine", "answers")
"""Fields of a request that name an engine too."""
MOST_NAMES = 1000
"""So many are looked through."""
MOST_OFFERED = 5


def offer_names(
    request: httpx2.Request, api: str, list_rows: Callable[[str, int], list[Any]]
) -> str:
    """Return a sentence to follow what was refused; empty where no name is missing, or none may be seen."""
    kind, *rest = request.url.raw_path.decode().partition("?")[0].removeprefix(api)[1:].split("/")
    if kind not in NAMED or not rest:
        return ""
    address, field = NAMED[kind]
    # Who may not list them is told no more than before.
    with suppress(CommandError):
        names = [str(row[field]) for row in list_rows(address, MOST_NAMES)]
        asked = [] if kind == "defaults" else [unquote(rest[0])]
        missing = [name for name in (*asked, *_named_in_body(request)) if name not in names]
        if missing and names:
            return _offer(missing[0], names)
    return ""


def _named_in_body(request: httpx2.Request) -> list[str]:
    if request.headers.get("Content-Type") != "application/json":
        return []
    body = json.loads(request.content)
    return [body[field] for field in ENGINES if isinstance(body.get(field), str)]


def _offer(missing: str, names: list[str]) -> str:
    if near := get_close_matches(missing, names, n=MOST_OFFERED):
        return f" Like {missing} there is {' or '.join(near)}."
    more = " and others" if len(names) > MOST_OFFERED else ""
    return f" Not {missing}, but there is {', '.join(names[:MOST_OFFERED])}{more}."
