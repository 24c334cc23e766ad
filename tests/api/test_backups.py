"""Backups over REST: made, checked, put back and let go by whom the roles let."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from engines.models import Conversation
from migrations_app.models import AuditEntry, AuditKind, Backup, BackupRule, Plan
from migrations_app.states import PlanKind, PlanStatus
from tests.api.roles import Engines, People, client_of, make_backup, make_plan, problem, use_engine

URL = "/api/v1/backups"


@pytest.fixture
def backup(people: People, engines: Engines) -> Backup:
    use_engine(people.alice, engines.old)
    made = make_backup(make_plan(people.alice, engines))
    Plan.objects.update(status=PlanStatus.CANCELLED)
    return made


def test_backing_up_answers_202_with_its_plan_and_twice_with_the_same(
    alice: APIClient, people: People, engines: Engines
) -> None:
    first, again = alice.post(URL), alice.post(URL)

    plan = Plan.objects.get()
    assert (plan.kind, plan.status, plan.user) == (
        PlanKind.BACKUP,
        PlanStatus.IN_PROGRESS,
        people.alice,
    )
    for answer in (first, again):
        assert (answer.status_code, answer["Location"]) == (202, f"/api/v1/plans/{plan.pk}")
    problem(alice.post(URL, {"person": "bob"}, format="json"), 404, "not_found")
    operator = client_of(people.operator)
    assert operator.post(URL, {"person": "bob"}, format="json").json()["user"] == "bob"


def test_a_restore_over_somebody_is_refused_unless_asked_for(
    alice: APIClient, people: People, backup: Backup
) -> None:
    Conversation.objects.create(user=people.alice, title="Mine")
    address = f"{URL}/{backup.pk}/restore"

    assert "--replace" in problem(alice.post(address), 409, "conflict")["detail"]
    body = {"into": "copy"}
    problem(alice.post(address, body, format="json"), 403, "permission_denied")
    problem(client_of(people.operator).post(address, body, format="json"), 403, "permission_denied")
    both = {"into": "copy", "person": "alice"}
    problem(alice.post(address, both, format="json"), 400, "invalid_request")
    assert not Plan.objects.filter(kind=PlanKind.RESTORE).exists()

    answer = alice.post(address, {"replace": True}, format="json")
    plan = Plan.objects.get(kind=PlanKind.RESTORE)
    assert (answer.status_code, answer["Location"]) == (202, f"/api/v1/plans/{plan.pk}")
    assert [step["kind"] for step in answer.json()["steps"]] == [
        "read_archive",
        "back_up",
        "put_back",
        "index_anew",
    ]
    problem(alice.post(address, {"replace": True}, format="json"), 409, "conflict")
    entry = AuditEntry.objects.get(kind=AuditKind.PLAN, changes__has_key="restores_id")
    assert (entry.actor, entry.changes["replaces"]) == ("alice", [None, True])


def test_one_that_was_found_needs_a_name_and_an_administrator(
    people: People, backup: Backup
) -> None:
    Backup.objects.update(user=None, plan=None, person_name="alice")
    address = f"{URL}/{backup.pk}/restore"
    administrator = client_of(people.administrator)

    assert "into which" in problem(administrator.post(address), 400, "invalid_request")["detail"]
    problem(client_of(people.alice).post(address), 404, "not_found")
    answer = administrator.post(address, {"into": "alice-again"}, format="json")

    assert answer.status_code == 202
    assert Plan.objects.get(kind=PlanKind.RESTORE).restores_into == "alice-again"


def test_what_is_missing_in_the_store_is_said_and_not_called_verified(
    alice: APIClient, backup: Backup
) -> None:
    before = Backup.objects.values().get()

    said = problem(alice.post(f"{URL}/{backup.pk}/verify"), 409, "artifact_missing")["detail"]

    assert "is not in the store" in said
    assert Backup.objects.values().get() == before


def test_rules_are_ones_own_and_the_organisations_is_an_administrators(
    alice: APIClient, people: People, engines: Engines
) -> None:
    everybody, own = "/api/v1/backup-rules/organisation", "/api/v1/backup-rule"
    wanted = {"keep": 3, "every_hours": 24}
    problem(alice.put(everybody, wanted, format="json"), 403, "permission_denied")
    problem(alice.put(own, {"keep": 0}, format="json"), 400, "invalid_request")
    assert not BackupRule.objects.exists()

    client_of(people.administrator).put(everybody, wanted, format="json")
    assert alice.get(own).json() == {**wanted, "is_own": False}
    alice.put(own, {"keep": 5}, format="json")
    assert alice.get(own).json() == {"keep": 5, "every_hours": 0, "is_own": True}
    assert alice.delete(own).status_code == 204
    assert alice.get(own).json()["keep"] == 3
