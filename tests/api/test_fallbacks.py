"""Fallback rules and incidents over REST."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

from engines.models import CatalogModel, EngineFallback, ModelRole
from engines.services.people.fallbacks import note_incident
from tests.api.roles import Engines, problem

RULES = "/api/v1/fallbacks"
ANY = f"{RULES}/any"


def put(client: APIClient, address: str, answers: str | None) -> Any:
    return client.put(address, {"answers": answers}, format="json")


def test_rules_are_set_changed_read_and_removed(operator: APIClient, engines: Engines) -> None:
    own = f"{RULES}/{engines.old.model_id}"

    assert put(operator, ANY, None).json() == {"engine": "any", "answers": None}
    assert put(operator, own, engines.new.model_id).status_code == 200
    assert put(operator, own, None).status_code == 200
    answer = put(operator, own, engines.new.model_id)

    rule = {"engine": engines.old.model_id, "answers": engines.new.model_id}
    assert answer.json() == rule == operator.get(own).json()
    assert operator.get(RULES).json()["results"] == [{"engine": "any", "answers": None}, rule]
    assert operator.delete(ANY).status_code == 204
    assert [str(kept) for kept in EngineFallback.objects.all()] == [
        f"{engines.old.model_id}: {engines.new.model_id}"
    ]
    problem(operator.delete(ANY), 404, "not_found")
    problem(operator.get(ANY), 404, "not_found")


def test_what_cannot_answer_is_refused_and_the_rule_stays(
    curator: APIClient, engines: Engines
) -> None:
    own = f"{RULES}/{engines.old.model_id}"
    put(curator, own, engines.new.model_id)
    CatalogModel.objects.create(
        model_id="embedder", display_name="E", model_family="e", role=ModelRole.EMBEDDING
    )

    problem(put(curator, own, engines.old.model_id), 400, "invalid_request")
    problem(put(curator, own, "embedder"), 400, "invalid_request")
    problem(put(curator, f"{RULES}/embedder", None), 400, "invalid_request")
    problem(put(curator, own, "unknown"), 404, "not_found")
    problem(put(curator, f"{RULES}/unknown", None), 404, "not_found")
    for body in ({}, {"answers": ""}, {"answers": None, "engine": "any"}):
        assert curator.put(own, body, format="json").status_code == 400

    rule = EngineFallback.objects.get()
    assert (rule.engine, rule.answers) == (engines.old, engines.new)


def test_incidents_are_shown_to_the_staff(
    operator: APIClient, alice: APIClient, engines: Engines
) -> None:
    failed, answered = engines.old.current_revision, engines.new.current_revision
    assert failed is not None
    assert answered is not None
    note_incident(failed.pk, answered.pk, "The file is damaged.")

    [incident] = operator.get("/api/v1/fallback-incidents").json()["results"]

    assert incident["engine"] == engines.old.model_id
    assert incident["answered_by"] == engines.new.model_id
    assert incident["reason"] == "The file is damaged."
    assert incident["ended_at"] is None
    problem(alice.get("/api/v1/fallback-incidents"), 403, "permission_denied")
    problem(put(alice, ANY, None), 403, "permission_denied")
    assert not EngineFallback.objects.exists()
