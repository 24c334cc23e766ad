"""Flower behind SAM's login: what an operator reads under ``/flower/`` is asked of Flower's own server.

Flower only shows: nothing but GET and HEAD is handed on, without the reader's cookies, and of its answers
only the content comes back. Its table of tasks asks by POST what could be asked by GET, and so is asked by GET.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from uuid import UUID

import httpx2
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.csrf import csrf_exempt

from engines.exceptions import HostUnavailableError
from engines.services.people.roles import is_operator
from migrations_app.pages.base import PageView
from samproject.supervisor.roster import FLOWER_USER
from samproject.web.headers import DOCUMENTATION_POLICY

TIMEOUT = httpx2.Timeout(15.0, connect=2.0)
MAX_BYTES = 16 * 2**20
HTML = "text/html"
PASSED_ON = ("content-type", "last-modified")
_TASK = re.compile(r"task/(?P<plan>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[a-z_]+\.[0-9]+")
_BEFORE = '<main class="app-content"'
_REFRESH = re.compile(r"<script type=\"text/javascript\">(\s*var autorefresh = \w+;\s*)</script>")


class FlowerView(PageView):
    """Flower's pages for operators; 404 where none runs beside this server."""

    title = "Flower"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, path: str = "") -> HttpResponse:
        """Hand the request on and give back what Flower says; HostUnavailableError when it is silent."""
        if not is_operator(self.person):
            raise PermissionDenied("Only an operator may look at the tasks of workers.")
        if not settings.SAM_FLOWER_URL:
            raise Http404("Flower does not run beside this server.")
        answer = _ask(self.asked_of_flower(request))
        body = answer.content
        response = HttpResponse(status=answer.status_code)
        for name in PASSED_ON:
            if name in answer.headers:
                response[name] = answer.headers[name]
        if answer.headers.get("content-type", "").startswith(HTML):
            page = body.decode(errors="replace")
            response["Content-Security-Policy"] = _policy_for(page)
            body = _add_way_back(page, path).encode()
        response.content = body
        return response

    def asked_of_flower(self, request: HttpRequest) -> str:
        """Path and query of what Flower is asked."""
        return request.get_full_path()


# Flower's script knows no token of ours, and what it asks for changes nothing.
@method_decorator(csrf_exempt, name="dispatch")
class FlowerTasksView(FlowerView):
    """The rows of Flower's table of tasks; what its script posts becomes the query of a GET."""

    http_method_names = ["get", "head", "post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """Give the rows that the posted columns, order and words ask for; raises as ``get`` does."""
        return self.get(request)

    def asked_of_flower(self, request: HttpRequest) -> str:
        """The table's address, with the posted fields where there are any."""
        if request.method == "POST":
            return f"{request.path}?{request.POST.urlencode()}"
        return super().asked_of_flower(request)


def _ask(wanted: str) -> httpx2.Response:
    address = f"{settings.SAM_FLOWER_URL}{wanted}"
    login = (FLOWER_USER, settings.SAM_FLOWER_PASSWORD)
    try:
        # Flower's address is the installation's own: no proxy, and no redirect to anywhere else.
        answer = httpx2.get(address, auth=login, timeout=TIMEOUT, trust_env=False)
    except httpx2.HTTPError as error:
        raise HostUnavailableError(
            "Flower does not answer; `manage.py up` starts it, and its log says why it ended."
        ) from error
    if answer.is_redirect or len(answer.content) > MAX_BYTES:
        raise HostUnavailableError("Flower's answer is none of its pages; look at its log.")
    return answer


def _policy_for(page: str) -> str:
    """Let the one script run that Flower writes into a page: a number, and nothing that it was told."""
    digests = [
        b64encode(sha256(script.encode()).digest()).decode() for script in _REFRESH.findall(page)
    ]
    allowed = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return f"{DOCUMENTATION_POLICY}; script-src {allowed}"


def _add_way_back(page: str, path: str) -> str:
    """Lead from a page of Flower to the plan that its task is about, or to the plans."""
    found = _TASK.fullmatch(path)
    if found:
        address = reverse("admin:migrations_app_plan_change", args=[UUID(found["plan"])])
        words = f"Plan {found['plan']} in SAM"
    else:
        address, words = reverse("admin:migrations_app_plan_changelist"), "Plans in SAM"
    link = '<p class="container-fluid mt-3 mb-0"><a href="{}">{}</a></p>'
    return page.replace(_BEFORE, format_html(link, address, words) + _BEFORE, 1)
