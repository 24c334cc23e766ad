"""Home: where a person starts."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpRequest, HttpResponse

from migrations_app.pages.base import PageView


class HomeView(PageView):
    """What answers me, what is running, what needs me."""

    title: ClassVar[str] = "Home"
    section: ClassVar[str] = "home"
    template_name: ClassVar[str] = "pages/home/home.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return self.render()
