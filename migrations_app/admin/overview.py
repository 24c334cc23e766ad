"""The admin's first page: hosts over time, running plans, what needs somebody, storage, engines in use."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    HostSample,
    HostStatus,
    LoraAdapter,
    ModelCopy,
)
from engines.services.engine_choice import count_people_by_engine
from engines.services.people.roles import is_curator, is_operator
from migrations_app.models import Backup, CollectionRun, MassMove, MassMoveLine, Plan, Step
from migrations_app.moves.counts import count_states, percent_done
from migrations_app.plans.titles import title_for
from migrations_app.serving.host_state import HostState, read_host_states
from migrations_app.serving.redis_keys import redis_client
from migrations_app.states import STEP_TITLES, PlanStatus, StepStatus

MAX_LINES = 20
FAILED_SINCE = timedelta(days=7)
COLLECTED_SINCE = timedelta(days=7)
SHORT_SHARE = 0.1
WIDTH, HEIGHT = 100.0, 20.0
"""Of a small curve, in its own units."""

EnginesInUse = list[tuple[CatalogModel, int]]


@dataclass(frozen=True, slots=True)
class HostCard:
    """One host now and over the last day; curves are points of an SVG polyline, empty without samples."""

    host: Host
    state: HostState | None
    load: float | None
    memory_used: int | None
    load_curve: str
    memory_curve: str
    disk_curve: str

    @property
    def disk_used_percent(self) -> float:
        """Return how full the disk of model files is."""
        total = self.host.disk_total_bytes
        return 100 * (1 - self.host.disk_free_bytes / total) if total else 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for a person."""

    title: str
    text: str
    tone: str
    href: str


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A running plan."""

    plan: Plan
    title: str
    step: str


@dataclass(frozen=True, slots=True)
class MoveLine:
    """A move of many people that goes on."""

    move: MassMove
    people: int
    percent: float


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something there is; bytes or people."""

    label: str
    count: int


