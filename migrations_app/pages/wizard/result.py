"""The end of a plan: before and after side by side, and the way back with its date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.models import AdapterStatus, LoraAdapter
from engines.services.catalog.capabilities import context_of
from migrations_app.models import Plan, Step
from migrations_app.pages.plans import describe_duration, line_of
from migrations_app.pages.wizard.base import PROGRESS, RESULT, PlanPage
from migrations_app.pages.wizard.comparison import can_compare
from migrations_app.pages.wizard.progress import list_steps
from migrations_app.pages.wizard.quality import quality_of_plan
from migrations_app.pages.wizard.wording import (
    base_name,
    counted,
    is_cutting,
    old_name,
    spaced,
    who_answers,
)
from migrations_app.plans.titles import destination_of, leaves_none
from migrations_app.signs import Tone
from migrations_app.states import PlanAction, PlanKind, PlanStatus, StepStatus


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing before and after."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a plan ended, for whoever opens its page."""

    title: str
    text: str
    tone: Tone


class ResultView(PlanPage):
    """What came of a plan; a POST takes it back."""

    page: ClassVar[str] = RESULT
    template_name: ClassVar[str] = "pages/wizard/result.html"
    statuses: ClassVar[frozenset[PlanStatus]] = frozenset(PlanStatus) - {
        PlanStatus.PENDING,
        PlanStatus.IN_PROGRESS,
    }

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show it."""
        return self._show()

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Start the way back and show its progress."""
        try:
            back = self.controller.roll_back_migration(plan_id, actor=self.person)
        except SamError as error:
            return self._show(error)
        return self.go(PROGRESS, plan_id=back)

    def _show(self, refusal: SamError | None = None) -> HttpResponse:
        plan, steps = self.plan, list_steps(self.plan)
        ending = ending_of(plan, self.person.pk)
        back = plan.rollbacks.exclude(status=PlanStatus.CANCELLED).order_by("-created_at").first()
        return self.show(
            {
                "title": ending.title,
                "ending": ending,
                "engine": destination_of(plan),
                "old_engine": old_name(plan) if plan.kind != PlanKind.RE_EMBED else "how it was",
                "compared": list(_compare(plan, steps)) if _has_switched(plan) else [],
                "quality": quality_of_plan(plan, tells_content=self.tells_content),
                "lines": [line_of(step) for step in steps],
                "took": describe_duration(plan.finished_at - plan.started_at)
                if plan.finished_at and plan.started_at
                else "",
                "accepted": [said for proof in _proofs(steps) for said in proof.get("accepted", [])]
                if plan.status == PlanStatus.COMPLETED
                else [],
                "failed_at_proof": any(
                    step.kind == "probe" and step.status == StepStatus.FAILED for step in steps
                ),
                "back": back,
                "left": plan.switched.get("left", []),
                "may_take_back": PlanAction.ROLL_BACK in self.controller.legal_actions(plan.pk),
                "can_compare": plan.user_id == self.person.pk and can_compare(plan),
            },
            refusal=refusal,
        )


def ending_of(plan: Plan, reader_id: int) -> Ending:
    """Say how a plan ended."""
    if plan.kind == PlanKind.RE_EMBED:
        return _ending_of_base(plan, base_name(plan, reader_id))
    new, old = destination_of(plan), old_name(plan)
    match plan.status:
        case PlanStatus.COMPLETED if plan.kind == PlanKind.MIGRATE:
            stopped = len(plan.switched.get("adapters", []))
            kept = f", except {counted(stopped, 'adapter', 'adapters')}" if stopped else ""
            text = f"Everything of yours moved along{kept}."
            return Ending(f"You are on {new} now", text, Tone.SUCCESS)
        case PlanStatus.COMPLETED if plan.base is not None:
            text = "What you wrote since is still there."
            return Ending(f"{base_name(plan, reader_id)} is searched as before", text, Tone.SUCCESS)
        case PlanStatus.COMPLETED:
            text = "What you wrote since the move is still there."
            title = f"{new} answers you again" if plan.to_engine else "You have no engine again"
            return Ending(title, text, Tone.SUCCESS)
        case PlanStatus.ROLLED_BACK:
            text = "What you wrote since the move is still there."
            back = "you have no engine" if leaves_none(plan) else f"{old} answers you"
            return Ending(f"Taken back: {back} again", text, Tone.NEUTRAL)
        case PlanStatus.FAILED:
            text = f"Nothing was switched. {who_answers(plan)}."
            return Ending(f"The move to {new} did not work out", text, Tone.DANGER)
        case _:
            return Ending(f"The move to {new} was stopped", "Nothing was changed.", Tone.NEUTRAL)


