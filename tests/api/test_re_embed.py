from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from engines.exceptions import NotFoundError
from engines.models import KnowledgeBase
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.states import STEPS_OF, PlanKind, PlanStatus
from tests.api.roles import Engines, People, problem


@pytest.fixture
def base(people: People) -> KnowledgeBase:
    return KnowledgeBase.objects.create(owner=people.alice, name="Notes")


def address(base: KnowledgeBase) -> str:
    return f"/api/v1/knowledge-bases/{base.pk}/re-embed"


def test_another_embedder_is_a_plan_that_has_started(
    alice: APIClient, base: KnowledgeBase, engines: Engines
) -> None:
    asked = {"engine": engines.new.model_id, "accept_losses": True}
    answer = alice.post(address(base), asked, format="json")

    assert answer.status_code == 202, answer.content
    plan = Plan.objects.get()
    assert plan.accept_losses
    assert answer.headers["Location"].endswith(str(plan.pk))
    assert (plan.kind, plan.status, plan.base) == (PlanKind.RE_EMBED, PlanStatus.IN_PROGRESS, base)
    assert [step["kind"] for step in answer.json()["steps"]] == list(STEPS_OF[PlanKind.RE_EMBED])


def test_a_strangers_base_is_404_and_nothing_is_planned(
    bob: APIClient, base: KnowledgeBase, engines: Engines
) -> None:
    answer = bob.post(address(base), {"engine": engines.new.model_id}, format="json")

    problem(answer, 404, "not_found")
    assert not Plan.objects.exists()


def test_an_engine_that_is_none_is_refused_and_nothing_is_planned(
    alice: APIClient, base: KnowledgeBase, engines: Engines
) -> None:
    problem(alice.post(address(base), {"engine": "no-such"}, format="json"), 404, "not_found")
    problem(alice.post(address(base), {"motor": "x"}, format="json"), 400, "invalid_request")

    assert not Plan.objects.exists()


@pytest.mark.parametrize("kind", ["hidden", "reserved"])
def test_an_engine_that_is_not_offered_is_as_one_that_is_not_there(
    alice: APIClient, base: KnowledgeBase, engines: Engines, kind: str
) -> None:
    """By its own embedder, which nobody else's engine has."""
    engine = getattr(engines, kind)
    engine.embedding_model = None
    engine.save()

    answer = alice.post(address(base), {"engine": engine.model_id}, format="json")
    unknown = alice.post(address(base), {"engine": "no-such"}, format="json")

    sentence = problem(answer, 404, "not_found")["detail"]
    assert sentence.replace(engine.model_id, "no-such") == unknown.json()["detail"]
    assert not Plan.objects.exists()


def test_a_curator_gives_a_groups_base_what_is_not_published_yet(
    curator: APIClient, engines: Engines
) -> None:
    base = KnowledgeBase.objects.create(group=Group.objects.create(name="team"), name="Notes")

    answer = curator.post(address(base), {"engine": engines.hidden.model_id}, format="json")

    assert answer.status_code == 202, answer.content


def test_a_member_of_the_group_is_not_offered_what_is_not_published_yet(
    people: People, engines: Engines
) -> None:
    base = KnowledgeBase.objects.create(group=Group.objects.create(name="team"), name="Notes")
    controller = MigrationController()

    with pytest.raises(NotFoundError):
        controller.create_re_embed_plan(base, engines.hidden.model_id, actor=people.alice)

    assert not Plan.objects.exists()
