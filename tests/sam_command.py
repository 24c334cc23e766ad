"""`sam` as a person runs it, inside the test's own transaction."""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

import httpx2
from rest_framework.test import APIClient
from typer.testing import CliRunner

from migrations_app.local_caller import SCOPE_KEY, LocalCaller
from samproject.cli import local
from samproject.cli.app import app
from samproject.cli.client import Client
from samproject.cli.errors import CommandError

PASSED = ("accept", "if-match")


def run_sam(*arguments: str, answers: str = "") -> str:
    """Return what a command writes; CommandError as the command raises it, also for wrong arguments."""
    written, error = try_sam(*arguments, answers=answers)
    if error is not None:
        raise error
    return written


def try_sam(*arguments: str, answers: str = "") -> tuple[str, Exception | None]:
    """Return what a command writes, and what ends it as ``run_sam`` raises it."""
    with patch.object(local, "connect", _connect):
        result = CliRunner().invoke(app, list(arguments), input=answers)
    sys.stderr.write(result.stderr)
    if isinstance(result.exception, Exception):
        return result.stdout, result.exception
    return result.stdout, CommandError(result.output) if result.exit_code else None


def _connect(person: str | None) -> Client:
    caller = LocalCaller(person or "", "root")

    def handle(request: httpx2.Request) -> httpx2.Response:
        client: Any = APIClient(**{SCOPE_KEY: caller})  # type: ignore[arg-type]
        answer = client.generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type=request.headers.get("Content-Type", "application/json"),
            headers={name: request.headers[name] for name in PASSED if name in request.headers},
        )
        return httpx2.Response(
            answer.status_code, headers=dict(answer.items()), content=answer.content
        )

    return Client(
        httpx2.Client(base_url=local.find_address(), transport=httpx2.MockTransport(handle))
    )