def _ending_of_base(plan: Plan, base: str) -> Ending:
    match plan.status:
        case PlanStatus.COMPLETED if is_cutting(plan):
            done = counted(plan.switched.get("cut_anew", 0), "document has", "documents have")
            text = f"{done} new passages. What answers quoted still opens."
            return Ending(f"{base} is cut and embedded anew", text, Tone.SUCCESS)
        case PlanStatus.COMPLETED:
            text = f"It is searched with {destination_of(plan)} now."
            return Ending(f"{base} is embedded anew", text, Tone.SUCCESS)
        case PlanStatus.ROLLED_BACK:
            text = "It is searched as before; what was written since is found as well."
            return Ending(f"Taken back: {base} is as it was", text, Tone.NEUTRAL)
        case PlanStatus.FAILED:
            text = "Nothing was changed; search goes on as before."
            return Ending(f"{base} was not embedded anew", text, Tone.DANGER)
        case _:
            return Ending(
                f"Embedding {base} anew was stopped", "Nothing was changed.", Tone.NEUTRAL
            )


def _has_switched(plan: Plan) -> bool:
    return bool(plan.switched) and plan.kind == PlanKind.MIGRATE


def _compare(plan: Plan, steps: list[Step]) -> Iterator[Compared]:
    """Hold what was before against what the switch wrote."""
    had_engine = plan.from_engine is not None
    yield Compared("Engine", old_name(plan) if had_engine else "none", destination_of(plan))
    before, after = (
        f"{spaced(tokens)} tokens" if tokens else "not known"
        for tokens in (
            context_of(revision.model, revision) if revision is not None else 0
            for revision in (plan.from_revision, plan.to_revision)
        )
    )
    yield Compared("Context", before if had_engine else "none", after)
    yield from _compare_search(plan, steps)
    yield from _compare_adapters(plan)
    old = plan.from_engine.model_family if plan.from_engine else ""
    new = plan.switched.get("prompt_family", old)
    yield Compared("Prompts", _prompts_of(old), _prompts_of(new))


def _prompts_of(family: str) -> str:
    return f"of the family {family}" if family else "of no family"


def _compare_search(plan: Plan, steps: list[Step]) -> Iterator[Compared]:
    related = ("from_index__fingerprint__revision__model", "to_index__fingerprint__revision__model")
    switches = list(plan.index_switches.select_related(*related))
    old = {s.from_index.fingerprint.revision.model.display_name for s in switches if s.from_index}
    new = {s.to_index.fingerprint.revision.model.display_name for s in switches}
    if new:
        yield Compared(
            "Searches with", ", ".join(sorted(old)) or "nothing yet", ", ".join(sorted(new))
        )
    proofs = _proofs(steps)
    asked = sum(proof["compared"] for proof in proofs)
    if asked:
        found = [sum(proof[key] for proof in proofs) for key in ("old_found", "found")]
        label = f"Passages found, of {counted(asked, 'question', 'questions')}"
        yield Compared(label, str(found[0]), str(found[1]))


def _proofs(steps: list[Step]) -> list[dict[str, Any]]:
    probe = next((step for step in steps if step.kind == "probe"), None)
    indexes = probe.result.get("indexes", []) if probe is not None else []
    return [proof for proof in indexes if proof.get("compared")]


def _compare_adapters(plan: Plan) -> Iterator[Compared]:
    stopped = plan.switched.get("adapters", [])
    if not stopped:
        return
    left = LoraAdapter.objects.filter(pk__in=stopped, status=AdapterStatus.INVALIDATED).count()
    before = f"{counted(len(stopped), 'works', 'work')}"
    after = f"{counted(left, 'needs', 'need')} retraining" if left else "all work again"
    yield Compared("Adapters", before, after)
