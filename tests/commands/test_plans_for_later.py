from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from samproject.cli.errors import CommandError
from tests.api.roles import Engines, People, make_plan, use_engine
from tests.sam_command import run_sam
from tests.worker.plans import rows

LATER = f"{datetime.now(UTC) + timedelta(days=30):%FT%H:%M}"
"""Without a zone."""


def test_a_plan_is_made_for_later_changed_and_begun(people: People, engines: Engines) -> None:
    use_engine(people.alice, engines.old)
    made = run_sam("plan", "create", "qwen-4b", "--user", "alice", "--not-before", LATER)
    plan_id = made.strip()

    said = run_sam("plan", "change", plan_id, "--no-re-embed", "--backup-lora")
    assert "It starts at " in said
    assert "not confirmed yet" in run_sam("plan", "status", plan_id)
    assert "It starts at " in run_sam("plan", "execute", plan_id)
    plan = Plan.objects.get()
    assert (plan.status, plan.re_embed_knowledge) == (PlanStatus.PENDING, False)

    assert "when it is executed" in run_sam("plan", "change", plan_id, "--at-once", "--re-embed")
    assert run_sam("plan", "execute", plan_id) == "Started.\n"
    plan.refresh_from_db()
    assert (plan.status, plan.re_embed_knowledge) == (PlanStatus.IN_PROGRESS, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--not-before", "soon"], "'soon' is no time"),
        (["--not-before", "2020-01-01T00:00+01:00"], "has passed"),
        (["--not-before", "2999-01-01", "--at-once"], "exclude each other"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(
    people: People, engines: Engines, arguments: list[str], sentence: str
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    before = rows(plan)

    with pytest.raises(CommandError, match=sentence):
        run_sam("plan", "change", str(plan.pk), *arguments)

    assert rows(plan) == before
