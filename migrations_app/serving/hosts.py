"""Which hosts can answer a live request now, the least busy first."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple, TypeVar

from django.contrib.auth.models import User
from django.db.models import F, QuerySet, Subquery
from msgspec import Struct
from redis import Redis

from engines.db.prepared import Parameter, PreparedQuery
from engines.exceptions import (
    HostUnavailableError,
    NotFoundError,
    SamError,
    UnsafeModelFileError,
)
from engines.models import (
    CopyStatus,
    Fingerprint,
    Host,
    ModelCopy,
    ModelRevision,
)
from engines.services.answers.messages import AnswerRequest
from engines.services.catalog.copies import refuse_unsafe
from engines.services.engine_choice import effective_engine, with_engine_choice
from engines.services.hosts import present_hosts
from migrations_app.serving.load import engine_mark, order_hosts
from migrations_app.serving.protocol import (
    EmbedRequest,
    RankRequest,
    Request,
    RequestKind,
    UnloadRequest,
    WarmRequest,
)

Row = TypeVar("Row")


class NeededFile(NamedTuple):
    """The model file that a host needs for a request, and how a loaded engine of it is named."""

    revision_id: int
    mark: str


@PreparedQuery
def _able(announced: Parameter) -> QuerySet[Host]:
    return present_hosts().filter(announces__contains=announced).order_by("name").only("name")


@PreparedQuery
def _able_with(announced: Parameter, revision: Parameter) -> QuerySet[Host]:
    held = ModelCopy.objects.filter(revision=revision, status=CopyStatus.DOWNLOADED)
    hosts = present_hosts().filter(announces__contains=announced, pk__in=held.values("host"))
    return hosts.order_by("name").only("name")


@PreparedQuery
def _active_engine_on(announced: Parameter, user: Parameter) -> QuerySet[ModelCopy]:
    """The copies of the engine that answers a person, on the hosts that can answer."""
    person = with_engine_choice(User.objects.filter(pk=user))
    copies = ModelCopy.objects.filter(
        revision=Subquery(person.values("chosen_revision")),
        status=CopyStatus.DOWNLOADED,
        host__in=present_hosts().filter(announces__contains=announced),
    )
    return (
        copies.only("pk")
        .order_by("host__name")
        .annotate(host_name=F("host__name"), model_id=F("revision__model__model_id"))
    )


def hosts_for(
    redis: Redis,
    kind: RequestKind[Request],
    request: Request,
    *,
    request_id: str = "",
    without: Collection[str] = (),
) -> list[str]:
    """Return the names of the hosts that can answer, the one to ask first at the front.

    That is one that has the engine loaded, then the least busy; a request with an id counts there at
    once. ``without`` names hosts that failed already. Raises HostUnavailableError when there is none,
    UnsafeModelFileError when all there are crashed an engine, NotFoundError for an unknown person or
    model; ``at_load`` of the first two says whether it is the engine that is missing.
    """
    announced = json.dumps([kind.task_name])
    if isinstance(request, AnswerRequest) and request.revision_id is None:
        copies: list[Any] = _active_engine_on(announced, request.user_id)
        names = [copy.host_name for copy in copies if copy.host_name not in without]
        if names:
            return order_hosts(
                redis, names, engine_mark(copies[0].model_id, embeds=False), request_id
            )
    needed = needed_file(request)
    hosts = _able_with(announced, needed.revision_id) if needed else _able(announced)
    names = [host.name for host in hosts if host.name not in without]
    if not names:
        raise _no_host(needed)
    return order_hosts(redis, names, needed.mark if needed else "", request_id)


def _no_host(needed: NeededFile | None) -> SamError:
    error: SamError
    try:
        _refuse_if_unsafe(needed.revision_id if needed else None)
        wanted = _wanted(needed.revision_id if needed else None)
        error = HostUnavailableError(f"No active host {wanted}; start one, or try again later.")
    except UnsafeModelFileError as unsafe:
        error = unsafe
    error.at_load = needed is not None
    return error


def _refuse_if_unsafe(revision_id: int | None) -> None:
    """Waiting does not help when every copy there is crashed an engine."""
    copies = ModelCopy.objects.filter(revision=revision_id).select_related("revision", "host")
    unsafe = copies.filter(status=CopyStatus.UNSAFE).first()
    if unsafe is not None and not copies.filter(status=CopyStatus.DOWNLOADED).exists():
        refuse_unsafe(unsafe)


def _wanted(revision_id: int | None) -> str:
    if revision_id is None:
        return "is connected"
    return f"has {_found(ModelRevision.objects.filter(pk=revision_id).first())}"


def needed_file(request: Struct) -> NeededFile | None:
    """Return what a host needs; a search embeds elsewhere when the host lacks the embedder."""
    found: tuple[int | None, str]
    if isinstance(request, EmbedRequest) and request.fingerprint_id is not None:
        spaces = Fingerprint.objects.filter(pk=request.fingerprint_id)
        found = _found(spaces.values_list("revision", "revision__model__model_id").first())
    elif (named := _named_revision(request)) is not None:
        revisions = ModelRevision.objects.filter(pk=named)
        found = _found(revisions.values_list("pk", "model__model_id").first())
    elif isinstance(request, AnswerRequest):
        found = _active_revision(request.user_id)
    else:
        return None
    revision_id, model_id = found
    if revision_id is None:
        return None
    return NeededFile(
        revision_id, engine_mark(model_id, embeds=isinstance(request, EmbedRequest | RankRequest))
    )


def _named_revision(request: Struct) -> int | None:
    if isinstance(
        request, AnswerRequest | EmbedRequest | RankRequest | WarmRequest | UnloadRequest
    ):
        return request.revision_id
    return None


def _active_revision(user_id: int) -> tuple[int | None, str]:
    revision = effective_engine(_found(User.objects.filter(pk=user_id).first()))[1]
    return (revision.pk, revision.model.model_id) if revision is not None else (None, "")


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFoundError("There is no such person or model; read the list again.")
    return row
