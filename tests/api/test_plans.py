from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from engines.models import LoraAdapter
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.states import PlanStatus, StepStatus
from tests.api.roles import Engines, People, make_plan, problem, use_engine
from tests.worker.plans import make_host

URL = "/api/v1/plans"


@pytest.fixture
def plan(people: People, engines: Engines) -> Plan:
    use_engine(people.alice, engines.old)
    return make_plan(people.alice, engines)


def add_adapter(people: People, engines: Engines) -> None:
    assert engines.old.current_revision is not None
    LoraAdapter.objects.create(
        user=people.alice,
        name="my style",
        base_revision=engines.old.current_revision,
        artifact_key="adapters/aa/x",
        sha256="a" * 64,
        file_size=10,
    )


def test_creating_a_plan_answers_201_and_changes_nothing(
    alice: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)

    answer = alice.post(URL, {"to_engine": "qwen-4b", "re_embed": False}, format="json")

    plan = Plan.objects.get()
    assert answer.status_code == 201
    assert answer["Location"] == f"{URL}/{plan.pk}"
    body = answer.json()
    shown = {name: body[name] for name in ("from_engine", "to_engine", "status", "user_id")}
    assert shown == {
        "from_engine": "llama-8b",
        "to_engine": "qwen-4b",
        "status": "pending",
        "user_id": people.alice.pk,
    }
    assert (plan.backup_lora_adapters, plan.re_embed_knowledge) == (True, False)
    assert [step["status"] for step in body["steps"]] == ["pending"] * 6
    assert body["events"] == []


def test_the_preview_names_what_is_affected(
    alice: APIClient, people: People, engines: Engines, plan: Plan
) -> None:
    add_adapter(people, engines)

    preview = alice.get(f"{URL}/{plan.pk}/preview").json()

    assert [adapter["name"] for adapter in preview["adapters"]] == ["my style"]
    assert preview["bytes_to_fetch"] == 2000


def test_executing_answers_202_and_the_events_tell_who(alice: APIClient, plan: Plan) -> None:
    answer = alice.post(f"{URL}/{plan.pk}/execute")

    assert answer.status_code == 202
    assert answer["Location"] == f"{URL}/{plan.pk}"
    detail = alice.get(answer["Location"]).json()
    assert (detail["status"], detail["current_step"]) == ("in_progress", "fetch_engine")
    assert [(e["to_status"], e["who"]) for e in detail["events"]] == [("in_progress", "alice")]


def test_a_second_migration_is_409_and_names_the_one_in_the_way(
    alice: APIClient, people: People, engines: Engines, plan: Plan
) -> None:
    alice.post(f"{URL}/{plan.pk}/execute")
    second = make_plan(people.alice, engines)

    answer = alice.post(f"{URL}/{second.pk}/execute")

    assert str(plan.pk) in problem(answer, 409, "conflict")["detail"]
    second.refresh_from_db()
    assert (second.status, second.events.count()) == (PlanStatus.PENDING, 0)


def test_cancelling_twice_is_harmless(alice: APIClient, plan: Plan) -> None:
    alice.post(f"{URL}/{plan.pk}/execute")

    answers = [alice.post(f"{URL}/{plan.pk}/cancel") for _ in range(2)]

    assert [a.json()["status"] for a in answers] == ["cancelled", "cancelled"]
    assert PlanEvent.objects.filter(plan=plan, step=None, to_status="cancelled").count() == 1


def test_after_the_switch_cancelling_is_409_and_says_to_roll_back(
    alice: APIClient, plan: Plan
) -> None:
    alice.post(f"{URL}/{plan.pk}/execute")
    Step.objects.filter(plan=plan, kind="cut_over").update(status=StepStatus.COMPLETED)

    answer = alice.post(f"{URL}/{plan.pk}/cancel")

    assert "roll the plan back" in problem(answer, 409, "conflict")["detail"]
    plan.refresh_from_db()
    assert (plan.status, plan.cancel_requested_at) == (PlanStatus.IN_PROGRESS, None)


