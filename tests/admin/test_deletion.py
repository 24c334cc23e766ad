"""A person leaves: what is theirs goes at once, what they did to others' things stays without their name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError
from engines.files.artifacts import ArtifactStore
from engines.models import (
    Conversation,
    Embedding,
    HostEvent,
    KnowledgeBase,
    LoraAdapter,
    PromptTemplate,
)
from engines.services.hosts import invite_host, join_host, lock_host, move_host
from engines.services.knowledge.keep_up import keep_up
from engines.services.people.roles import ROLES, is_curator, set_roles
from migrations_app.audit.entries import make_pseudonym
from migrations_app.models import Backup, Plan, PlanEvent
from migrations_app.people import delete_group, delete_person
from migrations_app.plans.transitions import start_plan
from migrations_app.states import PlanStatus
from tests.admin.test_admin import act, engines, people, signed_in
from tests.api.roles import Engines, People, make_plan, use_engine
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import add, make_base, make_space

__all__ = ["engines", "people"]

USERS = "/admin/auth/user/"
GROUPS = "/admin/auth/group/"


@pytest.fixture
def administrator(people: People) -> Client:
    return signed_in(people.administrator)


@pytest.fixture
def store() -> ArtifactStore:
    return ArtifactStore(settings.SAM_ARTIFACT_STORE)


def with_everything(user: User, engines: Engines, store: ArtifactStore, scratch: Any) -> list[str]:
    """Give a person one of everything; return the keys of what lies in the store."""
    use_engine(user, engines.old)
    plan = make_plan(user, engines)
    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.COMPLETED)
    base = make_base(user, make_space("space"))
    add(base, f"what {user.username} wrote")
    add(base, "what everybody wrote")
    index = base.live_index
    assert index is not None
    keep_up(index.pk, HashEmbedder(), store, scratch, lambda _done: None)
    index.refresh_from_db()
    adapter = store.put_bytes(f"adapter of {user.username}".encode(), kind="adapters")
    backup = store.put_bytes(f"backup of {user.username}".encode(), kind="backups")
    assert engines.old.current_revision is not None
    LoraAdapter.objects.create(
        user=user,
        name="style",
        base_revision=engines.old.current_revision,
        artifact_key=adapter.key,
        sha256=adapter.sha256,
        file_size=adapter.size,
    )
    Backup.objects.create(
        plan=plan,
        user=user,
        artifact_key=backup.key,
        sha256=backup.sha256,
        file_size=backup.size,
        wrapped_key="sealed",
        verified_at=timezone.now(),
    )
    Conversation.objects.create(user=user, title="secret")
    return [adapter.key, backup.key, index.file_key]


@pytest.mark.django_db(transaction=True)
def test_an_administrator_deletes_a_person_with_all_that_is_theirs(
    administrator: Client, people: People, engines: Engines, store: ArtifactStore, tmp_path: Any
) -> None:
    keys = with_everything(people.alice, engines, store, tmp_path)
    shared = make_base(people.bob, KnowledgeBase.objects.get().live_index.fingerprint)  # type: ignore[union-attr]
    add(shared, "what everybody wrote")
    assert Embedding.objects.count() == 2
    page = administrator.post(f"{USERS}{people.alice.pk}/delete/").content.decode()
    assert "alice: 1 conversations, 1 knowledge bases, 1 adapters, 1 plans, 1 backups" in page

    answer = administrator.post(f"{USERS}{people.alice.pk}/delete/", {"post": "yes"})

    assert answer.status_code == 302
    assert not User.objects.filter(username="alice").exists()
    for model in (Plan, Backup, LoraAdapter, Conversation):
        assert not model._default_manager.exists()
    assert KnowledgeBase.objects.get() == shared
    assert Embedding.objects.count() == 1
    assert [store.exists(key) for key in keys] == [False, False, False]


@pytest.mark.django_db(transaction=True)
def test_a_file_that_another_person_has_too_stays(
    people: People, engines: Engines, store: ArtifactStore, tmp_path: Any
) -> None:
    adapter, *_ = with_everything(people.alice, engines, store, tmp_path)
    LoraAdapter.objects.create(
        user=people.bob,
        name="the same",
        base_revision=LoraAdapter.objects.get().base_revision,
        artifact_key=adapter,
        sha256="a",
        file_size=1,
    )

    delete_person(people.alice)

    assert store.exists(adapter)


@pytest.mark.parametrize("way", ["page", "list"])
def test_a_person_with_a_running_plan_is_not_deleted_and_the_page_says_what_to_do(
    administrator: Client, people: People, engines: Engines, way: str
) -> None:
    use_engine(people.alice, engines.old)
    plan = start_plan(make_plan(people.alice, engines).pk, who="alice")

    if way == "page":
        answer = administrator.post(f"{USERS}{people.alice.pk}/delete/", {"post": "yes"})
    else:
        asked = {"action": "delete_selected", "_selected_action": [str(people.alice.pk)]}
        answer = administrator.post(USERS, {**asked, "post": "yes"}, follow=True)

    assert f"manage.py plan status {plan.pk}" in answer.content.decode()
    with pytest.raises(ConflictError, match="alice has a plan under way"):
        delete_person(people.alice)
    assert User.objects.filter(username="alice").exists()
    assert Plan.objects.get().status == PlanStatus.IN_PROGRESS
    Plan.objects.update(status=PlanStatus.CANCELLED)
    assert "1 user" in act(administrator, USERS, "delete_selected", [people.alice], post="yes")
    assert not User.objects.filter(username="alice").exists()


def test_nobody_deletes_themselves(administrator: Client, people: People) -> None:
    page = administrator.post(f"{USERS}{people.administrator.pk}/delete/", {"post": "yes"})

    assert "have another administrator do it" in page.content.decode()
    assert User.objects.filter(pk=people.administrator.pk).exists()


@pytest.mark.parametrize("role", ["curator", "operator"])
def test_other_roles_delete_nobody(people: People, role: str) -> None:
    client = signed_in(getattr(people, role))

    answer = client.post(f"{USERS}{people.alice.pk}/delete/", {"post": "yes"})

    assert answer.status_code == 403
    assert User.objects.filter(username="alice").exists()


def test_what_a_person_did_to_others_stays_without_their_name(
    administrator: Client, people: People, engines: Engines
) -> None:
    oscar = people.operator
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    Plan.objects.filter(pk=plan.pk).update(created_by=oscar)
    start_plan(plan.pk, who="oscar")
    move_host(lock_host("gpu-1"), "draining", who="oscar", why="Old.")  # type: ignore[arg-type]
    token, _ = invite_host("gpu-2", who="oscar")
    join_host("gpu-2", token)
    administrator.post(f"{USERS}{oscar.pk}/change/", {"username": "oscar"})

    administrator.post(f"{USERS}{oscar.pk}/delete/", {"post": "yes"})

    name = make_pseudonym(oscar.pk)
    assert PlanEvent.objects.get(plan=plan, step=None).who == name
    assert HostEvent.objects.get(host__name="gpu-1").who == name
    plan.refresh_from_db()
    assert (plan.status, plan.created_by) == (PlanStatus.IN_PROGRESS, None)
    told = [
        *PlanEvent.objects.values_list("who", "why"),
        *HostEvent.objects.values_list("who", "why"),
        *LogEntry.objects.values_list("object_repr", "change_message"),
    ]
    assert "oscar" not in str(told)
    assert (name, "") in told


# --- roles ---------------------------------------------------------------------------------------


def test_a_new_install_has_the_three_roles_and_an_old_one_keeps_its_groups(db: None) -> None:
    Group.objects.all().delete()
    kept = Group.objects.create(name="operator")
    make_groups = import_module("migrations_app.migrations.0003_role_groups").make_groups

    make_groups(apps, None)
    make_groups(apps, None)

    assert set(Group.objects.values_list("name", flat=True)) == ROLES
    assert Group.objects.get(name="operator") == kept


def test_roles_are_ticked_on_a_persons_page_and_other_groups_stay(
    administrator: Client, people: People
) -> None:
    readers = Group.objects.create(name="readers")
    page = f"{USERS}{people.bob.pk}/change/"
    shown = administrator.get(page).content.decode()
    assert shown.count('type="checkbox" name="roles"') == len(ROLES)
    filled = {
        "username": "bob",
        "is_active": "on",
        "roles": ["curator"],
        "groups": [str(readers.pk)],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
    }

    assert administrator.post(page, filled).status_code == 302

    bob = User.objects.get(username="bob")
    assert set(bob.groups.values_list("name", flat=True)) == {"curator", "readers"}
    assert is_curator(bob)
    refused = administrator.post(page, {**filled, "roles": ["curater"]})
    assert "curater is not one of the available choices" in refused.content.decode()
    administrator.post(page, {**filled, "roles": []})
    assert set(bob.groups.values_list("name", flat=True)) == {"readers"}


def test_a_group_that_is_nearly_a_role_is_told(administrator: Client) -> None:
    answer = administrator.post(f"{GROUPS}add/", {"name": "Operators"}, follow=True)

    said = [str(message) for message in answer.context["messages"]]
    assert "The group 'Operators' gives no role; the role's group is called 'operator'." in said


@pytest.mark.django_db(transaction=True)
def test_a_group_stays_while_it_owns_knowledge_or_an_engine_is_reserved_for_it_alone(
    administrator: Client, people: People, engines: Engines
) -> None:
    team, other = (Group.objects.create(name=name) for name in ("team", "other"))
    base = KnowledgeBase.objects.create(group=team, name="Handbook")
    engines.new.allowed_groups.add(team)
    page = f"{GROUPS}{team.pk}/delete/"

    def refusal() -> str:
        said: str = administrator.post(page, {"post": "yes"}).content.decode()
        with pytest.raises(ConflictError):
            delete_group(team)
        assert Group.objects.filter(pk=team.pk).exists()
        return said

    assert "Handbook; have a curator delete these bases first" in refusal()
    assert KnowledgeBase.objects.get() == base
    base.delete()
    assert f"{engines.new.model_id} would open to everybody" in refusal()
    assert list(engines.new.allowed_groups.all()) == [team]
    engines.new.allowed_groups.add(other)

    assert administrator.post(page, {"post": "yes"}).status_code == 302
    assert list(engines.new.allowed_groups.all()) == [other]
    assert not Group.objects.filter(name="team").exists()


def test_a_misspelt_role_is_refused(people: People) -> None:
    with pytest.raises(InvalidRequestError, match="'curater' is no role; the roles are administr"):
        set_roles(people.bob, ["curater"])

    assert not people.bob.groups.exists()


# --- many rows -----------------------------------------------------------------------------------


def test_deleting_very_many_rows_is_a_sentence_and_many_are_deleted(people: People) -> None:
    curator = signed_in(people.curator)
    page = "/admin/engines/prompttemplate/"
    rows = PromptTemplate.objects.bulk_create(
        PromptTemplate(family=f"family-{number}") for number in range(1000)
    )

    said = act(curator, page, "delete_selected", rows[:1], select_across="1")

    assert said == "1000 rows are selected and none was deleted: delete at most 500 at a time."
    assert PromptTemplate.objects.count() == 1000
    act(curator, page, "delete_selected", rows[:500], post="yes")
    assert PromptTemplate.objects.count() == 500
