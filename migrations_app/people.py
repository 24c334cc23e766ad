"""How a person leaves, for a while or for good: what ends at once, and what stays without their name.

And how a group does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from engines.exceptions import ConflictError
from engines.files.artifacts import ArtifactStore
from engines.models import (
    CatalogModel,
    HostEvent,
    HostInvitation,
    LoraAdapter,
    VectorIndex,
)
from engines.services.hosts import JOINED_WITH
from engines.services.knowledge.documents import delete_base
from engines.services.knowledge.erasure import erase_vectors, list_content_hashes
from engines.services.people.preferences import lock_preference
from engines.services.people.roles import (
    ADMINISTRATOR,
    ROLES,
    is_administrator,
    require_roles,
    set_roles,
)
from engines.services.people.sessions import end_sessions
from engines.services.people.tokens import end_tokens
from migrations_app.audit.entries import forget_person, make_pseudonym
from migrations_app.models import Backup, MassMoveLine, Plan, PlanEvent, Step
from migrations_app.plans.artifact_use import is_named, remove_unused
from migrations_app.plans.transitions import request_cancel
from migrations_app.states import PlanStatus

MOST_NAMED = 5
_LEADS = Q(is_superuser=True) | Q(groups__name=ADMINISTRATOR)


def deactivate_person(user: User, *, who: str) -> None:
    """Let a person in nowhere any more: tokens, sessions and links end, open plans are cancelled.

    A plan whose switch is committed settles by itself. Everything of theirs stays, for a return.
    ConflictError for the last administrator; then nothing is changed.
    """
    with transaction.atomic():
        _lock_plans(user)
        _lock_administrators()
        if refusal := _explain_only_administrator(user):
            raise ConflictError(refusal)
        User.objects.filter(pk=user.pk).update(is_active=False)
        user.is_active = False
        end_tokens(user)
        end_sessions(user)
        _cancel_plans(user, who=who)


def reactivate_person(user: User) -> None:
    """Let a person in again, with the password they had; what ended stays ended."""
    User.objects.filter(pk=user.pk).update(is_active=True)
    user.is_active = True


def replace_roles(user: User, roles: Iterable[str]) -> None:
    """Give a person exactly these roles; other groups stay.

    InvalidRequestError for a name that is no role, ConflictError when no administrator would be left;
    then nothing is changed.
    """
    wanted = set(roles)
    with transaction.atomic():
        _lock_administrators()
        keeps = user.is_superuser or ADMINISTRATOR in wanted
        if not keeps and (refusal := _explain_only_administrator(user)):
            raise ConflictError(refusal)
        set_roles(user, wanted)


def grant_role(user: User, role: str) -> None:
    """Give a person one role more; InvalidRequestError for a name that is no role."""
    with transaction.atomic():
        set_roles(user, {*_lock_roles(user), role})


def revoke_role(user: User, role: str) -> None:
    """Take a role away; InvalidRequestError for no role, ConflictError for the last administrator's."""
    require_roles([role])
    with transaction.atomic():
        # Before the person's own row, in the order in which everybody locks them.
        _lock_administrators()
        replace_roles(user, _lock_roles(user) - {role})