def add_overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Give the first page what its reader may see; called by Unfold."""
    return {**context, **describe_site(request)}


def overview_live(request: HttpRequest) -> HttpResponse:
    """Answer with the part of the first page that moves."""
    return TemplateResponse(request, "admin/overview/live.html", describe_site(request))


def describe_site(request: HttpRequest) -> dict[str, Any]:
    """Return everything in a number of queries that does not depend on how much there is."""
    operates = is_operator(request.user)
    if not (operates or is_curator(request.user)):
        return {"sees_nothing": True}
    hosts = list(Host.objects.exclude(status=HostStatus.RETIRED))
    in_use = _count_engines_in_use()
    return {
        "operates": operates,
        "host_cards": _host_cards(hosts),
        "moves": _moves() if operates else [],
        "running": _running() if operates else [],
        "needs": _needs(hosts, in_use, operates=operates),
        "storage": _storage(),
        "engines_in_use": [Amount(engine.display_name, people) for engine, people in in_use][
            :MAX_LINES
        ],
    }


def _host_cards(hosts: list[Host]) -> list[HostCard]:
    samples: dict[int, list[HostSample]] = defaultdict(list)
    for sample in HostSample.objects.filter(host__in=hosts).order_by("at"):
        samples[sample.host_id].append(sample)
    states = read_host_states(redis_client(settings.REDIS_URL), [host.name for host in hosts])
    return [_card(host, states.get(host.name), samples[host.pk]) for host in hosts]


def _card(host: Host, state: HostState | None, samples: list[HostSample]) -> HostCard:
    last = samples[-1] if samples else None
    free = host.disk_total_bytes or 1
    return HostCard(
        host,
        state,
        last.load if last else None,
        last.memory_used_bytes if last else None,
        _curve([s.load for s in samples], host.cores or 1),
        _curve([s.memory_used_bytes for s in samples], host.memory_bytes or 1),
        _curve([host.disk_total_bytes - s.disk_free_bytes for s in samples], free),
    )


def _curve(values: list[float] | list[int], full: float) -> str:
    """Draw values between 0 and ``full``, or above it when they are higher; two make a line."""
    if len(values) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    top = max(full, *values)
    step = WIDTH / (len(values) - 1)
    points = (
        f"{number * step:.1f},{HEIGHT - HEIGHT * value / top:.1f}"
        for number, value in enumerate(values)
    )
    return " ".join(points)


def _moves() -> list[MoveLine]:
    moves = MassMove.objects.filter(finished_at=None).select_related("to_engine")[:MAX_LINES]
    counts = count_states(moves)
    return [
        MoveLine(move, sum(counts[move.pk].values()), percent_done(counts[move.pk]))
        for move in moves
    ]


def _running() -> list[PlanLine]:
    """Return the newest running plans; those of a move of many people are told by its line."""
    joined = ("user", "host", "from_engine", "to_engine")
    of_moves = MassMoveLine.objects.filter(move__finished_at=None, plan__isnull=False)
    plans = Plan.objects.filter(status=PlanStatus.IN_PROGRESS).select_related(*joined)
    plans = plans.exclude(pk__in=of_moves.values("plan"))
    return [
        PlanLine(plan, title_for(plan), STEP_TITLES.get(plan.current_step, plan.current_step))
        for plan in plans.order_by("-started_at")[:MAX_LINES]
    ]


def _needs(hosts: list[Host], in_use: EnginesInUse, *, operates: bool) -> list[Need]:
    about_plans = [*_waiting_steps(), *_failed_plans()] if operates else []
    return [*about_plans, *_host_needs(hosts), *_withdrawn_engines(in_use)]


def _waiting_steps() -> list[Need]:
    joined = [f"plan__{name}" for name in ("user", "host", "from_engine", "to_engine")]
    steps = Step.objects.filter(status=StepStatus.NEEDS_OPERATOR).select_related(*joined)
    return [
        Need(
            title_for(step.plan), step.error or "A step waits for you.", "warning", _plan(step.plan)
        )
        for step in steps.order_by("-id")[:MAX_LINES]
    ]


def _failed_plans() -> list[Need]:
    since = timezone.now() - FAILED_SINCE
    failed = Plan.objects.filter(status=PlanStatus.FAILED, finished_at__gt=since)
    joined = failed.select_related("user", "host", "from_engine", "to_engine")
    return [
        Need(title_for(plan), plan.error_message or "It failed.", "danger", _plan(plan))
        for plan in joined.order_by("-finished_at")[:MAX_LINES]
    ]


def _host_needs(hosts: list[Host]) -> list[Need]:
    needs = []
    for host in hosts:
        link = reverse("admin:engines_host_change", args=[host.pk])
        if host.status == HostStatus.LOST:
            text = "Its workers are silent: start them, or move its plans to another host."
            needs.append(Need(f"{host.name} is lost", text, "danger", link))
        if host.status == HostStatus.DRAINING:
            text = "Retire it once nothing runs there, or take it back into service."
            needs.append(Need(f"{host.name} is draining", text, "warning", link))
        if host.disk_total_bytes and host.disk_free_bytes < SHORT_SHARE * host.disk_total_bytes:
            text = "Less than a tenth of its disk is free: delete files that nobody needs."
            needs.append(Need(f"{host.name} runs out of disk", text, "warning", link))
    return needs


def _withdrawn_engines(in_use: EnginesInUse) -> list[Need]:
    """Engines that are not offered any more and still answer somebody."""
    link = f"{reverse('admin:engines_catalogmodel_changelist')}?published__exact=0"
    withdrawn = [(engine, people) for engine, people in in_use if not engine.published]
    return [
        Need(
            f"{engine.display_name} is withdrawn",
            f"It still answers {people} {'person' if people == 1 else 'people'}: move them.",
            "info",
            link,
        )
        for engine, people in withdrawn[:MAX_LINES]
    ]


def _storage() -> list[Amount]:
    held = Sum("file_size", filter=Q(status=CopyStatus.DOWNLOADED))
    files = ModelCopy.objects.aggregate(total=held)["total"]
    adapters = LoraAdapter.objects.aggregate(total=Sum("file_size"))["total"]
    backups = Backup.objects.aggregate(total=Sum("file_size"))["total"]
    runs = CollectionRun.objects.filter(started_at__gt=timezone.now() - COLLECTED_SINCE)
    return [
        Amount("Model files on hosts", files or 0),
        Amount("Adapters", adapters or 0),
        Amount("Backups", backups or 0),
        Amount("Collected within a week", runs.aggregate(total=Sum("size"))["total"] or 0),
    ]


def _count_engines_in_use() -> EnginesInUse:
    """Return each engine that answers somebody, with how many, the most used first."""
    people = count_people_by_engine()
    engines = CatalogModel.objects.filter(pk__in=people).only("display_name", "published")
    return sorted(((engine, people[engine.pk]) for engine in engines), key=lambda line: -line[1])


def _plan(plan: Plan) -> str:
    return reverse("admin:migrations_app_plan_change", args=[plan.pk])
