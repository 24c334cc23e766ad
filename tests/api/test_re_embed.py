from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from engines.exceptions import ConflictError, NotFoundError
from engines.models import CatalogModel, KnowledgeBase
from migrations_app.controller import MigrationController, PlanInTheWayError
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


def test_only_a_curator_and_only_for_a_groups_base_chooses_what_is_not_published_yet(
    people: People, engines: Engines
) -> None:
    group = Group.objects.create(name="team")
    of_group = KnowledgeBase.objects.create(group=group, name="Notes")
    own = KnowledgeBase.objects.create(owner=people.curator, name="Own")
    controller, hidden = MigrationController(), engines.hidden.model_id

    for base, actor in ((of_group, people.alice), (own, people.curator)):
        with pytest.raises(NotFoundError):
            controller.create_re_embed_plan(base, hidden, actor=actor)

    assert not Plan.objects.exists()


def test_an_engine_that_was_withdrawn_meanwhile_embeds_nothing(
    people: People, base: KnowledgeBase, engines: Engines
) -> None:
    controller, engine = MigrationController(), engines.new
    engine.embedding_model = None
    engine.save()
    plan_id = controller.create_re_embed_plan(base, engine.model_id, actor=people.alice)
    CatalogModel.objects.filter(pk=engine.pk).update(published=False)

    with pytest.raises(ConflictError, match="is not offered to alice any more"):
        controller.execute_migration(plan_id)

    assert Plan.objects.get().status == PlanStatus.PENDING


def test_a_plan_of_a_groups_base_names_the_very_plan_that_is_in_its_way(
    people: People, engines: Engines
) -> None:
    controller, plans = MigrationController(), {}
    for name in ("one", "two", "three"):
        group = Group.objects.create(name=name)
        base = KnowledgeBase.objects.create(group=group, name=name)
        plans[name] = [
            controller.create_re_embed_plan(base, engines.new.model_id, actor=people.curator)
            for _ in range(2)
        ]
        assert controller.execute_migration(plans[name][0])
    first, second = plans["two"]

    with pytest.raises(PlanInTheWayError, match=rf"Another plan \({first}\) is in progress"):
        controller.execute_migration(second)

    assert Plan.objects.get(pk=second).status == PlanStatus.PENDING
