"""Every change leaves one entry, whatever door it came through, and a refused one leaves none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from engines.exceptions import ConflictError
from engines.models import ApiToken, CatalogModel, Host, TokenQuota, UserPrompts
from engines.services.people.tokens import create_token
from migrations_app.audit.triggers import write_rule
from migrations_app.audit.watched import WATCHED
from migrations_app.models import AuditEntry
from migrations_app.people import deactivate_person, delete_person
from tests.admin.test_admin import act, engines, people, signed_in
from tests.api.roles import PASSWORD, Engines, People, client_of, make_plan
from tests.sam_command import run_sam

__all__ = ["engines", "people"]

QUOTA = "/api/v1/quotas/alice"


@pytest.fixture
def before(people: People, engines: Engines) -> int:
    """Where the entries of the world's own making end."""
    newest = AuditEntry.objects.first()
    return newest.pk if newest else 0


def since(before: int) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(pk__gt=before).order_by("pk"))


def told(entry: AuditEntry) -> tuple[str, str, str, str, dict[str, Any]]:
    return entry.actor, entry.door, entry.kind, entry.action, entry.changes


def test_the_database_watches_what_the_registry_says(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, encode(tgargs, 'escape') FROM pg_trigger WHERE tgname = 'sam_audit'"
        )
        found = {table: json.loads(rule.removesuffix("\\000")) for table, rule in cursor.fetchall()}

    assert found == {watched.table: json.loads(write_rule(watched)) for watched in WATCHED}


def test_every_watched_field_is_a_column(db: None) -> None:
    with connection.cursor() as cursor:
        for watched in WATCHED:
            columns = {
                c.name
                for c in connection.introspection.get_table_description(cursor, watched.table)
            }
            named = {*watched.fields, *watched.hidden, watched.name, watched.person} - {""}
            assert named <= columns, watched.table


def test_over_rest_a_quota_is_made_changed_and_taken_away(people: People, before: int) -> None:
    adam = client_of(people.administrator)
    adam.put(QUOTA, {"tokens_per_day": 5}, format="json")
    adam.put(QUOTA, {"tokens_per_day": 7}, format="json")
    adam.delete(QUOTA)

    assert [told(entry) for entry in since(before) if entry.kind == "quota"] == [
        ("adam", "rest", "quota", "created", {"tokens_per_day": [None, 5]}),
        ("adam", "rest", "quota", "changed", {"tokens_per_day": [5, 7]}),
        ("adam", "rest", "quota", "deleted", {"tokens_per_day": [7, None]}),
    ]
    assert {e.person_pk for e in since(before) if e.kind == "quota"} == {people.alice.pk}
    assert {e.actor_pk for e in since(before) if e.kind == "quota"} == {people.administrator.pk}


def test_a_refused_change_leaves_no_entry(people: People) -> None:
    operator, adam = client_of(people.operator), client_of(people.administrator)
    here = AuditEntry.objects.latest("id").pk

    assert operator.put(QUOTA, {"tokens_per_day": 5}, format="json").status_code == 403
    assert adam.put(QUOTA, {"tokens_per_day": -1}, format="json").status_code == 400

    assert since(here) == []
    assert not TokenQuota.objects.exists()


def test_a_change_that_is_rolled_back_leaves_no_entry(people: People, before: int) -> None:
    with pytest.raises(ConflictError):
        deactivate_person(people.administrator, who="adam")
    with transaction.atomic():
        User.objects.filter(pk=people.bob.pk).update(is_active=False)
        transaction.set_rollback(True)

    assert since(before) == []
    User.objects.filter(pk=people.bob.pk).update(is_active=False)
    [entry] = since(before)
    assert told(entry) == ("system", "system", "person", "changed", {"is_active": [True, False]})


def test_at_the_machine_root_acts_for_a_person(
    people: People, engines: Engines, before: int
) -> None:
    run_sam("default", "set", "llama-8b", "--user", "adam")
    run_sam("usage", "limit", "9")

    first, second = since(before)
    assert told(first)[:4] == ("adam", "command_line", "default", "created")
    assert first.changes == {"engine_id": [None, "llama-8b"]}
    assert (first.machine_user, first.name) == ("root", "organisation")
    assert (second.actor, second.machine_user, second.actor_pk) == ("system", "root", None)
    listed = run_sam("audit", "list", "--kind", "default")
    assert "root at the machine, for adam" in listed
    assert '"llama-8b"' in listed
    assert "tokens_per_day" not in listed


