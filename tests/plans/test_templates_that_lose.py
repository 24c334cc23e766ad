"""The probe of a migration refuses an engine whose chat template loses what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.people.preferences import preference_of
from engines.specs import EngineSpec
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.plans.hash_world import NEEDS_AN_ENGINE, HashWorld, controller, leave_out
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted
from worker.steps.runner import StepFailedError

LAST_ONLY = "{{ messages[-1].content }}\n"
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}]{{ m.content }}\n"
    "{% endif %}{% endfor %}{{ '\\n' }}"
)


def probing(world: HashWorld) -> Plan:
    """A plan to the engine ``new`` that proves it and does nothing before."""
    plan_id = controller.create_migration_plan("current", "new", world.user.username)
    leave_out(plan_id, [kind for kind in NEEDS_AN_ENGINE if kind != "probe"])
    controller.execute_migration(plan_id)
    return Plan.objects.get(pk=plan_id)


def test_an_engine_that_loses_texts_in_every_form_fails_and_nothing_is_switched(
    world: HashWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        name: write_scripted(tmp_path / f"{name}.gguf", words(2), template=template)
        for name, template in (("lossy", LAST_ONLY), ("folded", NO_SYSTEM))
    }
    lent = "lossy"

    @contextmanager
    def lend(_context: object, _spec: EngineSpec) -> Iterator[Any]:
        with LlamaCppEngine("new", "New", str(files[lent])) as engine:
            engine.load_model()
            yield engine

    monkeypatch.setattr("worker.steps.context.WorkerContext.engine", lend)
    before = preference_of(world.user).engine_upgrade

    plan = probing(world)
    with pytest.raises(
        StepFailedError, match="refuses or leaves out what was said before, later sys"
    ):
        world.run(plan)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.FAILED
    assert "Choose another engine" in plan.error_message
    assert preference_of(world.user).engine_upgrade == before

    lent = "folded"
    plan = world.run(probing(world))

    assert plan.status == PlanStatus.COMPLETED, plan.error_message
    assert preference_of(world.user).engine_upgrade["active_engine_id"] == "new"
