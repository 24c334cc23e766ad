"""The front door to mass moves: starting one, ending the rest of it, trying the refused again."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import CatalogModel, ModelRole
from engines.services.catalog.entries import get_model
from engines.services.catalog.resolving import pinned_revision
from migrations_app.models import MassMove, MassMoveLine
from migrations_app.models.moves import DEFAULT_AT_ONCE, MAX_AT_ONCE
from migrations_app.plans.planning import Options, refuse_what_fits_nowhere
from migrations_app.states import PlanStatus
from migrations_app.wakeups import call_mover

BATCH = 1000


@dataclass(frozen=True, slots=True)
class MassMoveWish:
    """To which engine, with the options of each plan, and how many plans run at the same time."""

    to_engine: str
    options: Options = field(default_factory=Options)
    at_once: int = DEFAULT_AT_ONCE


def start_mass_move(people: QuerySet[User], wish: MassMoveWish, *, actor: User | None) -> MassMove:
    """Remember who is to be moved where; plans are made and started in the background.

    InvalidRequestError for nobody, for an engine that fits nowhere or does not chat, and for a time of
    its own; what resolving at the hub raises. Then nothing is made.
    """
    engine = require_target(wish.to_engine)
    if wish.options.not_before is not None:
        raise InvalidRequestError("A mass move starts at once; leave the time out.")
    if not 1 <= wish.at_once <= MAX_AT_ONCE:
        raise InvalidRequestError(f"Run 1 to {MAX_AT_ONCE} plans at the same time.")
    revision = pinned_revision(engine)
    refuse_what_fits_nowhere(engine, revision)
    # Asked of the hub once, so that no plan of the many waits for it.
    pinned_revision(engine.embedder)
    with transaction.atomic():
        # Nobody of them is deleted between being counted and being written.
        chosen = User.objects.filter(pk__in=people.order_by().values("pk"))
        keys = list(
            chosen.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)
        )
        if not keys:
            raise InvalidRequestError("Nobody is chosen, so nobody was moved.")
        move = MassMove.objects.create(
            to_engine=engine,
            created_by=actor,
            backup_lora_adapters=wish.options.backup_lora,
            re_embed_knowledge=wish.options.re_embed,
            update_prompt_templates=wish.options.update_prompts,
            accept_losses=wish.options.accept_losses,
            at_once=wish.at_once,
        )
        lines = (MassMoveLine(move=move, user_id=key) for key in keys)
        MassMoveLine.objects.bulk_create(lines, batch_size=BATCH)
        transaction.on_commit(call_mover, robust=True)
    return move


def cancel_mass_move(move: MassMove) -> MassMove:
    """End the rest: nobody more is planned, and what has not switched is cancelled in the background.

    Asking twice is a no-op; ConflictError when it has ended.
    """
    with transaction.atomic():
        move = MassMove.objects.select_for_update(no_key=True).get(pk=move.pk)
        if move.cancel_requested_at is not None:
            return move
        if move.finished_at is not None:
            raise ConflictError("This move has ended; take single plans back instead.")
        move.cancel_requested_at = timezone.now()
        move.waits_for = ""
        move.save(update_fields=["cancel_requested_at", "waits_for"])
        transaction.on_commit(call_mover, robust=True)
    return move


def retry_mass_move(move: MassMove) -> int:
    """Give who was refused, or whose plan failed, another turn; returns how many.

    ConflictError when the rest was cancelled, or when there is nobody to try again.
    """
    with transaction.atomic():
        move = MassMove.objects.select_for_update(no_key=True).get(pk=move.pk)
        if move.cancel_requested_at is not None:
            raise ConflictError("The rest of this move was cancelled; start another one.")
        again = retriable_lines(move)
        count = again.update(handled_at=None, refusal="", plan=None)
        if not count:
            raise ConflictError("Nobody of this move was refused, and no plan of it failed.")
        move.finished_at = None
        move.save(update_fields=["finished_at"])
        transaction.on_commit(call_mover, robust=True)
    return count


def retriable_lines(move: MassMove) -> QuerySet[MassMoveLine]:
    """Return who was refused, or whose plan failed, and is still here."""
    left_out = ~Q(refusal="") | Q(plan__status=PlanStatus.FAILED)
    # By key: an update cannot join the plans.
    lines = MassMoveLine.objects.filter(left_out, move=move, user__isnull=False)
    return MassMoveLine.objects.filter(pk__in=lines.values("pk"))


def require_target(name: str) -> CatalogModel:
    """Return an engine by its id; NotFoundError, or InvalidRequestError for one that only embeds."""
    engine = get_model(name)
    if engine.role != ModelRole.CHAT:
        raise InvalidRequestError(f"{name} only embeds; choose an engine that chats.")
    return engine