@pytest.mark.parametrize("command", ["execute", "cancel"])
def test_an_ended_plan_does_not_move(alice: APIClient, plan: Plan, command: str) -> None:
    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.FAILED)

    answer = alice.post(f"{URL}/{plan.pk}/{command}")

    problem(answer, 409, "illegal_move")
    plan.refresh_from_db()
    assert (plan.status, plan.events.count()) == (PlanStatus.FAILED, 0)


def test_rolling_back_answers_with_the_plan_of_the_way_back(alice: APIClient, plan: Plan) -> None:
    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.COMPLETED, finished_at=timezone.now())

    answer = alice.post(f"{URL}/{plan.pk}/roll-back")

    assert answer.status_code == 202
    back = answer.json()
    assert answer["Location"] == f"{URL}/{back['id']}"
    assert (back["kind"], back["rolls_back"]) == ("rollback", str(plan.pk))
    assert (back["from_engine"], back["to_engine"]) == ("qwen-4b", "llama-8b")


def test_only_a_completed_plan_is_rolled_back(alice: APIClient, plan: Plan) -> None:
    problem(alice.post(f"{URL}/{plan.pk}/roll-back"), 409, "conflict")

    assert Plan.objects.count() == 1


def test_an_operator_retries_and_abandons_what_waits(
    alice: APIClient, operator: APIClient, plan: Plan
) -> None:
    alice.post(f"{URL}/{plan.pk}/execute")
    Step.objects.filter(plan=plan, position=0).update(status=StepStatus.NEEDS_OPERATOR)

    problem(alice.post(f"{URL}/{plan.pk}/retry"), 403, "permission_denied")
    retried = operator.post(f"{URL}/{plan.pk}/retry")
    assert retried.json()["steps"][0]["status"] == "pending"
    problem(operator.post(f"{URL}/{plan.pk}/retry"), 409, "illegal_move")
    Step.objects.filter(plan=plan, position=0).update(status=StepStatus.NEEDS_OPERATOR)
    abandoned = operator.post(f"{URL}/{plan.pk}/abandon")
    assert abandoned.json()["status"] == "cancelled"


def test_a_plan_tells_what_may_be_asked_of_it_and_by_whom(
    alice: APIClient, operator: APIClient, plan: Plan
) -> None:
    assert alice.get(f"{URL}/{plan.pk}").json()["actions"] == ["execute", "cancel"]
    assert operator.get(f"{URL}/{plan.pk}").json()["actions"] == ["execute", "cancel", "move"]

    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.FAILED)

    assert operator.get(f"{URL}/{plan.pk}").json()["actions"] == []
    refused = problem(operator.post(f"{URL}/{plan.pk}/abandon"), 409, "conflict")
    assert "Nothing can be done with it any more." in refused["detail"]


def test_a_switched_plan_is_abandoned_with_a_warning_and_still_taken_back(
    alice: APIClient, operator: APIClient, plan: Plan
) -> None:
    alice.post(f"{URL}/{plan.pk}/execute")
    Step.objects.filter(plan=plan, position__lt=5).update(status=StepStatus.COMPLETED)

    body = operator.post(f"{URL}/{plan.pk}/abandon").json()

    assert (body["status"], body["actions"]) == ("completed", ["roll_back"])
    assert body["warning"].startswith("What follows the switch was abandoned")
    assert alice.get(URL).json()["results"][0]["warning"] == body["warning"]
    assert alice.post(f"{URL}/{plan.pk}/roll-back").status_code == 202


def test_an_operator_moves_a_plan_to_another_host(
    alice: APIClient, operator: APIClient, plan: Plan
) -> None:
    make_host("gpu-2")
    problem(alice.post(f"{URL}/{plan.pk}/move"), 403, "permission_denied")
    problem(
        operator.post(f"{URL}/{plan.pk}/move", {"host": "gpu-9"}, format="json"), 404, "not_found"
    )

    body = operator.post(f"{URL}/{plan.pk}/move", {"host": "gpu-2"}, format="json").json()

    assert body["host"] == "gpu-2"
    assert {step["host"] for step in body["steps"]} == {"gpu-2", None}
    assert body["events"][-1]["who"] == "oscar"


