"""Hosts over REST: who may do what with them, and what is said before they go."""

from __future__ import annotations

import pytest
from redis import Redis
from rest_framework.test import APIClient

from engines.models import (
    CopyStatus,
    EngineDefault,
    EnginePreference,
    Host,
    HostInvitation,
    ModelCopy,
)
from engines.services.hosts import join_host
from tests.api.roles import Engines, People, problem, use_engine

HOST = "/api/v1/hosts/gpu-1"


@pytest.fixture
def held(people: People, engines: Engines) -> ModelCopy:
    """The file of Alice's engine, on one host only."""
    use_engine(people.alice, engines.old)
    return place(engines, engines.host)


def place(engines: Engines, host: Host) -> ModelCopy:
    assert engines.old.current_revision is not None
    return ModelCopy.objects.create(
        revision=engines.old.current_revision,
        host=host,
        path="/models/x",
        checksum="c" * 64,
        status=CopyStatus.DOWNLOADED,
    )


def status() -> str:
    return Host.objects.get(name="gpu-1").status


def test_an_operator_invites_a_machine_and_the_token_is_shown_once(
    operator: APIClient, engines: Engines
) -> None:
    answer = operator.post("/api/v1/hosts/gpu-2/invite", {"hours": 2}, format="json")

    assert answer.status_code == 201
    assert (answer.json()["host_name"], answer.json()["who"]) == ("gpu-2", "oscar")
    host = join_host("gpu-2", answer.json()["token"])
    assert [(e["to_status"], e["who"]) for e in events(operator, host.name)] == [
        ("joining", "gpu-2")
    ]


def events(client: APIClient, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client.get(f"/api/v1/hosts/{name}/events").json()
    return found


def test_a_curator_reads_about_hosts_and_moves_none(curator: APIClient, held: ModelCopy) -> None:
    assert curator.get(f"{HOST}/dependents").status_code == 200

    for move in ("invite", "drain", "resume", "retire"):
        problem(curator.post(f"{HOST}/{move}", {}, format="json"), 403, "permission_denied")

    assert (status(), HostInvitation.objects.count()) == ("active", 0)


def test_who_needs_a_host_is_said_before_it_is_drained(
    operator: APIClient, held: ModelCopy
) -> None:
    sentence = "1 people need what only this host holds: llama-8b."
    dependents = operator.get(f"{HOST}/dependents").json()
    assert dependents == {"people": 1, "engines": ["llama-8b"], "sentence": sentence}

    refusal = problem(operator.post(f"{HOST}/drain", {}, format="json"), 409, "host_needed")
    assert refusal["detail"].startswith(sentence)
    assert status() == "active"

    answer = operator.post(f"{HOST}/drain", {"knowing": True}, format="json")
    assert answer.json()["status"] == "draining"
    assert events(operator, "gpu-1")[-1]["why"] == sentence
    assert operator.post(f"{HOST}/resume").json()["status"] == "active"


def test_a_host_is_retired_only_once_it_is_drained_and_nobody_needs_it(
    operator: APIClient, held: ModelCopy, engines: Engines, redis_client: Redis
) -> None:
    problem(operator.post(f"{HOST}/retire"), 409, "illegal_move")
    operator.post(f"{HOST}/drain", {"knowing": True}, format="json")
    problem(operator.post(f"{HOST}/retire"), 409, "host_needed")
    held.refresh_from_db()
    assert (status(), held.status) == ("draining", "downloaded")

    place(engines, Host.objects.create(name="gpu-2", status="active"))

    assert operator.post(f"{HOST}/retire").json()["status"] == "retired"
    held.refresh_from_db()
    assert (held.status, held.error) == ("missing", "The host was retired.")
    assert [event["to_status"] for event in events(operator, "gpu-1")] == ["draining", "retired"]
    problem(operator.post(f"{HOST}/drain", {}, format="json"), 409, "illegal_move")


def test_people_on_the_default_engine_need_it_too(
    operator: APIClient, held: ModelCopy, people: People, engines: Engines
) -> None:
    EnginePreference.objects.all().delete()
    EngineDefault.objects.create(engine=engines.old)

    assert operator.get(f"{HOST}/dependents").json()["people"] == 5


def test_an_operator_limits_a_host_and_what_is_no_limit_changes_nothing(
    operator: APIClient, engines: Engines
) -> None:
    set_ = operator.put(f"{HOST}/limits", {"plans": 4, "disk_bytes": 10**12}, format="json")
    assert (set_.status_code, set_.json()["limits"]) == (200, {"plans": 4, "disk_bytes": 10**12})

    for wrong in ({"plans": -1}, {"plnas": 1}, {"plans": "many"}, {"plans": 2**60}):
        refused = operator.put(f"{HOST}/limits", wrong, format="json")
        assert refused.status_code == 400, wrong
    assert Host.objects.get(name="gpu-1").limits == {"plans": 4, "disk_bytes": 10**12}

    assert operator.put(f"{HOST}/limits", {}, format="json").json()["limits"] == {}
    assert [event["why"] for event in events(operator, "gpu-1")] == [
        "Limits: plans 4, disk_bytes 1000000000000.",
        "Limits: none.",
    ]
