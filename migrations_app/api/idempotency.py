"""``Idempotency-Key``: the same request twice gives the same answer and starts the work once.

The key's row and the work share one transaction. PostgreSQL lets a second insert of the same key wait
for the first one's end, so a concurrent duplicate sees the stored answer; a request that failed left no
row and may be repeated.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from migrations_app.api.problems import KeyReused
from migrations_app.models import IdempotencyKey

HEADER = "Idempotency-Key"
KEY_FORM = re.compile(r"[\x21-\x7e]{1,200}")

Handler = TypeVar("Handler", bound=Callable[..., Response])


def idempotent(handler: Handler) -> Handler:
    """Make a view's method answer a repeated ``Idempotency-Key`` from the first answer."""

    @wraps(handler)
    def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return handler(view, request, *args, **kwargs)
        if KEY_FORM.fullmatch(key) is None:
            raise ValidationError({HEADER: ["Send 1 to 200 visible ASCII characters."]})
        with transaction.atomic():
            row, created = _reserve(request, key)
            if not created:
                return _stored_answer(row, request)
            response = handler(view, request, *args, **kwargs)
            _remember(row, response)
            return response

    answer.is_idempotent = True  # type: ignore[attr-defined]
    return cast("Handler", answer)


def _reserve(request: Request, key: str) -> tuple[IdempotencyKey, bool]:
    user = cast("User", request.user)
    return IdempotencyKey.objects.get_or_create(
        user=user, key=key, defaults={"request_sha256": _request_digest(request)}
    )


def _request_digest(request: Request) -> str:
    """Digest what was asked: method, path and the parsed body, whatever its spacing."""
    asked = [request.method, request.path, request.data]
    text = json.dumps(asked, sort_keys=True, cls=DjangoJSONEncoder)
    return hashlib.sha256(text.encode()).hexdigest()


def _stored_answer(row: IdempotencyKey, request: Request) -> Response:
    if row.request_sha256 != _request_digest(request):
        raise KeyReused
    headers = {"Location": row.location} if row.location else {}
    return Response(row.body, status=row.status_code, headers=headers)


def _remember(row: IdempotencyKey, response: Response) -> None:
    row.status_code = response.status_code
    row.body = json.loads(json.dumps(response.data, cls=DjangoJSONEncoder))
    row.location = response.headers.get("Location", "")
    row.save(update_fields=["status_code", "body", "location"])