def test_a_stranger_finds_no_plan(bob: APIClient, plan: Plan) -> None:
    assert bob.get(URL).json()["results"] == []
    problem(bob.get(f"{URL}/{plan.pk}"), 404, "not_found")
    problem(bob.get(f"{URL}/{plan.pk}/preview"), 404, "not_found")
    for command in ("execute", "cancel", "roll-back"):
        problem(bob.post(f"{URL}/{plan.pk}/{command}"), 404, "not_found")
    plan.refresh_from_db()
    assert (plan.status, plan.events.count()) == (PlanStatus.PENDING, 0)


def test_an_operator_runs_anybodys_plan_but_reads_no_content(
    alice: APIClient, operator: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    add_adapter(people, engines)
    plan = make_plan(people.alice, engines)

    mine, theirs = (c.get(f"{URL}/{plan.pk}").json() for c in (alice, operator))
    preview = operator.get(f"{URL}/{plan.pk}/preview").json()

    assert mine["affected_lora_adapters"] == ["my style"]
    assert theirs["affected_lora_adapters"] is None
    assert "my style" not in str(preview) + str(theirs)
    assert preview["chunks"] == 0
    assert operator.post(f"{URL}/{plan.pk}/execute").json()["events"][0]["who"] == "oscar"


def test_only_an_operator_plans_for_another_person(
    alice: APIClient, operator: APIClient, people: People, engines: Engines
) -> None:
    asked = {"to_engine": "qwen-4b", "user_id": people.bob.pk}

    problem(alice.post(URL, asked, format="json"), 404, "not_found")
    assert not Plan.objects.exists()
    answer = operator.post(URL, asked, format="json")
    assert answer.status_code == 201
    plan = Plan.objects.get()
    assert (plan.user, plan.created_by) == (people.bob, people.operator)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"to_engine": "nothing"}, 404, "not_found"),
        ({"to_engine": "draft-1b"}, 404, "not_found"),
        ({"to_engine": "reserved-8b"}, 404, "not_found"),
        ({"to_engine": "minilm"}, 400, "invalid_request"),
        ({"to_engine": "llama-8b"}, 400, "invalid_request"),
        ({"from_engine": "qwen-4b"}, 400, "invalid_request"),
        ({"to_engine": None}, 400, "invalid_request"),
        ({"to_engine": ["qwen-4b"]}, 400, "invalid_request"),
        ({"to_engine": "q\x00"}, 400, "invalid_request"),
        ({"re_embed": "perhaps"}, 400, "invalid_request"),
        ({"user_id": 10**40}, 400, "invalid_request"),
        ({"user_id": "; DROP"}, 400, "invalid_request"),
        ({"status": "completed"}, 400, "invalid_request"),
        ({"fence": 7}, 400, "invalid_request"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_leaves_no_plan(
    alice: APIClient,
    people: People,
    engines: Engines,
    change: dict[str, Any],
    status: int,
    code: str,
) -> None:
    use_engine(people.alice, engines.old)

    answer = alice.post(URL, {"to_engine": "qwen-4b", **change}, format="json")

    problem(answer, status, code)
    assert not Plan.objects.exists()


def test_a_command_takes_no_content(alice: APIClient, plan: Plan) -> None:
    answer = alice.post(f"{URL}/{plan.pk}/execute", {"status": "completed"}, format="json")

    problem(answer, 400, "invalid_request")
    plan.refresh_from_db()
    assert plan.status == PlanStatus.PENDING


@pytest.mark.parametrize(
    ("method", "status", "code"),
    [
        ("put", 405, "method_not_allowed"),
        ("patch", 400, "invalid_request"),
        ("delete", 405, "method_not_allowed"),
    ],
)
def test_a_status_is_never_written_directly(
    alice: APIClient, plan: Plan, method: str, status: int, code: str
) -> None:
    send = getattr(alice, method)

    answer = send(f"{URL}/{plan.pk}", {"status": "completed"}, format="json")

    problem(answer, status, code)
    plan.refresh_from_db()
    assert plan.status == PlanStatus.PENDING


@pytest.mark.parametrize("name", ["0", "x" * 36, "-" * 36, "8f5b67e8-1c2c-434a-8be8-1abba21281ea"])
def test_a_plan_that_is_none_is_404(alice: APIClient, name: str) -> None:
    problem(alice.get(f"{URL}/{name}"), 404, "not_found")