def _lock_roles(user: User) -> set[str]:
    """Return the roles a person has by their groups; two that change them take turns."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    return set(user.groups.filter(name__in=ROLES).values_list("name", flat=True))


def _lock_administrators() -> None:
    """Let two administrators that make each other go take turns, so that they do not leave none."""
    leads = User.objects.select_for_update(no_key=True, of=("self",)).filter(_LEADS)
    list(leads.order_by("pk"))


def _explain_only_administrator(user: User) -> str:
    others = User.objects.filter(_LEADS, is_active=True).exclude(pk=user.pk)
    if not is_administrator(user) or others.exists():
        return ""
    return f"{user.username} is the only administrator; make another one first."


def _cancel_plans(user: User, *, who: str) -> None:
    """Cancel what has not switched; a worker that holds a step undoes it within moments."""
    open_plans = Plan.objects.filter(
        user=user, status__in=[PlanStatus.PENDING, PlanStatus.IN_PROGRESS]
    )
    for plan in open_plans.order_by("pk"):
        # Asked under the plan's lock: what it was a moment ago does not matter.
        with suppress(ConflictError):
            request_cancel(plan.pk, who=who)


def delete_person(user: User) -> None:
    """Delete a person with plans, backups, knowledge, adapters, conversations, usage and tokens.

    What they did to others' things stays, under a name that is nobody's. ConflictError while one of
    their plans runs; then nothing is changed.
    """
    with transaction.atomic():
        _lock_plans(user)
        _lock_administrators()
        refusal = explain_not_deletable(user)
        if refusal:
            raise ConflictError(refusal)
        lock_preference(user.pk)
        remains = _Remains.of(user)
        for base_id in user.knowledge_bases.order_by("pk").values_list("pk", flat=True):
            delete_base(base_id)
        number = user.pk
        _forget_name(user)
        user.delete()
        forget_person(number)
        transaction.on_commit(partial(remains.erase, ArtifactStore(settings.SAM_ARTIFACT_STORE)))


def delete_adapter(adapter_id: int) -> None:
    """Delete an adapter, and its file unless another adapter or a backup has the same."""
    with transaction.atomic():
        adapter = LoraAdapter.objects.select_for_update().get(pk=adapter_id)
        remains = _Remains(frozenset(), {adapter.artifact_key: adapter.created_at}, ())
        adapter.delete()
        transaction.on_commit(partial(remains.erase, ArtifactStore(settings.SAM_ARTIFACT_STORE)))


def _lock_plans(user: User) -> None:
    """Lock in key order: steps, plans; then come preference and bases."""
    list(Step.objects.select_for_update().filter(plan__user=user).order_by("pk"))
    list(Plan.objects.select_for_update(no_key=True).filter(user=user).order_by("pk"))


def explain_not_deletable(user: User) -> str:
    """Return the sentence why a person cannot be deleted now; empty when they can."""
    running = Plan.objects.filter(user=user, status=PlanStatus.IN_PROGRESS).first()
    if running is None:
        return _explain_only_administrator(user)
    return (
        f"{user.username} has a plan under way ({running.kind} {running.pk}); wait for its end, or "
        f"cancel or abandon it first: `manage.py plan status {running.pk}` says which."
    )


def delete_group(group: Group) -> None:
    """Delete a group; ConflictError while it has what would go with it or open to everybody."""
    with transaction.atomic():
        Group.objects.select_for_update().get(pk=group.pk)
        refusal = explain_group_not_deletable(group)
        if refusal:
            raise ConflictError(refusal)
        group.delete()


def explain_group_not_deletable(group: Group) -> str:
    """Return the sentence why a group cannot be deleted now; empty when it can."""
    bases = list(group.knowledge_bases.order_by("name").values_list("name", flat=True))
    if bases:
        return (
            f"{group.name} owns the knowledge of several people: {_some(bases)}; have a curator delete "
            "these bases first (DELETE /api/v1/knowledge-bases/ID)."
        )
    reserved = CatalogModel.objects.filter(allowed_groups=group).order_by("model_id")
    alone = [model.model_id for model in reserved if model.allowed_groups.count() == 1]
    if alone:
        return (
            f"{_some(alone)} would open to everybody: {group.name} is the only group it is reserved "
            "for; reserve it for another group first, or open it."
        )
    return ""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def describe_belongings(user: User) -> str:
    """Say what would go with a person, by number: their content is nobody else's to read."""
    counts = {
        "conversations": user.conversations.count(),
        "knowledge bases": user.knowledge_bases.count(),
        "adapters": user.lora_adapters.count(),
        "plans": user.plans.count(),
        "backups": user.backups.count(),
    }
    return f"{user.username}: " + ", ".join(f"{n} {name}" for name, n in counts.items())


@dataclass(frozen=True, slots=True)
class _Remains:
    """What lies outside the person's rows: files in the store, and vectors of their texts."""

    keys: frozenset[str]
    adapters: dict[str, datetime]
    """Their files, with the moment by which the person had each; others may have the same."""
    hashes: tuple[bytes, ...]

    @classmethod
    def of(cls, user: User) -> _Remains:
        bases = list(user.knowledge_bases.values_list("pk", flat=True))
        files = VectorIndex.objects.filter(base__in=bases).exclude(file_key="")
        keys = {
            *Backup.objects.filter(user=user).values_list("artifact_key", flat=True),
            *files.values_list("file_key", flat=True),
        }
        # Of one file twice, the later moment is kept.
        adapters = LoraAdapter.objects.filter(user=user).order_by("created_at")
        stored = dict(adapters.values_list("artifact_key", "created_at"))
        return cls(frozenset(keys), stored, tuple(list_content_hashes(bases)))

    def erase(self, store: ArtifactStore) -> None:
        """Remove what nobody else has: files are named by content, so two people may share one.

        An adapter that somebody stored again since may have no row of theirs yet: the collector looks
        after it.
        """
        remove_unused(self.keys, store)
        for key, moment in self.adapters.items():
            store.remove_unnamed(key, before=moment, is_named=is_named)
        erase_vectors(self.hashes)


def _forget_name(user: User) -> None:
    name = make_pseudonym(user.pk)
    for model in (PlanEvent, HostEvent, HostInvitation):
        model.objects.filter(who=user.username).update(who=name)
    # Refusals may name them; without one and without a plan, a line says that its person is gone.
    lines = MassMoveLine.objects.filter(user=user)
    lines.update(handled_at=timezone.now(), refusal="", plan=None)
    told = HostEvent.objects.filter(why=JOINED_WITH.format(who=user.username))
    told.update(why=JOINED_WITH.format(who=name))
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=kind, object_id=str(user.pk)).update(
        object_repr=name, change_message=""
    )
