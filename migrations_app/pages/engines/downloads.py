"""/engines/downloads/: what hosts are fetching now, and what they have fetched; for operators."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse

from engines.exceptions import SamError
from migrations_app.api.problems import status_of
from migrations_app.controller import get_migration_controller
from migrations_app.library import get_model_library_manager
from migrations_app.models import Plan
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.engines.parts import SECTION, require_operator, tabs_for
from migrations_app.pages.engines.transfers import file_plans, open_transfers
from migrations_app.states import PLAN_OPEN, PlanAction, PlanKind

PER_PAGE = 25
AGAIN = "again"


class DownloadsPage(PageView):
    """The page that both show: running downloads, live, and the history of those that ended."""

    title: ClassVar[str] = "Downloads"
    section: ClassVar[str] = SECTION
    template_name: ClassVar[str] = "pages/engines/downloads.html"
    part_name: ClassVar[str] = "pages/engines/running.html"
    follows_plans: ClassVar[bool] = True

    def show(self, refused: str = "", refusal: SamError | None = None) -> HttpResponse:
        """Show them, with why the last wish was refused beside the download it was about."""
        sentence = str(refusal) if refusal else ""
        rows = file_plans(PlanKind.DOWNLOAD)
        running = open_transfers(rows, refused=refused, refusal=sentence)
        ended = rows.exclude(status__in=PLAN_OPEN).order_by("-finished_at", "-created_at", "pk")
        page = paginate(self.request, ended, PER_PAGE)
        is_placed = any(transfer.refusal for transfer in running)
        context = {
            "running": running,
            "page": page,
            "refusal": "" if is_placed else sentence,
            "tabs": tabs_for(self.person, "engine-downloads"),
        }
        return self.render(context, status=status_of(refusal) if refusal else 200)


class DownloadsView(DownloadsPage):
    """All downloads."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        require_operator(self.person)
        return self.show()


class DownloadView(DownloadsPage):
    """One download: pause it, have it go on, cancel it, try it again, or begin it anew."""

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show the list it is in."""
        return self.go("engine-downloads")

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Ask of it what the pressed button says."""
        require_operator(self.person)
        plan = file_plans(PlanKind.DOWNLOAD).filter(pk=plan_id).first()
        if plan is None:
            raise Http404
        try:
            said = self._act(plan, request.POST.get("do", ""))
        except SamError as error:
            return self.show(plan.migration_id, error)
        if said:
            messages.success(request, said)
        return self.go("engine-downloads")

    def _act(self, plan: Plan, wish: str) -> str:
        controller = get_migration_controller()
        if wish == PlanAction.CANCEL:
            controller.cancel_migration(plan.pk, actor=self.person)
            return (
                "Asked to stop. What has arrived stays; start it again and it goes on from there."
            )
        if wish == PlanAction.PAUSE:
            controller.pause_migration(plan.pk, actor=self.person)
            return "Paused. What has arrived stays on the host."
        if wish == PlanAction.RESUME:
            controller.resume_migration(plan.pk, actor=self.person)
            return "It goes on from what has arrived."
        if wish == PlanAction.RETRY:
            controller.retry_step(plan.pk, actor=self.person)
            return "It is tried again."
        if wish == AGAIN and plan.to_engine is not None and plan.host is not None:
            get_model_library_manager().start_download(
                plan.to_engine.model_id, host=plan.host.name, actor=self.person
            )
            return "Started again; it goes on from what has arrived."
        return ""
