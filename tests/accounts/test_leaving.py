"""People who leave: nothing of theirs opens anything, nothing runs on for them, and they can come back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.test import Client

from engines.exceptions import ConflictError
from engines.models import ApiToken
from engines.services.people.tokens import create_token, find_owner
from migrations_app.limits.sign_in import find_person
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.people import deactivate_person, reactivate_person
from migrations_app.plans.planning import Options, plan_migration
from migrations_app.plans.transitions import claim_step, start_plan
from migrations_app.states import PlanStatus, StepStatus
from samproject.cli.errors import CommandError
from tests.accounts.browser import Browser
from tests.admin.test_admin import act, signed_in
from tests.api.roles import Engines, People, client_of, make_plan, problem
from tests.sam_command import run_sam

WAYS: dict[str, Callable[[People], object]] = {
    "door": lambda people: deactivate_person(people.alice, who="adam"),
    "rest": lambda people: client_of(people.administrator).post("/api/v1/people/alice/deactivate"),
    "command": lambda _people: run_sam("people", "deactivate", "alice"),
    "admin": lambda people: act(_staff(people), "/admin/auth/user/", "deactivate", [people.alice]),
    "form": lambda people: _untick(people),
}


def _staff(people: People) -> Client:
    User.objects.filter(pk=people.administrator.pk).update(is_staff=True)
    return signed_in(people.administrator)


def _untick(people: People) -> None:
    page = f"/admin/auth/user/{people.alice.pk}/change/"
    client = _staff(people)
    fields = client.get(page).context["adminform"].form.initial
    filled = {
        "username": "alice",
        "email": fields["email"],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
    }
    assert client.post(page, filled).status_code == 302


@pytest.mark.parametrize("way", WAYS)
def test_tokens_sessions_and_plans_end_by_every_door(
    people: People, engines: Engines, browser: Browser, way: str
) -> None:
    browser.sign_in("alice")
    key = create_token(people.alice, "laptop").key
    kept = create_token(people.bob, "laptop").key
    plan = make_plan(people.alice, engines)

    WAYS[way](people)

    assert not User.objects.get(username="alice").is_active
    assert find_owner(key) is None
    assert not ApiToken.objects.filter(user=people.alice).exists()
    assert not browser.reads_me()
    plan.refresh_from_db()
    assert plan.status == PlanStatus.CANCELLED
    browser.sign_in("alice")
    assert not browser.is_signed_in()
    assert find_owner(kept) == people.bob


def test_a_return_revives_no_session_and_no_token(people: People, browser: Browser) -> None:
    browser.sign_in("alice")
    key = create_token(people.alice, "laptop").key
    deactivate_person(people.alice, who="adam")

    reactivate_person(people.alice)

    assert not browser.reads_me()
    assert find_owner(key) is None
    browser.sign_in("alice")
    assert browser.reads_me()


def test_a_session_of_an_earlier_sam_ends_too(people: People) -> None:
    """It is in no list of sessions."""
    client = signed_in(people.alice)

    deactivate_person(people.alice, who="adam")
    reactivate_person(people.alice)

    assert client.get("/api/v1/me").status_code == 401


def test_a_step_under_way_is_undone_by_its_holder(people: People, engines: Engines) -> None:
    plan = make_plan(people.alice, engines)
    start_plan(plan.pk, who="alice")
    step = plan.steps.get(position=0)
    assert claim_step(step.pk, "worker") is not None

    deactivate_person(people.alice, who="adam")

    plan.refresh_from_db()
    assert (plan.status, plan.cancel_requested_at is not None) == (PlanStatus.IN_PROGRESS, True)
    asked = PlanEvent.objects.get(plan=plan, why="Cancel requested.")
    assert asked.who == "adam"


def test_what_has_switched_settles(people: People, engines: Engines) -> None:
    plan = make_plan(people.alice, engines)
    start_plan(plan.pk, who="alice")
    Step.objects.filter(plan=plan).exclude(kind="settle").update(status=StepStatus.COMPLETED)

    deactivate_person(people.alice, who="adam")

    plan.refresh_from_db()
    assert (plan.status, plan.cancel_requested_at) == (PlanStatus.IN_PROGRESS, None)


def test_nobody_plans_for_the_deactivated(people: People, engines: Engines) -> None:
    deactivate_person(people.alice, who="adam")

    with pytest.raises(ConflictError, match="reactivate"):
        plan_migration(people.alice, "current", "qwen-4b", Options(), actor=people.operator)

    assert not Plan.objects.exists()


def test_the_last_administrator_stays(people: People) -> None:
    create_token(people.administrator, "laptop")

    with pytest.raises(CommandError, match="only administrator"):
        run_sam("people", "deactivate", "adam")

    assert User.objects.get(username="adam").is_active
    assert ApiToken.objects.exists()
    User.objects.create_superuser("root")
    run_sam("people", "deactivate", "adam")
    assert not User.objects.get(username="adam").is_active


def test_the_form_says_why_the_last_administrator_stays(people: People) -> None:
    client = _staff(people)
    page = f"/admin/auth/user/{people.administrator.pk}/change/"
    filled = {"username": "adam", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    role = people.administrator.groups.get()

    answer = client.post(page, {**filled, "roles": [role.name], "is_staff": "on"}, follow=True)

    assert "only administrator" in answer.content.decode()
    assert User.objects.get(username="adam").is_active


def test_an_address_that_an_administrator_changes_opens_nothing_more(people: People) -> None:
    EmailAddress.objects.create(user=people.alice, email="alice@example.org", verified=True)
    client = _staff(people)
    filled = {
        "username": "alice",
        "email": "new@example.org",
        "is_active": "on",
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
    }

    client.post(f"/admin/auth/user/{people.alice.pk}/change/", filled)

    assert find_person("new@example.org") == people.alice
    assert find_person("alice@example.org") is None


def test_nobody_is_given_an_address_of_somebody_else(people: People) -> None:
    people.bob.email = "Bob@example.org"
    people.bob.save()
    filled = {"username": "alice", "is_active": "on", "date_joined_0": "2026-01-01"}
    filled |= {"date_joined_1": "00:00", "email": "bob@example.org"}

    answer = _staff(people).post(f"/admin/auth/user/{people.alice.pk}/change/", filled)

    assert "This is the address of bob already." in answer.content.decode()
    assert find_person("bob@example.org") == people.bob


def test_an_administrator_does_not_leave_by_mistake(people: People) -> None:
    User.objects.create_superuser("root")

    answer = client_of(people.administrator).post("/api/v1/people/adam/deactivate")

    problem(answer, 409, "conflict")
    assert User.objects.get(username="adam").is_active


@pytest.mark.parametrize("role", ["alice", "curator", "operator"])
def test_only_an_administrator_lets_people_go(people: People, role: str) -> None:
    client = client_of(getattr(people, role))

    for path in ("people", "people/bob"):
        problem(client.get(f"/api/v1/{path}"), 403, "permission_denied")
    for act_ in ("deactivate", "reactivate"):
        problem(client.post(f"/api/v1/people/bob/{act_}"), 403, "permission_denied")
    assert User.objects.get(username="bob").is_active
