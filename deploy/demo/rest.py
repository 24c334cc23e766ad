"""A small client of SAM's REST API: a token, JSON, and problems raised with their sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from deploy.demo.errors import DemoError

_SECONDS = 180.0


class ApiProblemError(DemoError):
    """The API refused; ``status`` and ``problem`` are what it answered."""

    code = "api_problem"

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", f"HTTP {status}")))
        self.status = status
        self.problem = dict(problem)


class Api:
    """The API as one person sees it; safe to use from one thread."""

    def __init__(self, web: str, token: str) -> None:
        # The environment's proxies are for the internet, not for this machine.
        self._client = httpx2.Client(
            base_url=f"{web}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_SECONDS,
            trust_env=False,
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, **parameters: Any) -> Any:
        return self._send("GET", path, params=parameters)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._send("POST", path, json=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._send("PUT", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def upload(self, path: str, fields: Mapping[str, str], file: Path) -> Any:
        """Send a form with one file."""
        with file.open("rb") as source:
            return self._send("POST", path, data=fields, files={"file": (file.name, source)})

    def edit(self, path: str, changes: Mapping[str, Any]) -> Any:
        """Change something versioned: read its ETag first, then say what is to change."""
        etag = self._answer("GET", path).headers["ETag"]
        return self._send("PATCH", path, json=changes, headers={"If-Match": etag})

    def rows(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield all rows of a list, page by page."""
        page = self.get(path, **parameters)
        yield from page["results"]
        while page["next"]:
            page = self._send("GET", page["next"])
            yield from page["results"]

    @contextmanager
    def conversation(self, title: str) -> Iterator[int]:
        """Begin a conversation that is gone when the block ends: whoever signs in later finds their own."""
        number = self.post("conversations", {"title": title})["id"]
        try:
            yield number
        finally:
            self.delete(f"conversations/{number}")

    def _send(self, method: str, path: str, **content: Any) -> Any:
        answer = self._answer(method, path, **content)
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, **content: Any) -> httpx2.Response:
        try:
            answer = self._client.request(method, path, **content)
        except httpx2.HTTPError as error:
            raise DemoError(f"The web server did not answer {method} {path}: {error}.") from error
        if answer.is_error:
            raise ApiProblemError(answer.status_code, _problem(answer))
        return answer


def _problem(answer: httpx2.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"detail": f"HTTP {answer.status_code}"}