def test_actions_of_the_admin_that_update_many_name_who_clicked(
    people: People, engines: Engines
) -> None:
    client = signed_in(people.curator)
    here = AuditEntry.objects.latest("id").pk

    act(client, "/admin/engines/catalogmodel/", "recommend", [engines.new])

    [entry] = since(here)
    assert told(entry) == ("carol", "admin", "catalog", "changed", {"recommended": [False, True]})
    assert entry.name == "qwen-4b"


def test_a_page_names_who_is_signed_in(people: People) -> None:
    client = signed_in(people.alice)
    here = AuditEntry.objects.latest("id").pk

    client.post("/settings/", {"first_name": "Alice", "last_name": ""})

    [entry] = since(here)
    assert told(entry) == (
        "alice", "page", "person", "changed", {"first_name": ["not shown", "not shown"]},
    )  # fmt: skip


def test_an_imported_catalog_is_recorded_entry_by_entry(people: People, engines: Engines) -> None:
    carol = client_of(people.curator)
    document = carol.get("/api/v1/catalog-file").json()
    CatalogModel.objects.filter(model_id="qwen-4b").update(display_name="changed")
    tiny = {"model_id": "tiny", "filename": "tiny.gguf"}
    document["models"]["tiny"] = {**document["models"]["qwen-4b"], **tiny}
    here = AuditEntry.objects.latest("id").pk

    answer = carol.post("/api/v1/catalog-file", {**document, "overwrite": True}, format="json")

    assert answer.status_code == 200, answer.content
    [changed] = [entry for entry in since(here) if entry.name == "qwen-4b"]
    made = next(entry for entry in since(here) if entry.name == "tiny")
    assert told(changed) == (
        "carol", "rest", "catalog", "changed", {"display_name": ["changed", "QWEN-4B"]},
    )  # fmt: skip
    assert told(made)[:4] == ("carol", "rest", "catalog", "created")
    assert made.changes["filename"] == [None, "tiny.gguf"]
    assert "endpoint" not in made.changes


def test_an_action_of_a_plan_names_who_asked(people: People, engines: Engines) -> None:
    alice = client_of(people.alice)
    plan = make_plan(people.alice, engines)
    here = AuditEntry.objects.latest("id").pk

    alice.post(f"/api/v1/plans/{plan.pk}/cancel")

    entries = since(here)
    assert {told(entry)[:4] for entry in entries} == {("alice", "rest", "plan", "changed")}
    assert {entry.key for entry in entries} == {str(plan.pk)}
    assert [entry.changes["status"] for entry in entries if "status" in entry.changes] == [
        ["pending", "cancelled"]
    ]


def test_roles_and_reservations_say_which_group(
    people: People, engines: Engines, before: int
) -> None:
    curators = Group.objects.get(name="curator")
    people.alice.groups.add(curators)
    engines.new.allowed_groups.add(curators)
    Group.objects.filter(pk=curators.pk).update(name="librarian")

    member, reserved, renamed = since(before)
    assert (member.kind, member.name, member.person_pk) == (
        "membership",
        "curator",
        people.alice.pk,
    )
    assert (reserved.name, reserved.changes) == ("qwen-4b", {"group_id": [None, "curator"]})
    assert renamed.changes == {"name": ["curator", "librarian"]}


def test_secrets_and_private_texts_are_in_no_entry(people: People) -> None:
    create_token(people.alice, "my private laptop")
    stored = ApiToken.objects.get().sha256.hex()
    UserPrompts.objects.create(user=people.alice, family="llama", system_prompt="I have gout.")
    people.alice.email = "alice@example.org"
    people.alice.set_password("another long password")
    people.alice.save()

    kept = json.dumps(list(AuditEntry.objects.values("name", "key", "changes")))
    for secret in ("laptop", "gout", "example.org", people.alice.password, stored):
        assert secret not in kept
    changed = AuditEntry.objects.filter(kind="person", action="changed").latest("id").changes
    assert changed == {key: ["not shown", "not shown"] for key in ("email", "password")}
    assert AuditEntry.objects.filter(kind="prompts").get().changes == {
        "system_prompt": ["not shown", "not shown"]
    }


