"""What the indicator says of a person, in each state that it has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from engines.models import (
    AdapterStatus,
    CopyStatus,
    EngineFallback,
    Host,
    HostStatus,
    LoraAdapter,
    ModelCopy,
)
from migrations_app.indicator import IndicatorStatus, adapter_warning_of, indicator_of
from migrations_app.models import Plan, Step
from migrations_app.signs import Sign
from migrations_app.states import PlanKind, PlanStatus, StepStatus
from tests.api.conftest import engines, people
from tests.api.roles import Engines, People, make_default, use_engine

__all__ = ["engines", "people"]


@pytest.fixture
def alice(people: People) -> User:
    return people.alice


def put_on_host(world: Engines, *models: Any) -> None:
    for model in models:
        ModelCopy.objects.create(
            revision=model.current_revision,
            host=world.host,
            status=CopyStatus.DOWNLOADED,
            path=f"/models/{model.model_id}",
            checksum="c" * 64,
        )


def make_running(alice: User, world: Engines, **fields: Any) -> Plan:
    return Plan.objects.create(
        kind=PlanKind.MIGRATE,
        user=alice,
        from_engine=world.old,
        to_engine=world.new,
        to_revision=world.new.current_revision,
        status=PlanStatus.IN_PROGRESS,
        progress_percentage=41.6,
        **fields,
    )


def leave_adapter(alice: User, world: Engines, name: str) -> LoraAdapter:
    note = {
        "action": "invalidated_by_migration",
        "plan": "p-1",
        "at": "2026-11-29T00:00:00+00:00",
        "from_engine": world.old.model_id,
        "to_engine": world.new.model_id,
    }
    assert world.old.current_revision is not None
    return LoraAdapter.objects.create(
        user=alice,
        name=name,
        base_revision=world.old.current_revision,
        artifact_key=name,
        sha256="d" * 64,
        file_size=1,
        status=AdapterStatus.INVALIDATED,
        training_stats={"migration_notes": [note]},
    )


def test_nobody_without_an_engine_is_told_of_one(alice: User, engines: Engines) -> None:
    shown = indicator_of(alice)

    assert (shown.status, shown.engine) == (IndicatorStatus.NONE, None)
    assert shown.look.sign == Sign.ENGINE
    assert adapter_warning_of(shown, alice) is None


def test_a_default_is_called_one(alice: User, engines: Engines) -> None:
    make_default(engines.old)
    put_on_host(engines, engines.old)

    shown = indicator_of(alice)

    assert shown.status == IndicatorStatus.READY
    assert shown.look.sign == Sign.SUCCESS
    assert shown.engine is not None
    assert (shown.engine.model_id, shown.engine.source) == ("llama-8b", "default")
    assert shown.engine.since is None


def test_the_plan_that_brought_somebody_here_is_named(alice: User, engines: Engines) -> None:
    put_on_host(engines, engines.new)
    preference = use_engine(alice, engines.new)
    preference.last_upgrade = timezone.now()
    preference.save()
    plan = make_running(alice, engines)
    Plan.objects.filter(pk=plan.pk).update(
        status=PlanStatus.COMPLETED, finished_at=timezone.now() + timedelta(seconds=1)
    )

    shown = indicator_of(alice).engine

    assert shown is not None
    assert (shown.plan_id, shown.since) == (plan.pk, preference.last_upgrade)


def test_a_choice_after_a_plan_is_not_the_plans(alice: User, engines: Engines) -> None:
    put_on_host(engines, engines.new)
    plan = make_running(alice, engines)
    Plan.objects.filter(pk=plan.pk).update(
        status=PlanStatus.COMPLETED, finished_at=timezone.now() - timedelta(days=1)
    )
    preference = use_engine(alice, engines.new)
    preference.last_upgrade = timezone.now()
    preference.save()

    shown = indicator_of(alice).engine

    assert shown is not None
    assert shown.plan_id is None


def test_a_move_shows_how_far_it_is(alice: User, engines: Engines) -> None:
    put_on_host(engines, engines.old)
    use_engine(alice, engines.old)
    plan = make_running(alice, engines)

    shown = indicator_of(alice)

    assert shown.status == IndicatorStatus.MOVING
    assert shown.look.sign == Sign.PROGRESS
    assert shown.moving is not None
    assert (shown.moving.plan_id, shown.moving.to) == (plan.pk, "QWEN-4B")
    assert shown.sentence == "You are moving to QWEN-4B: 41 %."


def test_a_move_that_stopped_is_a_warning(alice: User, engines: Engines) -> None:
    put_on_host(engines, engines.old)
    use_engine(alice, engines.old)
    plan = make_running(alice, engines)
    Step.objects.create(plan=plan, position=0, kind="probe", status=StepStatus.NEEDS_OPERATOR)

    shown = indicator_of(alice)

    assert shown.status == IndicatorStatus.WAITING
    assert shown.look.sign == Sign.WARNING


@pytest.mark.parametrize("gone", ["no copy", "host lost", "host silent"])
def test_an_engine_that_no_host_has_is_an_error(alice: User, engines: Engines, gone: str) -> None:
    use_engine(alice, engines.old)
    if gone != "no copy":
        put_on_host(engines, engines.old)
        assert indicator_of(alice).status == IndicatorStatus.READY
    if gone == "host lost":
        Host.objects.update(status=HostStatus.LOST)
    if gone == "host silent":
        Host.objects.update(last_seen=timezone.now() - timedelta(hours=1))

    shown = indicator_of(alice)

    assert shown.status == IndicatorStatus.UNAVAILABLE
    assert shown.look.sign == Sign.ERROR
    assert "LLAMA-8B" in shown.sentence


def test_another_engine_that_answers_meanwhile_is_a_warning(alice: User, engines: Engines) -> None:
    use_engine(alice, engines.old)
    EngineFallback.objects.create(engine=engines.old, answers=engines.new)

    assert indicator_of(alice).status == IndicatorStatus.REPLACED


def test_adapters_left_behind_are_named_once_each(alice: User, engines: Engines) -> None:
    put_on_host(engines, engines.new)
    use_engine(alice, engines.new)
    for name in ("d", "b", "a", "c"):
        leave_adapter(alice, engines, name)

    shown = indicator_of(alice)
    warning = adapter_warning_of(shown, alice)

    assert shown.status == IndicatorStatus.RETRAIN
    assert warning is not None
    assert (warning.count, [each.name for each in warning.adapters]) == (4, ["a", "b", "c", "d"])
    assert warning.adapters[0].trained_for == "LLAMA-8B"
    assert warning.adapters[0].migration_id == "p-1"
    assert "“a”, “b”, “c” and 1 more were trained" in warning.sentence


def test_somebody_elses_is_nobodys_business(alice: User, people: People, engines: Engines) -> None:
    put_on_host(engines, engines.old)
    make_default(engines.old)
    leave_adapter(people.bob, engines, "bobs")
    make_running(people.bob, engines)

    assert indicator_of(alice).status == IndicatorStatus.READY


def test_it_is_one_statement_however_much_somebody_has(
    alice: User, engines: Engines, django_assert_num_queries: Any
) -> None:
    put_on_host(engines, engines.new)
    use_engine(alice, engines.new)
    with django_assert_num_queries(1):
        indicator_of(alice)
    for number in range(30):
        leave_adapter(alice, engines, f"a {number}")
        Plan.objects.create(kind=PlanKind.MIGRATE, user=alice, status=PlanStatus.FAILED)

    with django_assert_num_queries(1):
        shown = indicator_of(alice)
    with django_assert_num_queries(1):
        warning = adapter_warning_of(shown, alice)

    assert warning is not None
    assert (warning.count, len(warning.adapters)) == (30, 20)
