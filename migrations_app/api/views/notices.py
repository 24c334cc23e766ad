"""What one was told, and how one wants to be told."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import Notice
from engines.services.people.notices import (
    Channels,
    choices_of,
    mark_all_read,
    mark_read,
    notices_of,
    set_choices,
)
from engines.services.people.search_history import (
    is_history_kept,
    searches_of,
    set_history_kept,
)
from migrations_app.api.base import ApiView, Rows, refuse_content, validated
from migrations_app.api.serializers.accounts import (
    KeepSearchesSerializer,
    NoticeChoicesSerializer,
    NoticeSerializer,
    ReadSerializer,
    SearchHistorySerializer,
)


class NoticeViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Notice]):
    """One's own notices."""

    serializer_class = NoticeSerializer
    lookup_value_regex = "[0-9]{1,18}"
    queryset = Notice.objects.none()

    def get_queryset(self) -> QuerySet[Notice]:
        return notices_of(self.caller)

    @extend_schema(request=None, responses=NoticeSerializer)
    @action(detail=True, methods=["post"])
    def read(self, request: Request, pk: str) -> Response:
        """Mark one as read."""
        refuse_content(request)
        return Response(NoticeSerializer(mark_read(self.caller, int(pk))).data)

    @extend_schema(request=None, responses=ReadSerializer)
    @action(detail=False, methods=["post"], url_path="read-all")
    def read_all(self, request: Request, **_: Any) -> Response:
        """Mark everything as read."""
        refuse_content(request)
        return Response({"read": mark_all_read(self.caller)})


class NoticeChoicesView(ApiView):
    """How one is told of each kind."""

    @extend_schema(responses=NoticeChoicesSerializer)
    def get(self, request: Request) -> Response:
        return Response(_shown(choices_of(self.caller)))

    @extend_schema(request=NoticeChoicesSerializer, responses=NoticeChoicesSerializer)
    def patch(self, request: Request) -> Response:
        """Change some kinds; others stay as they are."""
        asked = validated(NoticeChoicesSerializer(data=request.data))
        set_choices(
            self.caller, {kind: Channels(**chosen) for kind, chosen in asked["choices"].items()}
        )
        return Response(_shown(choices_of(self.caller)))


class SearchHistoryView(ApiView):
    """One's own searches, kept where one allows it: they measure a new embedder before a switch."""

    @extend_schema(responses=SearchHistorySerializer)
    def get(self, request: Request) -> Response:
        return self._answer()

    @extend_schema(request=KeepSearchesSerializer, responses=SearchHistorySerializer)
    def patch(self, request: Request) -> Response:
        """Allow or forbid it; forbidding erases all that was kept."""
        asked = validated(KeepSearchesSerializer(data=request.data))
        set_history_kept(self.caller, kept=asked["kept"])
        return self._answer()

    def _answer(self) -> Response:
        kept = is_history_kept(self.caller)
        found = {"kept": kept, "searches": searches_of(self.caller.pk)}
        return Response(SearchHistorySerializer(found).data)


def _shown(choices: Any) -> dict[str, dict[str, dict[str, bool]]]:
    return {
        "choices": {
            str(kind): {"on_page": c.on_page, "by_email": c.by_email} for kind, c in choices.items()
        }
    }
