"""Which engine answers a person: every form of the rule says the same of any rows that the tables hold."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings

from engines.exceptions import NotFoundError
from engines.models import CatalogModel, CopyStatus, EngineFallback, Host, ModelCopy, ModelRevision
from engines.services.engine_choice import (
    PEOPLE_BY_ENGINE_SQL,
    count_people_by_engine,
    effective_engine,
    people_answered_by,
    people_using,
    with_engine_choice,
)
from engines.services.people.bindings import request_binding
from engines.services.people.fallbacks import fallbacks_for, people_falling_back_to
from migrations_app.plans.revision_needs import people_needing
from migrations_app.serving import hosts
from tests.knowledge.test_query_plans import nodes
from tests.people.rows import GROUPS, ORGANISATION, Made, Person, Rows, any_rows, made

pytestmark = pytest.mark.django_db
C, A, B = range(len(GROUPS))

ADA = Person(engine=0, pinned=1)
CASES: dict[str, tuple[Rows, tuple[int | None, int | None]]] = {
    "nothing anywhere": (Rows((Person(),)), (None, None)),
    "own engine, pinned": (Rows((ADA,), defaults={ORGANISATION: 1}), (0, 1)),
    "own engine, not pinned": (Rows((replace(ADA, pinned=None),)), (0, 0)),
    "own engine without a revision gets no default in its place": (
        Rows((replace(ADA, pinned=None),), current=(None, 2, 4), defaults={ORGANISATION: 1}),
        (0, None),
    ),
    "own engine pinned while the catalog has none": (
        Rows((ADA,), current=(None, 2, 4)),
        (0, 1),
    ),
    "a pinned revision of another entry": (Rows((replace(ADA, pinned=3),)), (0, 3)),
    "own engine before the group's": (
        Rows((replace(ADA, groups=frozenset({A})),), defaults={A: 1}),
        (0, 1),
    ),
    "a row that names no engine": (Rows((Person(),), defaults={ORGANISATION: 1}), (1, 2)),
    "no row at all": (
        Rows((Person(has_preference=False),), defaults={ORGANISATION: 1}),
        (1, 2),
    ),
    "the group's before the organisation's": (
        Rows((Person(groups=frozenset({C})),), defaults={ORGANISATION: 1, C: 2}),
        (2, 4),
    ),
    "the first group by name, not by key": (
        Rows((Person(groups=frozenset({A, B, C})),), defaults={C: 0, B: 1, A: 2}),
        (2, 4),
    ),
    "a first group without a default is passed over": (
        Rows((Person(groups=frozenset({A, B})),), defaults={B: 1, C: 0}),
        (1, 2),
    ),
    "another group's default is not mine": (
        Rows((Person(groups=frozenset({B})),), defaults={A: 1}),
        (None, None),
    ),
    "a default without a revision": (
        Rows((Person(),), current=(None, 2, 4), defaults={ORGANISATION: 0}),
        (0, None),
    ),
    "who may not sign in keeps the choice": (Rows((replace(ADA, active=False),)), (0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_each_way_to_an_engine_is_the_same_in_every_form(name: str) -> None:
    rows, (engine, revision) = CASES[name]

    with made(rows) as world:
        found = effective_engine(world.people[0])
        assert found == (
            None if engine is None else world.engines[engine],
            None if revision is None else world.revisions[revision],
        )
        compare_all_forms(world)


def test_one_person_among_many_costs_what_their_own_rows_cost(db: None) -> None:
    """Of every request it is asked, and of everybody at once when a host goes."""
    with made(Rows((Person(groups=frozenset({A})),), defaults={A: 1, ORGANISATION: 2})) as world:
        many = User.objects.bulk_create(User(username=f"other-{n}") for n in range(5000))
        group = world.people[0].groups.get()
        members = User.groups.through
        members.objects.bulk_create(members(user=user, group=group) for user in many)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE auth_user, auth_user_groups, engines_enginedefault")
        one = with_engine_choice(User.objects.filter(pk=world.people[0].pk))

        [plan] = json.loads(one.explain(format="json", analyze=True))
        groups = Group.objects.count()

    found = list(nodes(plan["Plan"]))
    assert {"auth_user", "auth_user_groups"} <= {node.get("Relation Name") for node in found}
    # So few groups may be read as they lie; of the many people only one is.
    assert max(node["Actual Rows"] for node in found) <= groups


def test_counting_everybody_looks_up_nobody_by_themselves(db: None) -> None:
    """The admin's first page asks it again every few seconds."""
    defaults = {A: 1, B: 2, ORGANISATION: 0}
    with made(Rows((Person(groups=frozenset({A, B})),), defaults=defaults)) as world:
        many = User.objects.bulk_create(User(username=f"other-{n}") for n in range(3000))
        members = User.groups.through
        for group in world.people[0].groups.all():
            members.objects.bulk_create(members(user=user, group=group) for user in many)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE auth_user, auth_user_groups, engines_enginedefault")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {PEOPLE_BY_ENGINE_SQL}")
            [[plan]] = cursor.fetchone()

    asked = [node["Actual Loops"] for node in nodes(plan["Plan"])]
    assert max(asked) <= len(many) / 10


