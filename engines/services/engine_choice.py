"""Which engine answers a person: the one place of this rule, in each form in which it is asked.

A person's own engine comes first; else, of their groups that have a default, that of the first group by
name; else the organisation's default. Of an own engine the pinned revision answers, and without a pin, as
for a default, the catalog's current one. An engine without a revision still is the choice: a person who
chose it is not given a default in its place.

- ``effective_engine``: one person, as rows.
- ``default_of``: the default beneath a person's own choice, as a row.
- ``with_engine_choice``: many people, as a queryset to filter or to embed.
- ``CHOICE_SQL``: one active person, for a handwritten statement that asks more about them at once.
- ``people_answered_by`` and ``people_using``: the reverse, whom some revisions answer, or some engines.
- ``count_people_by_engine``: everybody at once, as numbers.

``tests/people/test_engine_choice.py`` holds the forms together over random rows.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypedDict

from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import BigIntegerField, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django_stubs_ext import WithAnnotations

from engines.db.prepared import Parameter, PreparedQuery
from engines.models import CatalogModel, EngineDefault, ModelRevision

KEY = BigIntegerField()

NO_ENGINE = "No engine is chosen yet: choose one (under Move, or `sam plan create`), or have an administrator set a default."
"""Where somebody asks whom no engine answers."""

CHOICE_SQL = """
my_groups AS (
    SELECT group_id FROM auth_user_groups WHERE user_id = %(user)s
), by_default AS (
    SELECT d.engine_id FROM engines_enginedefault d LEFT JOIN auth_group g ON g.id = d.group_id
    WHERE d.group_id IS NULL OR d.group_id IN (SELECT group_id FROM my_groups)
    ORDER BY g.name NULLS LAST LIMIT 1
), chosen AS (
    SELECT m.id AS engine_id, coalesce(p.revision_id, m.current_revision_id) AS revision_id,
           coalesce(nullif(p.prompt_family, ''), m.model_family, '') AS family
    FROM auth_user who
    LEFT JOIN engines_enginepreference p ON p.user_id = who.id
    LEFT JOIN engines_catalogmodel m
        ON m.id = coalesce(p.engine_id, (SELECT engine_id FROM by_default))
    WHERE who.id = %(user)s AND who.is_active
)
"""
"""CTEs for ``WITH``: ``my_groups``, and ``chosen``, which is one row, or none when ``%(user)s`` is not active."""

PEOPLE_BY_ENGINE_SQL = """
WITH defaults AS (
    SELECT d.engine_id, d.group_id, row_number() OVER (ORDER BY g.name NULLS LAST) AS place
    FROM engines_enginedefault d LEFT JOIN auth_group g ON g.id = d.group_id
), first_of AS (
    SELECT m.user_id, min(d.place) AS place
    FROM auth_user_groups m JOIN defaults d ON d.group_id = m.group_id GROUP BY m.user_id
), chosen AS (
    SELECT coalesce(
        p.engine_id, d.engine_id, (SELECT engine_id FROM defaults WHERE group_id IS NULL)
    ) AS engine_id
    FROM auth_user who
    LEFT JOIN engines_enginepreference p ON p.user_id = who.id
    LEFT JOIN first_of f ON f.user_id = who.id
    LEFT JOIN defaults d ON d.place = f.place
    WHERE who.is_active
)
SELECT engine_id, count(*) FROM chosen WHERE engine_id IS NOT NULL GROUP BY engine_id
"""


class Choice(TypedDict):
    """What ``with_engine_choice`` adds to a person: keys, or None."""

    chosen_engine: int | None
    chosen_revision: int | None


def with_engine_choice(people: QuerySet[User]) -> QuerySet[WithAnnotations[User, Choice]]:
    """Add to each person the keys of the engine and the revision that answer them."""
    # Not by a join: for a host's drain this is asked of everybody, and each looks up their few groups.
    mine = User.groups.through.objects.filter(
        user=OuterRef(OuterRef("pk")), group=OuterRef("group")
    )
    defaults = EngineDefault.objects.filter(Q(group=None) | Exists(mine))
    first = defaults.order_by(F("group__name").asc(nulls_last=True)).values("engine")[:1]
    current = CatalogModel.objects.filter(pk=OuterRef("chosen_engine")).values("current_revision")
    return people.annotate(
        chosen_engine=Coalesce("engine_preference__engine", Subquery(first), output_field=KEY),
    ).annotate(
        chosen_revision=Coalesce(
            "engine_preference__revision", Subquery(current), output_field=KEY
        ),
    )


def people_answered_by(
    revisions: Collection[int], *, active: bool = True
) -> QuerySet[WithAnnotations[User, Choice]]:
    """Return the people whom these revisions (keys) answer; those who may sign in, or the others."""
    people = with_engine_choice(User.objects.filter(is_active=active))
    return people.filter(chosen_revision__in=revisions)


def people_using(engines: QuerySet[CatalogModel]) -> QuerySet[WithAnnotations[User, Choice]]:
    """Return the active people whose choice is one of these engines, whatever its revision."""
    people = with_engine_choice(User.objects.filter(is_active=True))
    return people.filter(chosen_engine__in=engines)


def count_people_by_engine() -> dict[int, int]:
    """Return how many active people each engine (key) answers, reading each table once.

    ``people_using`` looks up each one's groups anew, which of everybody takes longer than a page may.
    """
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE_BY_ENGINE_SQL)
        return dict(cursor.fetchall())


@PreparedQuery
def _choice_of(user: Parameter) -> QuerySet[WithAnnotations[User, Choice]]:
    return with_engine_choice(User.objects.filter(pk=user)).only("pk")


@PreparedQuery
def _engine(key: Parameter) -> QuerySet[CatalogModel]:
    return CatalogModel.objects.filter(pk=key)


@PreparedQuery
def _revision(key: Parameter) -> QuerySet[ModelRevision]:
    return ModelRevision.objects.filter(pk=key)


def effective_engine(user: User) -> tuple[CatalogModel | None, ModelRevision | None]:
    """Return what answers this person, active or not; without any engine both are None."""
    choice: Any = _choice_of.first(user.pk)
    if choice is None:
        return None, None
    engine = _engine.first(choice.chosen_engine)
    revision = _revision.first(choice.chosen_revision)
    if revision is not None and engine is not None and revision.model_id == engine.pk:
        revision.model = engine
    return engine, revision


def default_of(user: User) -> EngineDefault | None:
    """Return the default that answers a person while they choose nothing themselves."""
    mine = Q(group=None) | Q(group__in=user.groups.all())
    rows = EngineDefault.objects.filter(mine).select_related("group", "engine")
    return rows.order_by(F("group__name").asc(nulls_last=True)).first()


def engine_of_group(group: Group | None) -> tuple[CatalogModel | None, ModelRevision | None]:
    """Return what a group's members without a choice get from it: its default, else the organisation's."""
    defaults = EngineDefault.objects.filter(Q(group=group) | Q(group=None))
    default = defaults.order_by(F("group").asc(nulls_last=True)).first()
    return (default.engine, default.engine.current_revision) if default else (None, None)
