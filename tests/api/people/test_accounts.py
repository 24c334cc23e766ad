from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from engines.models import ApiToken
from tests.api.roles import PASSWORD, Engines, People, make_default, problem


def test_a_password_is_exchanged_for_a_token_that_opens_the_api(people: People) -> None:
    client = APIClient()
    asked = {"username": "alice", "password": PASSWORD}

    answer = client.post("/api/v1/tokens", asked, format="json")

    assert answer.status_code == 201
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}")
    assert client.get("/api/v1/me").json()["username"] == "alice"


def test_a_wrong_password_is_401_and_makes_no_token(people: People) -> None:
    answer = APIClient().post(
        "/api/v1/tokens", {"username": "alice", "password": "wrong"}, format="json"
    )

    problem(answer, 401, "wrong_credentials")
    assert not ApiToken.objects.exists()


def test_an_unknown_token_is_401_with_the_way_to_sign_in(db: None) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    answer = client.get("/api/v1/me")

    problem(answer, 401, "authentication_failed")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("alice", []),
        ("carol", ["curator"]),
        ("oscar", ["operator"]),
        ("adam", ["administrator", "curator", "operator"]),
    ],
)
def test_me_tells_the_roles(people: People, name: str, roles: list[str]) -> None:
    client = APIClient()
    asked = {"username": name, "password": PASSWORD}
    token = client.post("/api/v1/tokens", asked, format="json").json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    assert client.get("/api/v1/me").json()["roles"] == roles


def test_me_names_the_organisations_engine_for_who_chose_none(
    alice: APIClient, engines: Engines
) -> None:
    assert alice.get("/api/v1/me").json()["active_engine_id"] is None

    make_default(engines.old)

    assert alice.get("/api/v1/me").json()["active_engine_id"] == "llama-8b"
