"""The engines of those who chose none, over REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from engines.models import CatalogModel, EngineDefault, ModelRole
from engines.services.engine_choice import effective_engine
from tests.api.roles import Engines, People, client_of, problem

DEFAULTS = "/api/v1/defaults"
ORGANISATION = f"{DEFAULTS}/organisation"


def put(client: APIClient, address: str, engine: str) -> Any:
    return client.put(address, {"engine": engine}, format="json")


@pytest.fixture
def administrator(people: People) -> APIClient:
    return client_of(people.administrator)


@pytest.fixture
def team(people: People) -> Group:
    group = Group.objects.create(name="Team & Co")
    people.bob.groups.add(group)
    return group


def test_defaults_are_set_changed_read_and_cleared(
    administrator: APIClient, people: People, team: Group, engines: Engines
) -> None:
    of_team = f"{DEFAULTS}/groups/Team%20&%20Co"
    problem(administrator.get(ORGANISATION), 404, "not_found")

    assert put(administrator, ORGANISATION, engines.new.model_id).status_code == 200
    answer = put(administrator, ORGANISATION, engines.old.model_id)
    assert put(administrator, of_team, engines.new.model_id).status_code == 200

    general = {"group": None, "engine": engines.old.model_id}
    special = {"group": team.name, "engine": engines.new.model_id}
    assert answer.json() == administrator.get(ORGANISATION).json() == general
    assert administrator.get(of_team).json() == special
    assert administrator.get(DEFAULTS).json()["results"] == [general, special]
    assert effective_engine(people.bob)[0] == engines.new
    assert administrator.delete(of_team).status_code == 204
    assert effective_engine(people.bob)[0] == engines.old
    assert administrator.delete(ORGANISATION).status_code == 204
    assert effective_engine(people.bob)[0] is None
    for address in (of_team, ORGANISATION):
        problem(administrator.delete(address), 404, "not_found")


def test_what_cannot_answer_is_refused_and_the_default_stays(
    administrator: APIClient, team: Group, engines: Engines
) -> None:
    put(administrator, ORGANISATION, engines.old.model_id)
    CatalogModel.objects.create(
        model_id="embedder", display_name="E", model_family="e", role=ModelRole.EMBEDDING
    )
    engines.new.allowed_groups.add(team)

    for engine, word in (("embedder", "only embeds"), (engines.new.model_id, "is reserved for")):
        answer = put(administrator, ORGANISATION, engine)
        assert word in problem(answer, 400, "invalid_request")["detail"]
    problem(put(administrator, ORGANISATION, "unknown"), 404, "not_found")
    problem(put(administrator, f"{DEFAULTS}/groups/nobody", engines.old.model_id), 404, "not_found")
    for body in ({}, {"engine": ""}, {"engine": engines.old.model_id, "group": None}):
        assert administrator.put(ORGANISATION, body, format="json").status_code == 400

    assert [str(kept) for kept in EngineDefault.objects.all()] == [
        f"organisation: {engines.old.model_id}"
    ]


def test_curators_and_operators_read_and_nobody_but_an_administrator_writes(
    administrator: APIClient,
    curator: APIClient,
    operator: APIClient,
    people: People,
    engines: Engines,
) -> None:
    put(administrator, ORGANISATION, engines.old.model_id)

    for client in (curator, operator):
        assert client.get(ORGANISATION).json()["engine"] == engines.old.model_id
        problem(put(client, ORGANISATION, engines.new.model_id), 403, "permission_denied")
        problem(client.delete(ORGANISATION), 403, "permission_denied")
    stranger = client_of(people.alice)
    for answer in (stranger.get(DEFAULTS), stranger.get(ORGANISATION)):
        problem(answer, 403, "permission_denied")

    assert EngineDefault.objects.get().engine == engines.old
