"""Backups in the admin: read by operators, acted on through the front door."""

from __future__ import annotations

import pytest
from django.test import Client

from migrations_app.models import Backup, Plan
from migrations_app.states import PlanKind, PlanStatus
from tests.admin.test_admin import curator, engines, operator, people
from tests.api.roles import Engines, People, make_backup, make_plan, use_engine

__all__ = ["curator", "engines", "operator", "people"]
PAGE = "/admin/migrations_app/backup/"


@pytest.fixture
def backup(people: People, engines: Engines) -> Backup:
    use_engine(people.alice, engines.old)
    made = make_backup(make_plan(people.alice, engines))
    Plan.objects.update(status=PlanStatus.CANCELLED)
    return made


def ask(client: Client, action: str, backup: Backup) -> str:
    body = {"action": action, "_selected_action": [backup.pk]}
    answer = client.post(PAGE, body, follow=True)
    return " ".join(str(message) for message in answer.context["messages"])


def test_an_operator_checks_restores_and_deletes_and_sees_no_content(
    operator: Client, curator: Client, people: People, backup: Backup
) -> None:
    assert curator.get(PAGE).status_code == 403
    page = operator.get(f"{PAGE}{backup.pk}/change/").content.decode()
    assert "alice" in page
    assert "what the archive holds" not in page

    assert "is not in the store" in ask(operator, "verify", backup)
    assert "1 restore started" in ask(operator, "restore", backup)
    plan = Plan.objects.get(kind=PlanKind.RESTORE)
    assert (plan.user, plan.replaces, plan.restores) == (people.alice, True, backup)
    assert "is needed" in ask(operator, "remove", backup)
    assert Backup.objects.exists()

    Plan.objects.update(status=PlanStatus.CANCELLED)
    assert "1 backup deleted" in ask(operator, "remove", backup)
    assert not Backup.objects.exists()


def test_one_of_nobody_here_is_restored_elsewhere(operator: Client, backup: Backup) -> None:
    Backup.objects.update(user=None, plan=None, person_name="alice")

    assert "--into NAME" in ask(operator, "restore", backup)
    assert not Plan.objects.filter(kind=PlanKind.RESTORE).exists()
