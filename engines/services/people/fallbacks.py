"""Which engines may answer for one that cannot be made ready, and the record that one did."""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.exceptions import InvalidRequestError, WouldReplaceError
from engines.models import (
    CatalogModel,
    EngineFallback,
    FallbackIncident,
    ModelRevision,
    ModelRole,
    PreferenceSnapshot,
)
from engines.services.catalog.entries import catalog_visible_to, catalog_visible_to_each
from engines.services.engine_choice import with_engine_choice

ANY = "any"
"""How a command names the rule for each engine."""
PREVIOUS = "previous"
"""What answers by a rule that names no engine: the one that each person used before."""
NOTED_SECONDS = 60.0
"""How exactly an incident knows its last request: its row is not written for each one."""
QUIET_SECONDS = 600.0
"""An incident is over when nobody needed the other engine for so long."""


def set_fallback(
    engine: CatalogModel | None, answers: CatalogModel | None, *, replaces: str | None = None
) -> EngineFallback:
    """Name what answers for an engine (None: for any); None means each person's previous engine.

    ``replaces`` is what whoever asks knows to answer now, by its id, PREVIOUS, or empty for no rule;
    without it whatever is there is replaced. InvalidRequestError for an engine that does not chat, or
    for the same one twice; WouldReplaceError for another rule than they know of.
    """
    for model in (engine, answers):
        if model is not None and model.role != ModelRole.CHAT:
            raise InvalidRequestError(
                f"{model.model_id} only {model.only_does}; choose engines that chat."
            )
    if engine is not None and engine == answers:
        raise InvalidRequestError("An engine cannot answer for itself; choose another.")
    with transaction.atomic():
        if replaces is not None:
            _require_known(engine, answers, replaces)
        rule, _ = EngineFallback.objects.update_or_create(
            engine=engine, defaults={"answers": answers}
        )
    return rule


def _require_known(engine: CatalogModel | None, answers: CatalogModel | None, known: str) -> None:
    rows = EngineFallback.objects.select_for_update(of=("self",)).select_related("answers")
    there = rows.filter(engine=engine).first()
    if there is None or there.answers == answers:
        return
    now = there.answers.model_id if there.answers else PREVIOUS
    if now == known:
        return
    whose = engine.display_name if engine else "any engine"
    answering = there.answers.display_name if there.answers else "the one each person used before"
    raise WouldReplaceError(
        f"For {whose} there is a rule already: {answering} answers; nothing was changed yet. Send it "
        "again to replace that rule.",
        now,
    )


def fallbacks_for(user: User, engine: CatalogModel) -> list[ModelRevision]:
    """Return what may answer this person in place of an engine, the first choice first.

    The engine's own rule comes before the rule for any engine; without a rule nothing answers.
    """
    rules = EngineFallback.objects.filter(Q(engine=engine) | Q(engine__isnull=True))
    offered = catalog_visible_to(user).filter(role=ModelRole.CHAT).exclude(pk=engine.pk)
    found: list[ModelRevision] = []
    for rule in rules.order_by(F("engine").asc(nulls_last=True)).select_related("answers"):
        revision = _revision_of(rule, user, engine)
        allowed = revision is not None and offered.filter(pk=revision.model_id).exists()
        if allowed and revision is not None and revision not in found:
            found.append(revision)
    return found


def people_falling_back_to(revisions: Collection[int]) -> QuerySet[User]:
    """Return the active people whose previous engine may answer them, when that is one of these (keys).

    The reverse of ``fallbacks_for`` for rules that name nothing; what a rule names is in its row.
    """
    people = with_engine_choice(User.objects.filter(is_active=True))
    chosen = OuterRef("chosen_engine")
    rules = EngineFallback.objects.filter(Q(engine=None) | Q(engine=chosen), answers=None)
    before = PreferenceSnapshot.objects.filter(user=OuterRef("pk"), engine__isnull=False)
    last = before.exclude(engine=chosen).order_by("-version")
    previous = last.values_list(Coalesce("revision", "engine__current_revision"))[:1]
    offered = catalog_visible_to_each(OuterRef("pk")).exclude(pk=chosen)
    return (
        people.filter(Exists(rules), chosen_revision__isnull=False)
        .annotate(previous_revision=Subquery(previous))
        .filter(
            Exists(offered.filter(role=ModelRole.CHAT, revisions=OuterRef("previous_revision"))),
            previous_revision__in=revisions,
        )
    )


def note_incident(revision_id: int, answered_by_id: int, reason: str) -> None:
    """Record that one engine answers for another: one row for all requests until it is over."""
    same = FallbackIncident.objects.filter(
        revision=revision_id, answered_by=answered_by_id, ended_at__isnull=True
    )
    if same.exists():
        same.filter(last_at__lt=seconds_from_now(-NOTED_SECONDS)).update(last_at=ClockTimestamp())
        return
    row = FallbackIncident(
        revision_id=revision_id,
        answered_by_id=answered_by_id,
        reason=reason,
        last_at=ClockTimestamp(),
    )
    FallbackIncident.objects.bulk_create([row], ignore_conflicts=True)


def end_incidents() -> int:
    """End the incidents that nobody met for a while; returns how many."""
    quiet = FallbackIncident.objects.filter(
        ended_at__isnull=True, last_at__lt=seconds_from_now(-QUIET_SECONDS)
    )
    return quiet.update(ended_at=F("last_at"))


def _revision_of(rule: EngineFallback, user: User, engine: CatalogModel) -> ModelRevision | None:
    if rule.answers is not None:
        return rule.answers.current_revision
    before = PreferenceSnapshot.objects.filter(user=user, engine__isnull=False)
    last = before.exclude(engine=engine).order_by("-version").first()
    if last is None or last.engine is None:
        return None
    return last.revision or last.engine.current_revision
