from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from engines.models import ApiToken, Document, EnginePreference, KnowledgeBase
from tests.admin.test_admin import act, engines, people, signed_in
from tests.api.roles import Engines, People, make_plan, use_engine
from tests.tokens import token_for

__all__ = ["engines", "people"]

USERS = "/admin/auth/user/"
GROUPS = "/admin/auth/group/"
TOKENS = "/admin/engines/apitoken/"
PREFERENCES = "/admin/engines/enginepreference/"


@pytest.fixture
def administrator(people: People) -> Client:
    return signed_in(people.administrator)


def test_a_token_is_shown_nowhere_and_can_be_ended(administrator: Client, people: People) -> None:
    keys = [token_for(user) for user in (people.alice, people.bob)]

    for page in ("/admin/", USERS, TOKENS, f"{USERS}{people.alice.pk}/change/"):
        shown = administrator.get(page).content.decode()
        assert not [key for key in keys if key in shown]

    assert act(administrator, USERS, "end_tokens", [people.alice]) == "1 token ended."
    assert [token.user for token in ApiToken.objects.all()] == [people.bob]


def test_an_administrator_by_group_manages_people_and_groups(
    administrator: Client, people: People
) -> None:
    filled = {"username": "dora", "usable_password": "false"}
    administrator.post(f"{USERS}add/", filled)
    administrator.post(f"{GROUPS}add/", {"name": "readers"})

    assert User.objects.get(username="dora").has_usable_password() is False
    assert Group.objects.filter(name="readers").exists()


@pytest.mark.parametrize("role", ["curator", "operator"])
def test_other_roles_neither_see_nor_change_people(people: People, role: str) -> None:
    client = signed_in(getattr(people, role))
    before = User.objects.count()

    assert client.get(USERS).status_code == 403
    assert client.get(GROUPS).status_code == 403
    assert client.post(f"{USERS}add/", {"username": "dora"}).status_code == 403
    assert User.objects.count() == before


def test_an_operator_sees_who_uses_which_engine_and_changes_nothing(
    people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    operator = signed_in(people.operator)
    preference = EnginePreference.objects.get(user=people.alice)

    page = operator.get(PREFERENCES).content.decode()

    assert "LLAMA-8B" in page
    changed = operator.post(f"{PREFERENCES}{preference.pk}/change/", {"engine": ""})
    assert changed.status_code == 403
    assert EnginePreference.objects.get(user=people.alice).engine == engines.old
    assert signed_in(people.curator).get(PREFERENCES).status_code == 403


def test_a_persons_page_counts_what_they_have_and_names_none_of_it(
    administrator: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    base = KnowledgeBase.objects.create(owner=people.alice, name="very secret")
    Document.objects.create(base=base, title="very secret", text="very secret", sha256="0" * 64)
    make_plan(people.alice, engines)

    answer = administrator.get(f"{USERS}{people.alice.pk}/change/")
    page = answer.content.decode()

    shown = answer.context["person"]
    assert (shown["engine"], shown["bases"], shown["documents"]) == (engines.old, 1, 1)
    assert "Move alice from LLAMA-8B to QWEN-4B" in page
    assert "very secret" not in page


def test_who_lost_staff_status_is_told_so_and_not_of_a_role(
    administrator: Client, people: People
) -> None:
    User.objects.filter(pk=people.administrator.pk).update(is_staff=False)

    for page in ("/admin/", USERS):
        refused = administrator.get(page, follow=True)
        assert refused.status_code == 403
        assert "“staff status” besides a role" in refused.content.decode()
