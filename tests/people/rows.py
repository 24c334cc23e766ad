"""Rows of engines, groups and people as plain values: drawn at random or written down, then made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.contrib.auth.models import Group, User
from django.db import transaction
from hypothesis import strategies as st

from engines.models import (
    CatalogModel,
    EngineDefault,
    EngineFallback,
    EnginePreference,
    KnowledgeBase,
    ModelRevision,
    ModelRole,
    PreferenceSnapshot,
)
from engines.services.knowledge.fingerprints import fingerprint_for
from engines.services.knowledge.indexes import index_for

ENGINES = 3
GROUPS = ("c", "a", "b")
"""In the order of their keys, which is not that of their names."""
ORGANISATION = len(GROUPS)
ANY_ENGINE = ENGINES
REVISIONS = 2 * ENGINES
"""Two of each engine: those of engine ``e`` are ``2 * e`` and ``2 * e + 1``."""


@dataclass(frozen=True)
class Person:
    """Engines, groups and revisions by number; None where the row names nothing."""

    engine: int | None = None
    pinned: int | None = None
    has_preference: bool = True
    groups: frozenset[int] = frozenset()
    active: bool = True
    superuser: bool = False
    before: tuple[tuple[int | None, int | None], ...] = ()
    """Snapshots, oldest first, as (engine, pinned revision)."""
    base: int | None = None
    """The revision in whose space the person's own base is searched."""


@dataclass(frozen=True)
class Rows:
    people: tuple[Person, ...]
    current: tuple[int | None, ...] = (0, 2, 4)
    """Of each engine: which revision the catalog has in force."""
    defaults: dict[int, int] = field(default_factory=dict)
    """Engine by group, or by ORGANISATION."""
    fallbacks: dict[int, int | None] = field(default_factory=dict)
    """What answers, by engine or ANY_ENGINE; None is the previous engine."""
    hidden: frozenset[int] = frozenset()
    """Engines that are not published."""
    reserved: dict[int, int] = field(default_factory=dict)
    """Engines that are offered to one group only."""
    group_bases: dict[int, int] = field(default_factory=dict)
    """The space of a group's base, as a revision."""


@dataclass(frozen=True)
class Made:
    """The rows, in the order of the values."""

    people: list[User]
    engines: list[CatalogModel]
    revisions: list[ModelRevision]


@contextmanager
def made(rows: Rows) -> Iterator[Made]:
    """Make rows for the length of the block."""
    with transaction.atomic():
        yield _make(rows)
        transaction.set_rollback(True)


def _make(rows: Rows) -> Made:
    engines = [_engine(number, published=number not in rows.hidden) for number in range(ENGINES)]
    revisions = [_revision(engines[n // 2], n) for n in range(REVISIONS)]
    for engine, current in zip(engines, rows.current, strict=True):
        engine.current_revision = None if current is None else revisions[current]
        engine.save()
    groups: list[Group | None] = [Group.objects.create(name=name) for name in GROUPS]
    for group, number in rows.defaults.items():
        EngineDefault.objects.create(group=[*groups, None][group], engine=engines[number])
    for number, answers in rows.fallbacks.items():
        EngineFallback.objects.create(
            engine=[*engines, None][number], answers=None if answers is None else engines[answers]
        )
    for group, space in rows.group_bases.items():
        _base(KnowledgeBase(group=groups[group], name="shared"), revisions[space])
    for number, group in rows.reserved.items():
        engines[number].allowed_groups.set(g for g in [groups[group]] if g is not None)
    made = Made([], engines, revisions)
    for number, person in enumerate(rows.people):
        made.people.append(_person(number, person, made, groups))
    return made


def _engine(number: int, *, published: bool) -> CatalogModel:
    return CatalogModel.objects.create(
        model_id=f"engine-{number}",
        display_name=f"Engine {number}",
        model_family="family",
        role=ModelRole.CHAT,
        huggingface_repo="demo/engine",
        filename="engine.gguf",
        published=published,
    )


def _revision(model: CatalogModel, number: int) -> ModelRevision:
    return ModelRevision.objects.create(
        model=model,
        commit=f"{number:040}",
        sha256=f"{number:064}",
        file_size=1000,
        facts={"embedding_length": 8, "context_length": 512},
    )


def _person(number: int, person: Person, made: Made, groups: list[Group | None]) -> User:
    user = User.objects.create(
        username=f"person-{number}", is_active=person.active, is_superuser=person.superuser
    )
    user.groups.set(group for g in person.groups if (group := groups[g]) is not None)
    if person.has_preference:
        engine, revision = _choice(person.engine, person.pinned, made)
        EnginePreference.objects.create(user=user, engine=engine, revision=revision)
    for version, values in enumerate(person.before, start=1):
        engine, revision = _choice(*values, made)
        PreferenceSnapshot.objects.create(
            user=user, version=version, engine=engine, revision=revision, why="Before."
        )
    if person.base is not None:
        _base(KnowledgeBase(owner=user, name="own"), made.revisions[person.base])
    return user


def _choice(
    engine: int | None, pinned: int | None, made: Made
) -> tuple[CatalogModel | None, ModelRevision | None]:
    """What the table can hold: a pinned revision names its engine."""
    if engine is None:
        return None, None
    return made.engines[engine], None if pinned is None else made.revisions[pinned]


def _base(base: KnowledgeBase, space: ModelRevision) -> None:
    base.save()
    base.live_index = index_for(base, fingerprint_for(space.model, space))
    base.save()


def _maybe(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.none() | numbers


_engines = st.integers(0, ENGINES - 1)
_revisions = st.integers(0, REVISIONS - 1)
_people = st.builds(
    Person,
    engine=_maybe(_engines),
    pinned=_maybe(_revisions),
    has_preference=st.booleans(),
    groups=st.frozensets(st.integers(0, len(GROUPS) - 1)),
    active=st.sampled_from([True, True, False]),
    superuser=st.sampled_from([False, False, True]),
    before=st.lists(st.tuples(_maybe(_engines), _maybe(_revisions)), max_size=3).map(tuple),
    base=_maybe(_revisions),
)


def _names_another(fallbacks: dict[int, int | None]) -> bool:
    return all(engine != answers for engine, answers in fallbacks.items())


any_rows = st.builds(
    Rows,
    people=st.lists(_people, min_size=1, max_size=4).map(tuple),
    current=st.tuples(*[_maybe(_revisions)] * ENGINES),
    defaults=st.dictionaries(st.integers(0, ORGANISATION), _engines, max_size=3),
    fallbacks=st.dictionaries(st.integers(0, ANY_ENGINE), _maybe(_engines), max_size=2).filter(
        _names_another
    ),
    hidden=st.frozensets(_engines, max_size=1),
    reserved=st.dictionaries(_engines, st.integers(0, len(GROUPS) - 1), max_size=2),
    group_bases=st.dictionaries(st.integers(0, len(GROUPS) - 1), _revisions, max_size=2),
)
