"""What one was told."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from engines.services.people.notices import (
    count_unread,
    mark_all_read,
    mark_read,
    notices_of,
)
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate


class NoticesView(PageView):
    """The list, the newest first."""

    title: ClassVar[str] = "Notices"
    section: ClassVar[str] = "notices"
    template_name: ClassVar[str] = "pages/notices/notices.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of it."""
        page = paginate(request, notices_of(self.person))
        return self.render({"page": page, "unread": count_unread(self.person)})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Mark everything as read."""
        mark_all_read(self.person)
        messages.success(request, "Everything is marked as read.")
        return self.go("notices")


class NoticeView(PageView):
    """One of them."""

    def post(self, request: HttpRequest, notice_id: int) -> HttpResponse:
        """Mark it as read and go where it leads."""
        notice = mark_read(self.person, notice_id)
        return self.go(notice.link or "notices")
