"""What a plan's preview says of the prompts, and the templates that SAM ships for it."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from engines.models import PromptTemplate, UserPrompts
from engines.services.catalog.starter.entries import starter_catalog
from engines.services.catalog.starter.prompts import shipped_prompts, write_missing_prompts
from engines.services.people.preferences import PROMPT_FIELDS, edit_prompts, prompts_of
from migrations_app.controller import MigrationController
from migrations_app.library import get_model_library_manager
from migrations_app.models import Plan
from tests.api.roles import Engines, People, make_plan, use_engine
from tests.sam_command import run_sam

OWN = "Ada's own words."


@pytest.fixture
def shipped(db: None) -> dict[str, str]:
    """The shipped system prompt of each family; the templates are written."""
    write_missing_prompts()
    return {texts["family"]: texts["system_prompt"] for texts in shipped_prompts()}


def prompts_in(client: APIClient, plan: Plan) -> dict[str, Any]:
    prompts: dict[str, Any] = client.get(f"/api/v1/plans/{plan.pk}/preview").json()["prompts"]
    return prompts


@pytest.mark.django_db
def test_each_chat_family_of_the_starter_catalog_has_a_template() -> None:
    families = {
        entry["model_family"] for entry in starter_catalog()["models"] if entry["role"] == "chat"
    }

    get_model_library_manager()._create_default_catalog()

    assert families <= set(PromptTemplate.objects.values_list("family", flat=True))
    assert len({texts["system_prompt"] for texts in shipped_prompts()}) == len(shipped_prompts())


@pytest.mark.django_db
def test_a_second_starter_catalog_leaves_what_a_curator_wrote_also_when_it_overwrites() -> None:
    PromptTemplate.objects.create(family="llama", system_prompt="Ours.")
    PromptTemplate.objects.create(family="gemma")

    said = run_sam("catalog", "starter")
    run_sam("catalog", "starter", "--overwrite")

    assert "Prompts written for deepseek, mistral, qwen, smollm." in said
    kept = dict(PromptTemplate.objects.values_list("family", "system_prompt"))
    assert (kept["llama"], kept["gemma"]) == ("Ours.", "")
    assert write_missing_prompts() == []


def test_the_preview_tells_old_and_new_text_of_each_kind_that_changes(
    alice: APIClient, people: People, engines: Engines, shipped: dict[str, str]
) -> None:
    use_engine(people.alice, engines.old)
    edit_prompts(people.alice, "llama", {"system_prompt": OWN})
    plan = make_plan(people.alice, engines)

    prompts = prompts_in(alice, plan)

    assert (prompts["from_family"], prompts["to_family"]) == ("llama", "qwen")
    assert "enable_thinking" in prompts["hint"]
    changes = {change["kind"]: change for change in prompts["changes"]}
    assert changes["system_prompt"] == {
        "kind": "system_prompt",
        "old": OWN,
        "new": shipped["qwen"],
        "old_is_own": True,
        "new_is_own": False,
    }
    reasoning = changes["reasoning_prompt"]
    assert (bool(reasoning["old"]), reasoning["new"], reasoning["old_is_own"]) == (True, "", False)
    assert "chat_format" not in changes


def test_what_a_person_wrote_for_the_new_family_is_what_they_get(
    alice: APIClient, people: People, engines: Engines, shipped: dict[str, str]
) -> None:
    use_engine(people.alice, engines.old)
    edit_prompts(people.alice, "qwen", {"system_prompt": OWN})
    plan = make_plan(people.alice, engines)

    system = prompts_in(alice, plan)["changes"][0]

    assert (system["new"], system["new_is_own"]) == (OWN, True)
    assert (system["old"], system["old_is_own"]) == (shipped["llama"], False)
    assert prompts_of(people.alice, "qwen").system_prompt == OWN


def test_without_new_prompts_nothing_changes(
    alice: APIClient, people: People, engines: Engines, shipped: dict[str, str]
) -> None:
    use_engine(people.alice, engines.old)
    asked = {"to_engine": "qwen-4b", "update_prompts": False}
    assert alice.post("/api/v1/plans", asked, format="json").status_code == 201

    prompts = prompts_in(alice, Plan.objects.get())

    assert (prompts["from_family"], prompts["to_family"]) == ("llama", "llama")
    assert prompts["changes"] == []


def test_nobody_else_reads_the_texts_and_the_plan_does_not_keep_them(
    operator: APIClient, people: People, engines: Engines, shipped: dict[str, str]
) -> None:
    use_engine(people.alice, engines.old)
    edit_prompts(people.alice, "llama", dict.fromkeys(PROMPT_FIELDS, OWN))
    plan = make_plan(people.alice, engines)
    seen_by_command = run_sam("plan", "preview", str(plan.pk))

    assert OWN not in operator.get(f"/api/v1/plans/{plan.pk}/preview").content.decode()
    plan.refresh_from_db()
    assert OWN not in str(plan.preview)
    assert OWN in seen_by_command
    assert UserPrompts.objects.get(user=people.alice).system_prompt == OWN


def test_a_started_plan_promises_no_texts(
    alice: APIClient, people: People, engines: Engines, shipped: dict[str, str]
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)

    MigrationController().execute_migration(plan.pk)

    assert "prompts" not in alice.get(f"/api/v1/plans/{plan.pk}/preview").json()
