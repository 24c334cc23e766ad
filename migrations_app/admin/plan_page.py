"""What the page of one plan shows: what it is about, where it is, what may be asked, what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.actions import legal_actions
from migrations_app.plans.titles import title_for
from migrations_app.signs import Tone, look_of
from migrations_app.states import (
    ABOUT_PEOPLE,
    PLAN_FINAL,
    STEP_TITLES,
    PlanAction,
    PlanKind,
    PlanStatus,
    StepStatus,
)
from migrations_app.wakeups import step_task_id

BUTTON_KINDS = {
    PlanAction.EXECUTE: "primary",
    PlanAction.RESUME: "primary",
    PlanAction.RETRY: "primary",
    PlanAction.ABANDON: "danger",
}
MAX_EVENTS = 200


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about a plan."""

    label: str
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as the timeline shows it."""

    step: Step
    title: str
    percent: float
    task: str
    """The id of its newest message, under which Flower keeps it."""
    task_page: str
    """Where Flower shows it; empty where no Flower runs."""

    @property
    def css(self) -> str:
        """Return the class of its line."""
        if self.step.status == StepStatus.COMPLETED:
            return "is-done"
        return "is-waiting" if self.step.status == StepStatus.PENDING else ""

    @property
    def tone(self) -> Tone:
        """Return the tone of its number."""
        return look_of(self.step.status).tone

    @property
    def is_running(self) -> bool:
        """Whether a bar is shown."""
        return self.step.status == StepStatus.IN_PROGRESS


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that may be asked of the plan now."""

    action: str
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """One entry of what happened."""

    event: PlanEvent
    about: str
    """The step's title; empty for the plan itself."""
    change: str


class PlanContext(TypedDict):
    """For the template of a plan's page."""

    plan: Plan
    plan_title: str
    is_open: bool
    steps: list[StepRow]
    asks: list[Ask]
    facts: list[Fact]
    events: list[EventRow]


def describe_plan(plan: Plan) -> PlanContext:
    """Return what the page shows, in a number of queries that does not depend on the plan."""
    steps = list(plan.steps.select_related("host").order_by("position"))
    events = plan.events.select_related("step").order_by("-id")[:MAX_EVENTS]
    return {
        "plan": plan,
        "plan_title": title_for(plan),
        "is_open": plan.status not in PLAN_FINAL,
        "steps": [_row(plan, step) for step in steps],
        "asks": [_ask(action) for action in legal_actions(plan)],
        "facts": facts_of(plan),
        "events": [_event(event) for event in events],
    }


def facts_of(plan: Plan) -> list[Fact]:
    """Return what is true of a plan of this kind, and nothing that only others have."""
    facts = [*_about_person(plan)] if plan.kind in ABOUT_PEOPLE else [*_about_file(plan)]
    if plan.host is not None:
        facts.append(Fact("Host", plan.host.name, _page("engines_host", plan.host.pk)))
    if plan.created_by is not None:
        facts.append(Fact("Made by", plan.created_by.get_username()))
    return facts


def _about_person(plan: Plan) -> list[Fact]:
    facts = []
    if plan.user is not None:
        facts.append(Fact("Person", plan.user.get_username(), _page("auth_user", plan.user.pk)))
    for label, engine in (("From", plan.from_engine), ("To", plan.to_engine)):
        if engine is not None:
            link = _page("engines_catalogmodel", engine.pk)
            facts.append(Fact(label, f"{engine.display_name} ({engine.model_id})", link))
    if plan.kind == PlanKind.MIGRATE:
        facts += _options(plan)
    if plan.rolls_back_id is not None:
        link = _page("migrations_app_plan", plan.rolls_back_id)
        facts.append(Fact("Takes back", f"plan {str(plan.rolls_back_id)[:8]}", link))
    if plan.kind != PlanKind.ROLLBACK:
        facts.append(Fact("Passages", str(plan.knowledge_base_size)))
        facts.append(Fact("Expected time", f"about {plan.estimated_duration_minutes} min"))
    return facts


def _options(plan: Plan) -> list[Fact]:
    adapters = "with adapters" if plan.backup_lora_adapters else "without adapters"
    searches = "is re-embedded" if plan.re_embed_knowledge else "stays with the old embedder"
    prompts = "those of the new family" if plan.update_prompt_templates else "stay as they are"
    return [Fact("Backup", adapters), Fact("Knowledge", searches), Fact("Prompts", prompts)]


def _about_file(plan: Plan) -> list[Fact]:
    facts = []
    if plan.to_engine is not None:
        link = _page("engines_catalogmodel", plan.to_engine.pk)
        facts.append(
            Fact("Model", f"{plan.to_engine.display_name} ({plan.to_engine.model_id})", link)
        )
    if plan.to_revision is not None:
        facts.append(Fact("Commit", plan.to_revision.commit[:12]))
        if plan.to_revision.file_size:
            facts.append(Fact("Size", filesizeformat(plan.to_revision.file_size)))
    return facts


def _row(plan: Plan, step: Step) -> StepRow:
    number = step.publish_count
    task = step_task_id(plan.pk, step.kind, number) if number else ""
    page = reverse("flower", kwargs={"path": f"task/{task}"})
    shown = page if task and settings.SAM_FLOWER_URL else ""
    title = STEP_TITLES.get(step.kind, step.kind)
    return StepRow(step, title, 100 * step.progress, task, shown)


def _ask(action: PlanAction) -> Ask:
    return Ask(str(action), str(action.label), BUTTON_KINDS.get(action, "quiet"))


def _event(event: PlanEvent) -> EventRow:
    about = STEP_TITLES.get(event.step.kind, event.step.kind) if event.step else ""
    labels = StepStatus if event.step else PlanStatus
    old, new = (_label(labels, value) for value in (event.from_status, event.to_status))
    return EventRow(event, about, new if old in ("", new) else f"{old} → {new}")


def _label(labels: type[StepStatus] | type[PlanStatus], value: str) -> str:
    return str(labels(value).label) if value else ""


def _page(name: str, key: object) -> str:
    return reverse(f"admin:{name}_change", args=[key])
