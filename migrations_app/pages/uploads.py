"""Pages that take files: how much is sent is judged before any of it is read."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import TooManyFilesSent
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from migrations_app.api.parsers import KIBI
from migrations_app.pages.base import PageView
from migrations_app.pages.errors import error_page

TOO_MANY_FILES = "These are more files than can be sent at once. Send them in parts, or pack them into a zip archive."


# Only the outer door: looking for the form's token reads the whole body, so that comes after its size.
@method_decorator(csrf_exempt, name="dispatch")
class UploadView(PageView):
    """A page that takes files of at most ``max_upload_bytes`` together."""

    max_upload_bytes: ClassVar[int]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return super().dispatch(request, *args, **kwargs)
        announced = request.META.get("CONTENT_LENGTH") or "0"
        if announced.isdecimal() and int(announced) > self.max_upload_bytes:
            return error_page(
                request,
                413,
                f"These files have {int(announced) // KIBI**2} MB together; "
                f"{self.max_upload_bytes // KIBI**2} MB are taken at once. Send them in parts.",
            )
        try:
            return self._dispatch_protected(request, *args, **kwargs)
        except TooManyFilesSent:
            return error_page(request, 400, TOO_MANY_FILES)

    @method_decorator(csrf_protect)
    def _dispatch_protected(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        return super().dispatch(request, *args, **kwargs)
