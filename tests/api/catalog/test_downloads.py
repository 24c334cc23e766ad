from __future__ import annotations

from rest_framework.test import APIClient

from engines.models import Host, HostStatus
from migrations_app.models import IdempotencyKey, Plan
from tests.api.roles import Engines, problem

URL = "/api/v1/downloads"


def test_a_download_answers_202_with_the_address_of_its_plan(
    operator: APIClient, engines: Engines
) -> None:
    answer = operator.post(URL, {"model_id": "qwen-4b", "host": "gpu-1"}, format="json")

    plan = Plan.objects.get()
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/v1/plans/{plan.pk}"
    assert (plan.kind, plan.status, plan.host) == ("download", "in_progress", engines.host)
    assert operator.get(answer["Location"]).json()["steps"][0]["kind"] == "download"
    assert [row["id"] for row in operator.get(URL).json()["results"]] == [str(plan.pk)]


def test_the_status_tells_the_progress_and_the_plan_cancels_it(
    operator: APIClient, engines: Engines
) -> None:
    location = operator.post(URL, {"model_id": "qwen-4b"}, format="json")["Location"]

    progress = operator.get("/api/v1/catalog/qwen-4b/status").json()["progress"]
    assert (progress["host"], progress["progress_percentage"]) == ("gpu-1", 0.0)
    answer = operator.post(f"{location}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")


def test_asking_again_while_it_runs_answers_with_the_running_plan(
    operator: APIClient, engines: Engines
) -> None:
    first, second = (operator.post(URL, {"model_id": "qwen-4b"}, format="json") for _ in range(2))

    assert first["Location"] == second["Location"]
    assert Plan.objects.count() == 1


def test_a_person_may_not_fill_hosts(alice: APIClient, engines: Engines) -> None:
    problem(alice.post(URL, {"model_id": "qwen-4b"}, format="json"), 403, "permission_denied")
    problem(alice.get(URL), 403, "permission_denied")

    assert not Plan.objects.exists()


def test_what_cannot_be_downloaded_is_refused_with_a_sentence(
    operator: APIClient, engines: Engines
) -> None:
    Host.objects.create(name="gpu-2", status=HostStatus.DRAINING)

    problem(operator.post(URL, {"model_id": "none"}, format="json"), 404, "not_found")
    problem(
        operator.post(URL, {"model_id": "qwen-4b", "host": "x"}, format="json"), 404, "not_found"
    )
    answer = operator.post(URL, {"model_id": "qwen-4b", "host": "gpu-2"}, format="json")
    assert "draining" in problem(answer, 409, "conflict")["detail"]
    assert not Plan.objects.exists()


def test_without_any_active_host_it_is_503_and_no_key_is_kept(
    operator: APIClient, engines: Engines
) -> None:
    Host.objects.update(status=HostStatus.LOST)

    answer = operator.post(URL, {"model_id": "qwen-4b"}, format="json", HTTP_IDEMPOTENCY_KEY="k1")

    problem(answer, 503, "host_unavailable")
    assert answer["Retry-After"] == "5"
    assert not Plan.objects.exists()
    assert not IdempotencyKey.objects.exists()
