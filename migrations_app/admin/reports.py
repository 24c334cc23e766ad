"""Telling what an action of the admin did to each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest

from engines.exceptions import SamError
from migrations_app.admin.base import RoleAdmin


def report_each(
    owner: RoleAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    act: Callable[[Any], None],
    *,
    done: tuple[str, str],
) -> None:
    """Do it for each row; tell how many, and of each refusal which row and why.

    ``done`` is what was done with one row, and with several: "plan started", "plans started".
    """
    count = 0
    for row in rows:
        try:
            act(row)
        except SamError as error:
            owner.message_user(request, f"{row}: {error}", messages.ERROR)
        else:
            count += 1
    if count:
        owner.message_user(request, f"{count_rows(count, *done)}.", messages.SUCCESS)


def count_rows(count: int, one: str, several: str) -> str:
    """Return a number with its words: "1 plan", "2 plans"."""
    return f"{count} {one if count == 1 else several}"
