"""The same question to the old and to the new engine, side by side, for the person who is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from msgspec import structs

from engines.exceptions import HostUnavailableError, SamError
from engines.models import CopyStatus, ModelCopy, ModelRevision
from engines.services.answers.messages import AnswerRequest
from engines.services.hosts import present_hosts
from engines.services.knowledge.access import readable_bases
from engines.services.people.usage import estimate_tokens, reserved_tokens
from migrations_app.limits.held import ANSWERS, holding
from migrations_app.models import Plan
from migrations_app.pages.excerpts import excerpts_of
from migrations_app.pages.forms import PageForm
from migrations_app.pages.wizard.base import TRY, PlanPage
from migrations_app.pages.wizard.wording import old_name
from migrations_app.plans.titles import destination_of
from migrations_app.serving.answers import GENERATE_SECONDS, search_for
from migrations_app.serving.client import LiveClient
from migrations_app.serving.protocol import GENERATE

MAX_QUESTION = 2000
MAX_TOKENS = 400
PASSAGES = 3
PASSAGE_CHARACTERS = 1000
"""About what a passage adds to a prompt."""
NOT_BOTH = "Both engines have to be on a host that is up; at the moment they are not."


@dataclass(frozen=True, slots=True)
class TriedAnswer:
    """What one engine said, or why it could not."""

    engine: str
    label: str
    text: str = ""
    trouble: str = ""


class TriedPassage(NamedTuple):
    """A passage that both were given."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both answers, and the passages that both were given."""

    answers: list[TriedAnswer]
    passages: list[TriedPassage]


def can_compare(plan: Plan) -> bool:
    """Whether both engines are on hosts that are up, so that both can be asked."""
    wanted = {plan.from_revision_id, plan.to_revision_id}
    if None in wanted or plan.from_revision_id == plan.to_revision_id:
        return False
    held = ModelCopy.objects.filter(
        revision__in=wanted, status=CopyStatus.DOWNLOADED, host__in=present_hosts()
    )
    return held.values("revision").distinct().count() == len(wanted)


def ask_both(plan: Plan, person: User, question: str) -> Comparison:
    """Ask the old and the new engine, one after the other, from the same passages; nothing is kept.

    Both answers count for the person's tokens of the day. Raises TooManyAtOnceError,
    QuotaExceededError, and what searching raises.
    """
    with holding(person.pk, ANSWERS):
        passages = _passages(person, question)
        request = AnswerRequest(
            user_id=person.pk,
            messages=[{"role": "user", "content": question}],
            max_tokens=MAX_TOKENS,
            temperature=0.0,
            knowledge=PASSAGES if passages else None,
        )
        before = _ask(plan.from_revision, "Before", old_name(plan), request)
        after = _ask(plan.to_revision, "After", destination_of(plan), request)
    return Comparison([before, after], passages)


def _passages(person: User, question: str) -> list[TriedPassage]:
    if not readable_bases(person).filter(live_index__isnull=False).exists():
        return []
    hits = search_for(person, question, PASSAGES).hits
    texts = excerpts_of(hits)
    return [TriedPassage(hit.title, text) for hit, text in zip(hits, texts, strict=True)]


def _ask(
    revision: ModelRevision | None, label: str, engine: str, request: AnswerRequest
) -> TriedAnswer:
    if revision is None:
        return TriedAnswer(engine, label, trouble="There was no engine.")
    characters = sum(len(message["content"]) for message in request.messages or ())
    wanted = estimate_tokens(characters + PASSAGES * PASSAGE_CHARACTERS, MAX_TOKENS)
    with reserved_tokens(request.user_id, wanted) as reserved:
        reservation_id = reserved.pk if reserved else None
        asked = structs.replace(request, revision_id=revision.pk, reservation_id=reservation_id)
        try:
            client = LiveClient(settings.REDIS_URL)
            answer = client.call(GENERATE, asked, timeout=GENERATE_SECONDS)
        except SamError as error:
            # The other engine's answer is worth seeing all the same.
            return TriedAnswer(engine, label, trouble=str(error))
    return TriedAnswer(engine, label, text=answer.text)


class QuestionForm(PageForm):
    """What both are asked."""

    question = forms.CharField(
        label="Your question",
        max_length=MAX_QUESTION,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Both answer from the same passages of your knowledge. Nothing is kept.",
    )


class TryView(PlanPage):
    """A question to both; only the person themselves asks it."""

    title: ClassVar[str] = "Try a question on both"
    page: ClassVar[str] = TRY
    template_name: ClassVar[str] = "pages/wizard/try.html"
    part_name: ClassVar[str] = "pages/wizard/answers.html"

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show the question's form."""
        self._refuse_others()
        return self._show(QuestionForm())

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Ask both."""
        self._refuse_others()
        form = QuestionForm(request.POST)
        if not can_compare(self.plan):
            form.refuse(HostUnavailableError(NOT_BOTH))
        if not form.is_valid():
            return self._show(form)
        try:
            found = ask_both(self.plan, self.person, form.cleaned_data["question"])
        except SamError as error:
            return self._show(form, refusal=error)
        return self._show(form, found)

    def _refuse_others(self) -> None:
        """What somebody knows is asked by nobody else, whatever their office."""
        if self.plan.user_id != self.person.pk:
            raise Http404

    def _show(
        self,
        form: QuestionForm,
        found: Comparison | None = None,
        *,
        refusal: SamError | None = None,
    ) -> HttpResponse:
        context = {
            "engine": destination_of(self.plan),
            "old_engine": old_name(self.plan),
            "form": form,
            "found": found,
            "can_compare": can_compare(self.plan),
            "why_not": NOT_BOTH,
        }
        return self.show(context, refusal=refusal)
