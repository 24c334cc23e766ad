"""Requests to SAM's REST API, and its problems as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urljoin

import httpx2

from samproject.cli.errors import CommandError, RefusedError, UnreachableError
from samproject.cli.unknown_names import offer_names

API = "/api/v1"
SINGULAR = {"people": "person", "catalog": "catalog entry", "quotas": "quota of"}
UNNUMBERED = ("me", "defaults")
"""Addresses whose second word is no name."""
UNNAMED = ("file", "non_field_errors")
"""Fields of a problem that no command's words name: a file's line begins with its path already."""
EVERYBODY = "*"
"""The name of a quota that is nobody's own."""
TIMEOUT = httpx2.Timeout(10.0, read=120.0)
FILE_TIMEOUT = httpx2.Timeout(10.0, read=900.0, write=120.0)
"""Of a request with a file: one of 50 MB is read, cut and stored for minutes where the server has other work."""
PAGE_SIZE = 200
NOT_SIGNED_IN = "authentication_failed"
NOT_THERE = "not_found"
NOT_FOUND = "Not found."
"""The API tells no more, so that a stranger learns nothing."""


class Client:
    """One SAM, asked as one person; ``transport`` says how its answers come."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    @classmethod
    def to_server(cls, server: str, token: str = "") -> Client:
        """Talk to a SAM over HTTP."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return cls(httpx2.Client(base_url=server, headers=headers, timeout=TIMEOUT))

    def get(self, path: str, **params: str | int) -> Any:
        """Read something; CommandError with the problem's sentence."""
        return self._send("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Start or make something."""
        return self._send("POST", path, json=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Write something as a whole."""
        return self._send("PUT", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any], *, if_match: str = "") -> Any:
        """Change something; ``if_match`` is the version that was read."""
        headers = {"If-Match": if_match} if if_match else {}
        return self._send("PATCH", path, json=body, headers=headers)

    def delete(self, path: str) -> None:
        """Take something away."""
        self._send("DELETE", path)

    def upload(self, path: str, fields: Mapping[str, str], files: Mapping[str, Any]) -> Any:
        """Send files with a form."""
        return self._send("POST", path, data=fields, files=files, timeout=FILE_TIMEOUT)

    def put_file(self, path: str, fields: Mapping[str, str], files: Mapping[str, Any]) -> Any:
        """Send a file to its address."""
        return self._send("PUT", path, data=fields, files=files, timeout=FILE_TIMEOUT)

    def rows(self, path: str, *, limit: int | None = None, **params: str | int) -> list[Any]:
        """Return the rows of all pages, or the first ``limit``."""
        found: list[Any] = []
        page = self.get(path, page_size=min(limit or PAGE_SIZE, PAGE_SIZE), **params)
        while True:
            found += page["results"]
            following = page.get("next")
            if not following or (limit is not None and len(found) >= limit):
                return found[:limit]
            page = self._answer(self._try("GET", following))

    def etag(self, path: str) -> str:
        """Return the version of something, for ``if_match``."""
        response = self._try("GET", API + path)
        self._answer(response)
        return str(response.headers.get("ETag", ""))

    @contextmanager
    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Iterator[str]]:
        """Send a request whose answer comes line by line, for as long as the block runs."""
        headers = {"Accept": "text/event-stream"}
        try:
            with self._http.stream("POST", API + path, json=body, headers=headers) as response:
                if response.is_error:
                    response.read()
                    self._answer(response)
                yield response.iter_lines()
        except httpx2.HTTPError as error:
            raise _unreachable(self._http, error) from error

    def _send(self, method: str, path: str, **content: Any) -> Any:
        return self._answer(self._try(method, API + path, **content))

    def _try(self, method: str, address: str, **content: Any) -> httpx2.Response:
        try:
            return self._http.request(method, address, **content)
        except httpx2.HTTPError as error:
            raise _unreachable(self._http, error) from error

    def _answer(self, response: httpx2.Response) -> Any:
        if response.is_error or response.is_redirect:
            raise self._refuse(response)
        return response.json() if response.content else None

    def _refuse(self, response: httpx2.Response) -> CommandError:
        error = _refusal(response)
        if not isinstance(error, RefusedError) or response.status_code != httpx2.codes.NOT_FOUND:
            return error
        offer = offer_names(response.request, API, lambda path, most: self.rows(path, limit=most))
        return RefusedError(f"{error}{offer}", error.code)


def name_in_path(name: str) -> str:
    """Return a name as one segment of an address, whatever it holds."""
    return quote(name, safe="")


def _refusal(response: httpx2.Response) -> CommandError:
    try:
        problem = response.json()
        sentence, code = _sentence(response, problem), str(problem.get("code", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return CommandError(_describe_stranger(response))
    if code == NOT_SIGNED_IN and "Authorization" in response.request.headers:
        sentence += " Sign in again with `sam login`."
    return RefusedError(sentence, code)


def _describe_stranger(response: httpx2.Response) -> str:
    """Say what is wrong with an address where no SAM answers."""
    moved = urljoin(str(response.url), response.headers.get("Location", ""))
    if response.is_redirect and moved.startswith("https:") and response.url.scheme == "http":
        return (
            f"{response.url.host} is reached by https only: sam login https://{response.url.host}"
        )
    return f"{response.url.host} answered {response.status_code}; is it a SAM? Check the address."


def _sentence(response: httpx2.Response, problem: dict[str, Any]) -> str:
    detail = str(problem["detail"])
    if detail == NOT_FOUND:
        named = _name_thing(response.url.raw_path.decode().partition("?")[0])
        return f"There is no {named}, or it is not yours to see."
    fields = [
        _say_field(str(name), " ".join(map(str, said)))
        for name, said in problem.get("errors", {}).items()
        if isinstance(said, list)
    ]
    return " ".join(fields) or detail


def _say_field(name: str, said: str) -> str:
    """Say what is wrong with a field, as who gave an option or a file knows it."""
    return said if name in UNNAMED else f"{name.replace('_', ' ')}: {said}"


def _name_thing(path: str) -> str:
    """Say in words what an address names: a kind and a name, perhaps of another; what was asked of it may follow."""
    parts = [unquote(part) for part in path.removeprefix(f"{API}/").split("/")]
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    if not pairs or parts[0] in UNNUMBERED:
        return "/".join(parts)
    return " of ".join(f"{_singular(kind)} {_name(name)}" for kind, name in reversed(pairs))


def _name(name: str) -> str:
    return "everybody" if name == EVERYBODY else name


def _singular(kind: str) -> str:
    word = kind.replace("-", " ")
    return SINGULAR.get(word, word.removesuffix("s"))


def _unreachable(http: httpx2.Client, error: Exception) -> CommandError:
    sentence = f"{http.base_url} does not answer: {error!s:.300}. Is SAM running there?"
    is_absent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
    return UnreachableError(sentence) if is_absent else CommandError(sentence)
