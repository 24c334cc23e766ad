"""What people are told of a plan; written with the very change of its status, or not at all."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.db.models import Q

from engines.models import NoticeKind
from engines.moments import day_in_words
from engines.services.people.notices import Message, notify
from engines.services.people.roles import ADMINISTRATOR, OPERATOR
from migrations_app.models import Plan, Step
from migrations_app.plans.titles import destination_of, leaves_none
from migrations_app.states import PERSON_KINDS, PlanKind, PlanStatus

_DONE = {
    PlanKind.MIGRATE: "You are on {engine} now",
    PlanKind.RE_EMBED: "Your knowledge was embedded anew",
    PlanKind.RESTORE: "Your backup was put back",
}
_WHAT = {
    PlanKind.MIGRATE: "move to {engine}",
    PlanKind.ROLLBACK: "way back to {engine}",
    PlanKind.RE_EMBED: "new embedding of your knowledge",
    PlanKind.RESTORE: "restore of your backup",
}
_UNTIL_THEN = {PlanKind.RESTORE: "What you have is kept in a backup before anything is replaced."}


def notify_of_plan_made(plan: Plan) -> None:
    """Tell a person that somebody else made a plan for them."""
    maker = plan.created_by
    if maker is None or maker == plan.user:
        return
    title = f"{maker.get_username()} planned a {_what(plan)} for you"
    _tell(plan, NoticeKind.PLAN_STARTED, title, "Nothing is changed yet.")


def notify_of_plan(plan: Plan, to: PlanStatus, *, who: str) -> None:
    """Tell a plan's person of its new status; what they did themselves a moment ago is no news."""
    did_it = plan.user is not None and plan.user.get_username() == who
    what, until = _what(plan), plan.retention_until
    if to == PlanStatus.IN_PROGRESS and not did_it:
        _tell(
            plan,
            NoticeKind.PLAN_STARTED,
            f"The {what} has begun",
            _until_then(plan),
        )
    elif to == PlanStatus.COMPLETED and plan.kind in _DONE:
        back = f" It can be taken back until {day_in_words(until)}." if until else ""
        title = _DONE[PlanKind(plan.kind)].format(engine=destination_of(plan))
        _tell(plan, NoticeKind.PLAN_DONE, title, f"The {what} is done.{back}")
    elif to == PlanStatus.ROLLED_BACK:
        _tell(
            plan,
            NoticeKind.PLAN_TAKEN_BACK,
            f"The {what} was taken back",
            "Everything is as it was before; what you wrote since is kept.",
        )
    elif to == PlanStatus.FAILED:
        _tell(
            plan,
            NoticeKind.PLAN_FAILED,
            f"The {what} failed",
            "Nothing was changed for you; its page says why.",
        )
    elif to == PlanStatus.CANCELLED and plan.started_at is None and not did_it:
        title = f"The planned {what} was dropped"
        _tell(plan, NoticeKind.PLAN_FAILED, title, "It was never started; nothing was changed.")
    elif to == PlanStatus.CANCELLED and not did_it:
        _tell(plan, NoticeKind.PLAN_FAILED, f"The {what} was stopped", "Nothing was changed.")


def notify_of_plan_not_started(plan: Plan, why: str) -> None:
    """Tell a person that a plan could not start at its time, and has to be confirmed again."""
    title = f"The {_what(plan)} could not start at its time"
    _tell(plan, NoticeKind.PLAN_FAILED, title, f"{why} Nothing was changed.")


def notify_of_waiting_step(step: Step) -> None:
    """Tell operators that a step needs one of them, and the plan's person that it waits."""
    plan = step.plan
    about = f" of {plan.user.get_username()}" if plan.user else ""
    operators = User.objects.filter(
        Q(is_superuser=True)
        | Q(groups__in=Group.objects.filter(name__in=[OPERATOR, ADMINISTRATOR])),
        is_active=True,
    )
    message = Message(
        NoticeKind.OPERATOR_NEEDED,
        f"A step needs an operator: {step.kind} of a {plan.kind} plan{about}",
        "The plan's page says what was tried, and offers to try again or to abandon it.",
        f"/admin/migrations_app/plan/{plan.pk}/change/",
    )
    notify(operators.distinct().order_by("pk"), message)
    _tell(
        plan,
        NoticeKind.PLAN_FAILED,
        f"The {_what(plan)} waits for an operator",
        f"{'Nothing was changed' if leaves_none(plan) else 'Your present engine goes on answering'}; operators were told.",
    )


def _tell(plan: Plan, kind: NoticeKind, title: str, text: str) -> None:
    if plan.user is not None and plan.kind in PERSON_KINDS:
        notify([plan.user], Message(kind, title, text, link_to_plan(plan)))


def link_to_plan(plan: Plan) -> str:
    """Return the path of the page on which a plan's person sees it."""
    return f"/migrate/{plan.pk}/"


def _until_then(plan: Plan) -> str:
    if leaves_none(plan):
        return "It answers you once it is proven."
    usual = "Your present engine answers until the new one is proven."
    return _UNTIL_THEN.get(PlanKind(plan.kind), usual)


def _what(plan: Plan) -> str:
    words = _WHAT.get(PlanKind(plan.kind), "plan")
    return words.format(engine=destination_of(plan))
