"""Who or what still needs a model revision: the one place of this rule, in each form in which it is asked.

- ``needs_of``: what needs one revision, as sentences; ``is_needed`` for who wants no sentence.
- ``require_unneeded``: the refusal, naming who needs it and what to do.
- ``people_needing``: of many revisions at once, whom each one answers or searches for.

Each caller says which reasons count. Every way in which the tables can point to a revision is decided here:

======================================  ============================================================
``EnginePreference``                    PERSON and INACTIVE_PERSON: pinned, or the engine's current one
``EngineDefault.engine``                ORGANISATION_DEFAULT, GROUP_DEFAULT: its current revision, also
                                        while nobody is answered by it, because tomorrow somebody is
``EngineFallback.answers``              FALLBACK_RULE: its current revision
``EngineFallback`` that names nothing   PREVIOUS_ENGINE, through the person's newest
                                        ``PreferenceSnapshot`` of another engine
``CatalogModel.embedding_model``        COMPANION, when the engine is somebody's own or a default
``KnowledgeBase.live_index``            LIVE_INDEX, through ``VectorIndex`` and ``Fingerprint``
``KnowledgeBase.embed_on_write_for``    WRITERS: they embed in that space before they write
``Plan`` in progress                    OPEN_PLAN: from, to, embedder, and the spaces of its
                                        ``IndexSwitch`` and ``EmbedRange`` rows. A plan that deletes
                                        needs nothing; a pending or paused one fetches its file when it goes on
``Plan`` completed, retention running   ROLLBACK_TARGET: ``from_revision``, or what an unpinned
                                        preference would be given back; RETAINED_INDEX: its
                                        ``IndexSwitch.from_index``, which is kept up meanwhile
======================================  ============================================================

No reason of their own: ``CatalogModel.current_revision`` and ``ModelRevision.model`` (being in the catalog
is no use), ``ModelCopy`` (that is the file itself), ``EngineFallback.engine`` (the engine that fails),
``LoraAdapter.base_revision`` (its file is in the store, and it is only heard on the person's own revision),
``Embedding.fingerprint`` (vectors are facts about texts), indexes that nothing points to, and history:
``Message.engine``, ``FallbackIncident``, older snapshots, ended plans.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, IntegerField, Max, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from engines.exceptions import ConflictError
from engines.models import (
    CatalogModel,
    EngineDefault,
    EngineFallback,
    EnginePreference,
    KnowledgeBase,
    ModelRevision,
    PreferenceSnapshot,
)
from engines.moments import moment_in_words
from engines.services.engine_choice import people_answered_by
from engines.services.people.fallbacks import people_falling_back_to
from migrations_app.models import EmbedRange, IndexSwitch, Plan
from migrations_app.plans.housekeeping import retained_plans
from migrations_app.states import PlanKind, PlanStatus

MAX_NAMED = 5


class Reason(enum.Enum):
    """A way in which a revision is needed; the value says what to do about it."""

    PERSON = "migrate them first"
    INACTIVE_PERSON = "migrate them first, or delete their accounts"
    ORGANISATION_DEFAULT = "choose another default for the organisation first"
    GROUP_DEFAULT = "choose another default for it first"
    FALLBACK_RULE = "let the rule name another engine first"
    PREVIOUS_ENGINE = "let the fallback rule name an engine first"
    COMPANION = "migrate those who use that engine first"
    LIVE_INDEX = "re-embed that first"
    WRITERS = "wait until the switch has ended"
    OPEN_PLAN = "wait for it or cancel it"
    RETAINED_INDEX = "wait until that ends"
    ROLLBACK_TARGET = "wait until this ends"


IN_MEMORY = frozenset(
    {
        Reason.PERSON,
        Reason.ORGANISATION_DEFAULT,
        Reason.GROUP_DEFAULT,
        Reason.LIVE_INDEX,
        Reason.WRITERS,
        Reason.OPEN_PLAN,
    }
)
"""What may be asked at any moment; all else is loaded when it is asked for."""

Keys = Collection[int]


class RevisionNeededError(ConflictError):
    """Somebody would lose what they use; nothing was changed."""

    code = "revision_needed"


@dataclass(frozen=True, slots=True)
class Need:
    """One reason for which a revision is needed, and the words for it."""

    reason: Reason
    sentence: str


def _inactive(revisions: Keys) -> QuerySet[Any]:
    """People who may not sign in and chose for themselves: they may come back."""
    return people_answered_by(revisions, active=False).filter(
        engine_preference__engine__isnull=False
    )


def _defaults(revisions: Keys, *, of_group: bool) -> QuerySet[EngineDefault]:
    return EngineDefault.objects.filter(
        group__isnull=not of_group, engine__current_revision__in=revisions
    )


def _engines_embedded_by(revisions: Keys) -> QuerySet[CatalogModel]:
    """Engines in use whose companion this is: it embeds what is written to their next base."""
    own = EnginePreference.objects.filter(engine__isnull=False).values("engine")
    in_use = Q(pk__in=own) | Q(pk__in=EngineDefault.objects.values("engine"))
    return CatalogModel.objects.filter(in_use, embedding_model__current_revision__in=revisions)


def _open_plans(revisions: Keys) -> QuerySet[Plan]:
    of_index = "index__fingerprint__revision__in"
    switches = IndexSwitch.objects.filter(
        Q(**{f"from_{of_index}": revisions}) | Q(**{f"to_{of_index}": revisions})
    )
    ranges = EmbedRange.objects.filter(fingerprint__revision__in=revisions)
    running = Plan.objects.filter(status=PlanStatus.IN_PROGRESS).exclude(kind=PlanKind.DELETE)
    return running.filter(
        Q(from_revision__in=revisions)
        | Q(to_revision__in=revisions)
        | Q(embedder_revision__in=revisions)
        | Q(pk__in=switches.values("plan"))
        # A way back has switches of its own only once it catches up; its retention may have ended by then.
        | Q(rolls_back__in=switches.values("plan"))
        | Q(pk__in=ranges.values("step__plan"))
    )


def _rollback_targets(revisions: Keys) -> QuerySet[Plan]:
    """Plans whose way back leads to one of these: the engine they left, as the preference named it."""
    version = Cast(KeyTextTransform("version_before", OuterRef("switched")), IntegerField())
    unpinned = PreferenceSnapshot.objects.filter(
        user=OuterRef("user"),
        version=version,
        revision=None,
        engine__current_revision__in=revisions,
    )
    return retained_plans().filter(Q(from_revision__in=revisions) | Q(Exists(unpinned)))


def _counted(one: str, many: str) -> Callable[[QuerySet[Any]], str]:
    def words(rows: QuerySet[Any]) -> str:
        count = rows.count()
        return one if count == 1 else many.format(count)

    return words


def _named(field: str, sentence: str, *, empty: str = "") -> Callable[[QuerySet[Any]], str]:
    def words(rows: QuerySet[Any]) -> str:
        names = sorted(str(name or empty) for name in rows.values_list(field, flat=True))
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        return sentence.format(", ".join(names[:MAX_NAMED]) + more)

    return words


def _until(field: str, what: str) -> Callable[[QuerySet[Any]], str]:
    def words(rows: QuerySet[Any]) -> str:
        end = rows.aggregate(end=Max(field))["end"]
        return f"{what} may still be taken back to it until {moment_in_words(end)}"

    return words


@dataclass(frozen=True, slots=True)
class _Use:
    """Of one reason: the rows that hold it for any of some revisions, and the words for them."""

    rows: Callable[[Keys], QuerySet[Any]]
    words: Callable[[QuerySet[Any]], str]


_USES: dict[Reason, _Use] = {
    Reason.PERSON: _Use(people_answered_by, _counted("1 person uses it", "{} people use it")),
    Reason.INACTIVE_PERSON: _Use(
        _inactive,
        _counted(
            "1 person who may not sign in has chosen it",
            "{} people who may not sign in have chosen it",
        ),
    ),
    Reason.ORGANISATION_DEFAULT: _Use(
        lambda keys: _defaults(keys, of_group=False),
        lambda _rows: "it is the organisation's default engine",
    ),
    Reason.GROUP_DEFAULT: _Use(
        lambda keys: _defaults(keys, of_group=True),
        _named("group__name", "it is the default engine of the group {}"),
    ),
    Reason.FALLBACK_RULE: _Use(
        lambda keys: EngineFallback.objects.filter(answers__current_revision__in=keys),
        _named("engine__model_id", "by a fallback rule it answers for {}", empty="any engine"),
    ),
    Reason.PREVIOUS_ENGINE: _Use(
        people_falling_back_to,
        _counted(
            "by a fallback rule it answers for 1 person who used it before",
            "by a fallback rule it answers for {} people who used it before",
        ),
    ),
    Reason.COMPANION: _Use(
        _engines_embedded_by, _named("model_id", "it embeds for {}, which is in use")
    ),
    Reason.LIVE_INDEX: _Use(
        lambda keys: KnowledgeBase.objects.filter(live_index__fingerprint__revision__in=keys),
        _counted("it embeds 1 live knowledge base", "it embeds {} live knowledge bases"),
    ),
    Reason.WRITERS: _Use(
        lambda keys: KnowledgeBase.objects.filter(
            embed_on_write_for__fingerprint__revision__in=keys
        ),
        _counted(
            "it embeds what is written to 1 knowledge base during a switch",
            "it embeds what is written to {} knowledge bases during a switch",
        ),
    ),
    Reason.OPEN_PLAN: _Use(_open_plans, _named("pk", "a running plan needs it: {}")),
    Reason.RETAINED_INDEX: _Use(
        lambda keys: IndexSwitch.objects.filter(
            plan__in=retained_plans(), from_index__fingerprint__revision__in=keys
        ),
        _until("plan__retention_until", "a knowledge base"),
    ),
    Reason.ROLLBACK_TARGET: _Use(_rollback_targets, _until("retention_until", "a migration")),
}


def needs_of(revision: ModelRevision, reasons: Iterable[Reason] = Reason) -> list[Need]:
    """Return what needs a revision, of the reasons that count for the caller, in their order."""
    wanted = frozenset(reasons)
    found = []
    for reason in (reason for reason in Reason if reason in wanted):
        rows = _USES[reason].rows([revision.pk])
        if rows.exists():
            found.append(Need(reason, _USES[reason].words(rows)))
    return found


def is_needed(
    revision: ModelRevision, reasons: Iterable[Reason], *, apart_from: Plan | None = None
) -> bool:
    """Whether one of these reasons holds, with one plan left out of the count."""
    return any(
        rows.exclude(pk=apart_from.pk).exists()
        if apart_from and rows.model is Plan
        else rows.exists()
        for rows in (_USES[reason].rows([revision.pk]) for reason in reasons)
    )


def require_unneeded(revision: ModelRevision) -> None:
    """Raise RevisionNeededError when anything at all needs a revision."""
    needs = needs_of(revision)
    if needs:
        told = "; ".join(f"{need.sentence} ({need.reason.value})" for need in needs)
        raise RevisionNeededError(f"{revision} cannot be deleted: {told}.")


def people_needing(revisions: Keys) -> dict[int, set[int]]:
    """Return, by revision, the active people whom it answers or whose questions it embeds (keys)."""
    live = "live_index__fingerprint__revision"
    bases = KnowledgeBase.objects.filter(**{f"{live}__in": revisions})
    pairs = [
        people_answered_by(revisions).values_list("chosen_revision", "pk"),
        bases.filter(owner__is_active=True).values_list(live, "owner"),
        bases.filter(group__user__is_active=True).values_list(live, "group__user"),
    ]
    found: dict[int, set[int]] = defaultdict(set)
    for revision, person in (pair for rows in pairs for pair in rows):
        found[revision].add(person)
    return dict(found)
