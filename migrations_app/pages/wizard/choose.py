"""Step 1: which engine. What fits, what does not and why, and which one is recommended for what reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.services.catalog.engine_options import (
    EngineOption,
    all_engine_options,
    choosable_engines,
    engine_options,
)
from engines.services.catalog.search.library import load_page
from engines.services.knowledge.recutting import bases_cut_otherwise
from engines.services.people.roles import is_operator
from migrations_app.api.problems import status_of
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.wizard.base import CHOOSE, MEANING, stages_of
from migrations_app.pages.wizard.drafts import MAX_SHOWN, begin_draft, drafts_of
from migrations_app.plans.titles import title_for

PER_PAGE = 24
MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Choices:
    """One page of engines, sorted into what can be chosen and what cannot."""

    page: Page[Any]
    current: EngineOption | None
    recommended: EngineOption | None
    why_recommended: str
    others: Sequence[EngineOption]
    unfit: Sequence[EngineOption]


def choices_for(request: HttpRequest, whom: User, wanted: str = "") -> Choices:
    """Return the page of engines that a request asks for; its first one, unsearched, recommends one."""
    everything = None if wanted else all_engine_options(whom)
    if everything is None:
        # Keys alone are sorted: whole rows of a large catalog take several times as long.
        keys = choosable_engines(whom, wanted).select_related(None).only("pk")
        page: Page[Any] = paginate(request, keys, PER_PAGE)
        options = engine_options(whom, load_page(page))
    else:
        page = Paginator(everything, PER_PAGE).get_page(request.GET.get("page"))
        options = list(page)
    return _sort(page, options, recommend=not wanted and page.number == 1)


def _sort(page: Page[Any], options: list[EngineOption], *, recommend: bool) -> Choices:
    current = next((option for option in options if option.is_current), None)
    free = [option for option in options if option.fits and not option.is_current]
    chosen, why = _recommendation(free) if recommend else (None, "")
    return Choices(
        page=page,
        current=current,
        recommended=chosen,
        why_recommended=why,
        others=[option for option in free if option is not chosen],
        unfit=[option for option in options if not option.fits and not option.is_current],
    )


def _recommendation(free: Sequence[EngineOption]) -> tuple[EngineOption | None, str]:
    """Return the engine to begin with: a curator's word, else the largest that is quick enough here."""
    curated = [option for option in free if option.is_recommended]
    if curated:
        largest = max(curated, key=_size)
        return largest, _reasons(largest)
    quick = [option for option in free if option.best and not option.best.judgement.is_slow]
    judged = [option for option in quick if _size(option)]
    if not judged:
        return None, ""
    largest = max(judged, key=_size)
    return largest, _reasons(largest, "The largest that runs at a good pace on our hosts")


def _size(option: EngineOption) -> int:
    return option.best.judgement.needs_bytes if option.best else 0


def _reasons(option: EngineOption, first: str = "") -> str:
    reasons = [first, *option.reasons] if first else option.reasons
    return "; ".join(reasons) + "."


def _text(sent: str | None) -> str:
    """Return what was sent as the database can be asked for it."""
    return (sent or "").replace("\x00", "").strip()[:MAX_TEXT]


class ChooseView(PageView):
    """The first page; operators may choose for somebody else."""

    title: ClassVar[str] = "Move to another engine"
    section: ClassVar[str] = "migrate"
    template_name: ClassVar[str] = "pages/wizard/choose.html"
    part_name: ClassVar[str] = "pages/wizard/choices.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the engines."""
        return self._show(self._whom(_text(request.GET.get("person"))))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a plan of the choice, or go on with the one begun before."""
        whom = self._whom(_text(request.POST.get("person")))
        engine = _text(request.POST.get("engine"))
        try:
            plan_id = begin_draft(whom, engine, actor=self.person)
        except SamError as error:
            return self._show(whom, refusal=error, refused=engine)
        return self.go(MEANING, plan_id=plan_id)

    def _whom(self, name: str) -> User:
        if not name or name == self.person.get_username():
            return self.person
        person = User.objects.filter(username=name, is_active=True).first()
        if person is None or not is_operator(self.person):
            raise Http404
        return person

    def _show(
        self, whom: User, *, refusal: SamError | None = None, refused: str = ""
    ) -> HttpResponse:
        wanted = _text(self.request.GET.get("q"))
        context: dict[str, Any] = {
            "choices": choices_for(self.request, whom, wanted),
            "stages": stages_of(None, CHOOSE),
            "wanted": wanted,
            "whom": whom,
            "is_for_another": whom != self.person,
            "for_whom": whom.get_username(),
            "may_choose_person": is_operator(self.person),
            "drafts": [
                (draft, title_for(draft, self.person.pk))
                for draft in drafts_of(whom, self.person)[:MAX_SHOWN]
            ],
            # Names of bases are their owner's alone.
            "cut_otherwise": bases_cut_otherwise(whom.pk)[:MAX_SHOWN]
            if whom == self.person
            else [],
            "draft_days": settings.SAM_DRAFT_DAYS,
            "refusal": str(refusal) if refusal else "",
            "refused": refused,
        }
        return self.render(context, status=status_of(refusal) if refusal else 200)