@pytest.mark.timeout(1200)
@given(any_rows)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_all_forms_agree_on_any_rows(rows: Rows) -> None:
    with made(rows) as world:
        compare_all_forms(world)
        compare_fallbacks(world)
        compare_needs_of_people(world)


def compare_all_forms(world: Made) -> None:
    """Every person and every revision: rows, statement, placing, and the reverse one by one and at once."""
    on_hosts = place_everywhere(world)
    forward = {
        (user.pk, revision.pk)
        for user in world.people
        if user.is_active and (revision := effective_engine(user)[1]) is not None
    }
    keys = [revision.pk for revision in world.revisions]
    at_once = people_answered_by(keys).values_list("pk", "chosen_revision")
    one_by_one = {(user.pk, key) for key in keys for user in people_answered_by([key])}

    assert set(at_once) == one_by_one == forward
    counted = Counter(
        engine.pk
        for user in world.people
        if user.is_active and (engine := effective_engine(user)[0]) is not None
    )
    assert count_people_by_engine() == counted
    for each in world.engines:
        active = (user for user in world.people if user.is_active)
        assert set(people_using(CatalogModel.objects.filter(pk=each.pk))) == {
            user for user in active if effective_engine(user)[0] == each
        }
    for user in world.people:
        engine, revision = effective_engine(user)
        copies = hosts._active_engine_on(on_hosts, user.pk)
        assert [copy.revision_id for copy in copies] == ([revision.pk] if revision else [])
        if user.is_active:
            binding = request_binding(user.pk)
            assert (binding.engine, binding.revision) == (engine, revision)
        else:
            with pytest.raises(NotFoundError):
                request_binding(user.pk)


def place_everywhere(world: Made) -> str:
    """Put every revision on one host; returns what it announces."""
    host = Host.objects.create(
        name="h1", status="active", last_seen=timezone.now(), announces=["live.stream"]
    )
    ModelCopy.objects.bulk_create(
        ModelCopy(
            revision=revision, host=host, path="/x", checksum="c", status=CopyStatus.DOWNLOADED
        )
        for revision in world.revisions
    )
    return json.dumps(["live.stream"])


def compare_fallbacks(world: Made) -> None:
    """The previous engine: as the failing engine of a person asks, and as the deletion of a file asks."""
    EngineFallback.objects.exclude(answers=None).delete()
    forward = {
        (user.pk, revision.pk)
        for user in world.people
        for revision in previous_of(user)
        if user.is_active
    }
    backwards = {
        (user.pk, revision.pk)
        for revision in world.revisions
        for user in people_falling_back_to([revision.pk])
    }

    assert backwards == forward


def previous_of(user: User) -> list[ModelRevision]:
    engine, revision = effective_engine(user)
    return fallbacks_for(user, engine) if engine is not None and revision is not None else []


def compare_needs_of_people(world: Made) -> None:
    """Whom a host's files serve: the reverse of what each person's request is bound to."""
    needed = people_needing([revision.pk for revision in world.revisions])
    expected: dict[int, set[int]] = {}
    for user in (user for user in world.people if user.is_active):
        binding = request_binding(user.pk)
        used = {index.fingerprint.revision_id for _, index in binding.indexes}
        used |= {binding.revision.pk} if binding.revision else set()
        for key in used:
            expected.setdefault(key, set()).add(user.pk)

    assert needed == expected
