"""Cursor pages: stable while rows come and go, with a cap on their size."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ValidationError as InvalidValue
from django.db import DataError
from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

MAX_PAGE_SIZE = 200

Row = TypeVar("Row", bound=Model)


class CursorPages(CursorPagination):
    """Pages in the view's ``page_ordering``, which ends in something unique."""

    page_size = 50
    max_page_size = MAX_PAGE_SIZE
    page_size_query_param = "page_size"
    ordering = "-id"

    def get_ordering(self, request: Request, queryset: QuerySet[Row], view: Any) -> tuple[str, ...]:
        ordering: tuple[str, ...] = getattr(view, "page_ordering", ("-id",))
        return ordering

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get("page_size")
        if asked is None:
            return self.page_size
        if not asked.isascii() or not asked.isdecimal() or not 1 <= int(asked[:9]) <= MAX_PAGE_SIZE:
            raise ValidationError({"page_size": [f"Ask for 1 to {MAX_PAGE_SIZE} rows a page."]})
        return int(asked[:9])

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        """Refuse a cursor that is not one of ours with 400, whatever lies in it."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, TypeError, InvalidValue, DataError) as error:
            raise ValidationError(
                {"cursor": ["This is no cursor of this list; begin without one."]}
            ) from error
