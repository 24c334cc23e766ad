"""The indicator as JSON: what a bot or a status bar is told."""

from __future__ import annotations

from rest_framework.test import APIClient

from tests.api.roles import Engines, People, make_default, problem
from tests.people.test_indicator import leave_adapter, make_running, put_on_host


def test_it_tells_of_the_caller_only(alice: APIClient, people: People, engines: Engines) -> None:
    make_default(engines.old)
    put_on_host(engines, engines.old)
    make_running(people.bob, engines)
    leave_adapter(people.bob, engines, "bobs")

    answer = alice.get("/api/v1/me/engine").json()

    assert answer == {
        "status": "ready",
        "look": {"label": "Ready", "tone": "success", "sign": "✅"},
        "sentence": "LLAMA-8B answers you.",
        "engine": {
            "model_id": "llama-8b",
            "display_name": "LLAMA-8B",
            "family": "llama",
            "source": "default",
            "since": None,
            "plan_id": None,
        },
        "moving": None,
        "adapter_warning": None,
    }


def test_it_tells_of_a_move_and_of_adapters(
    alice: APIClient, people: People, engines: Engines
) -> None:
    make_default(engines.old)
    put_on_host(engines, engines.old)
    plan = make_running(people.alice, engines)
    leave_adapter(people.alice, engines, "style")

    answer = alice.get("/api/v1/me/engine").json()

    assert answer["status"] == "moving"
    assert answer["look"]["sign"] == "🔄"
    assert answer["moving"]["plan_id"] == str(plan.pk)
    warning = answer["adapter_warning"]
    assert (warning["count"], warning["look"]["sign"]) == (1, "⚠️")
    assert [each["name"] for each in warning["adapters"]] == ["style"]


def test_strangers_are_told_nothing(db: None) -> None:
    problem(APIClient().get("/api/v1/me/engine"), 401, "not_authenticated")