def test_heartbeats_and_uses_of_tokens_leave_no_entry(people: People, engines: Engines) -> None:
    alice = client_of(people.alice)
    here = AuditEntry.objects.latest("id").pk

    alice.get("/api/v1/me")
    Host.objects.update(disk_free_bytes=1)

    assert since(here) == []


def test_a_deleted_persons_name_is_forgotten_and_what_they_did_stays(
    people: People, engines: Engines
) -> None:
    client_of(people.administrator).put(QUOTA, {"tokens_per_day": 5}, format="json")
    number, alice = people.administrator.pk, people.alice.pk
    User.objects.filter(pk=number).update(username="adam2")
    User.objects.create_superuser("eve", password=PASSWORD)

    delete_person(User.objects.get(pk=number))
    delete_person(people.alice)

    kept = list(AuditEntry.objects.values("actor", "name", "changes"))
    assert "adam" not in json.dumps(kept)
    assert "alice" not in json.dumps(kept)
    quota = AuditEntry.objects.get(kind="quota", action="created")
    assert (quota.actor, quota.changes) == (
        f"deleted person {number}",
        {"tokens_per_day": [None, 5]},
    )
    gone = AuditEntry.objects.get(kind="person", action="deleted", person_pk=alice)
    assert gone.name == f"deleted person {alice}"


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}"])
def test_an_entry_is_never_changed(people: People, statement: str) -> None:
    here = list(AuditEntry.objects.values())

    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        connection.cursor().execute(statement.format("migrations_app_auditentry"))

    assert list(AuditEntry.objects.values()) == here


def test_the_list_is_narrowed_and_for_administrators_only(people: People, engines: Engines) -> None:
    adam, operator = client_of(people.administrator), client_of(people.operator)
    adam.put(QUOTA, {"tokens_per_day": 5}, format="json")

    answer = adam.get("/api/v1/audit", {"actor": "adam", "person": "alice", "kind": "quota"})
    [row] = answer.json()["results"]
    assert (row["who"], row["door"], row["person"]) == ("adam", "rest", "alice")
    assert row["changes"] == {"tokens_per_day": [None, 5]}
    assert adam.get("/api/v1/audit", {"kind": "nothing"}).status_code == 400
    assert adam.get("/api/v1/audit", {"until": "2001-01-01T00:00:00Z"}).json()["results"] == []
    assert operator.get("/api/v1/audit").status_code == 403
    assert client_of(people.alice).get("/api/v1/audit").status_code == 403


def test_operators_read_in_the_admin_what_is_about_hosts(people: People, engines: Engines) -> None:
    page = "/admin/migrations_app/auditentry/"

    seen = signed_in(people.operator).get(page).content.decode()
    assert "gpu-1" in seen
    assert "llama-8b" not in seen
    everything = signed_in(people.administrator)
    assert "llama-8b" in everything.get(page).content.decode()
    entry = AuditEntry.objects.filter(kind="catalog").latest("id")
    assert "→" in everything.get(f"{page}{entry.pk}/change/").content.decode()
    assert signed_in(people.curator).get(page).status_code == 403
    assert everything.post(f"{page}{entry.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("page", ["/admin/migrations_app/auditentry/", "/api/v1/audit"])
def test_a_longer_list_asks_no_more(
    people: People, page: str, django_assert_max_num_queries: Any
) -> None:
    client: Client | APIClient = (
        client_of(people.administrator) if "/api/" in page else signed_in(people.administrator)
    )
    client.get(page)
    with django_assert_max_num_queries(100) as few:
        client.get(page)
    for tokens in range(20):
        TokenQuota.objects.update_or_create(user=people.bob, defaults={"tokens_per_day": tokens})

    with django_assert_max_num_queries(len(few.captured_queries)):
        client.get(page)
