"""Roles over REST, and deleting people: what is refused changes nothing."""

from __future__ import annotations

from django.contrib.auth.models import User

from engines.services.people.roles import roles_of
from tests.api.roles import People, client_of, problem


def test_a_role_is_given_once_and_taken_and_other_groups_stay(people: People) -> None:
    administrator = client_of(people.administrator)
    people.bob.groups.create(name="sales")

    for _ in range(2):
        answer = administrator.put("/api/v1/people/bob/roles/curator")
        assert sorted(answer.json()["groups"]) == ["curator", "sales"]
    assert roles_of(User.objects.get(username="bob")) == {"curator"}

    for _ in range(2):
        answer = administrator.delete("/api/v1/people/bob/roles/curator")
        assert answer.json()["groups"] == ["sales"]


def test_what_is_no_role_is_400_and_gives_nothing(people: People) -> None:
    administrator = client_of(people.administrator)

    for method in (administrator.put, administrator.delete):
        answer = method("/api/v1/people/carol/roles/sales")
        assert "the roles are administrator, curator, operator" in answer.json()["detail"]
        problem(answer, 400, "invalid_request")

    assert roles_of(User.objects.get(username="carol")) == {"curator"}


def test_an_administrator_does_not_delete_themself_and_the_last_role_stays(people: People) -> None:
    administrator = client_of(people.administrator)

    problem(administrator.delete("/api/v1/people/adam"), 409, "conflict")
    problem(administrator.delete("/api/v1/people/adam/roles/administrator"), 409, "conflict")

    assert "administrator" in roles_of(User.objects.get(username="adam"))


def test_with_another_administrator_one_may_step_down(people: People) -> None:
    administrator = client_of(people.administrator)
    administrator.put("/api/v1/people/bob/roles/administrator")

    assert administrator.delete("/api/v1/people/adam/roles/administrator").status_code == 200

    assert roles_of(User.objects.get(username="adam")) == frozenset()
