"""Who asks, and which engine the name in a request stands for."""

from __future__ import annotations

from typing import NoReturn

from django.contrib.auth.models import User
from django.db import close_old_connections
from django.db.models import QuerySet
from django.http import HttpRequest

from engines.db.prepared import Parameter, PreparedQuery
from engines.exceptions import HostUnavailableError
from engines.models import CatalogModel, CopyStatus, ModelCopy, ModelRevision, ModelRole, TokenScope
from engines.services.catalog.entries import catalog_visible_to
from engines.services.engine_choice import NO_ENGINE, effective_engine
from engines.services.knowledge.fingerprints import embedder_of
from engines.services.people.tokens import KEY_IS_DEAD, hash_token, note_use, with_token
from engines.services.people.usage import check_quota, today, with_quota
from migrations_app.limits.rates import limit_address, limit_person
from migrations_app.openai_api.errors import FORBIDDEN, NOT_FOUND, UNAUTHORIZED, RefusedError

ACTIVE = "sam"
"""The name that stands for whichever engine is the person's active one."""
SEND_KEY = "Send a SAM token as the API key (Authorization: Bearer …); "
NEW_KEY = "one is made under Settings, API tokens, or by `sam token`."
KEY_HEADERS = ("x-api-key", "api-key")
"""Where Anthropic's and Azure's clients send a token."""


@PreparedQuery
def _owner(digest: Parameter, day: Parameter) -> QuerySet[User]:
    return with_quota(with_token(digest), day)


def key_of(request: HttpRequest) -> str:
    """Return the token that a request carries, as a bearer's or as Anthropic's and Azure's clients send it.

    No browser sends any of these by itself, so no page of another origin can have it sent.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    keys = (request.headers.get(name, "").strip() for name in KEY_HEADERS)
    return next(filter(None, keys), "")


def caller(request: HttpRequest) -> User:
    """Return whose token a request carries; RefusedError (401) without a valid one."""
    key = key_of(request)
    user = _owner.first(hash_token(key), today()) if key else None
    if user is None:
        refuse_stranger(request)
    note_use(user)
    limit_person(user.pk)
    return user


def refuse_stranger(request: HttpRequest) -> NoReturn:
    """Raise RefusedError (401) for a request without a valid token, TooManyRequestsError when it is many."""
    limit_address(request)
    raise RefusedError(
        f"{f'{KEY_IS_DEAD}; another ' if key_of(request) else SEND_KEY}{NEW_KEY}",
        status=UNAUTHORIZED,
        code="invalid_api_key",
    )


def spender(request: HttpRequest) -> User:
    """Return the caller, who may be answered: by the token's scope and the tokens of the day.

    Raises RefusedError (403) or QuotaExceededError.
    """
    user = caller(request)
    if getattr(user, "token_scope", None) == TokenScope.READ:
        raise RefusedError(
            "This token may only read; use another token.",
            status=FORBIDDEN,
            code="insufficient_scope",
        )
    check_quota(user)
    return user


def named_revision(user: User, name: str) -> int | None:
    """Return the revision that is to answer under a name; None for the person's active engine.

    The active engine is left open: it is chosen when the answer begins, with all that belongs to it.
    """
    if name == ACTIVE:
        return None
    model = _offered(user, name)
    if model.role != ModelRole.CHAT:
        raise RefusedError(
            f"{name} only {model.only_does}; choose an engine that chats.", param="model"
        )
    return _revision(user, model).pk


def embedder_for(user: User, name: str) -> tuple[CatalogModel, ModelRevision]:
    """Return who embeds under a name: an embedder itself, or the one an engine searches with."""
    try:
        if name == ACTIVE:
            engine, revision = effective_engine(user)
        else:
            engine = _offered(user, name)
            revision = _revision(user, engine)
        if engine is not None and engine.role == ModelRole.RANK:
            raise RefusedError(f"{name} only ranks; choose an embedder.", param="model")
        if engine is None:
            raise RefusedError(NO_ENGINE)
        embedder, embedding = embedder_of(engine, revision)
        if embedding is None:
            raise _not_downloaded(embedder)
        return embedder, embedding
    finally:
        # What follows waits for a host, and database connections are few.
        close_old_connections()


def ranker_for(user: User, name: str) -> tuple[CatalogModel, ModelRevision]:
    """Return the rank model under a name; under the standing one, the only one that the person may use."""
    try:
        if name == ACTIVE:
            offered = list(models_for(user).filter(role=ModelRole.RANK)[:2])
            if len(offered) != 1:
                there = "more than one rank model is" if offered else "no rank model is"
                raise RefusedError(
                    f"{ACTIVE!r} stands for no one here: {there} offered to you. Name one of /v1/models that "
                    "can rerank.",
                    param="model",
                    status=NOT_FOUND,
                    code="model_not_found",
                )
            name = offered[0].model_id
        model = _offered(user, name)
        if model.role != ModelRole.RANK:
            raise RefusedError(f"{name} ranks no texts; choose a rank model.", param="model")
        return model, _revision(user, model)
    finally:
        close_old_connections()


def models_for(user: User) -> QuerySet[CatalogModel]:
    """Return the models a person may use that some host holds."""
    held = ModelCopy.objects.filter(status=CopyStatus.DOWNLOADED)
    return (
        catalog_visible_to(user).filter(pk__in=held.values("revision__model")).order_by("model_id")
    )


def _offered(user: User, name: str) -> CatalogModel:
    rows = catalog_visible_to(user).select_related("current_revision", "embedding_model")
    # PostgreSQL stores no NUL, so no name has one.
    model = rows.filter(model_id=name).first() if "\x00" not in name else None
    if model is None:
        raise RefusedError(
            f"No engine {name!r:.150} is offered to you; /v1/models lists those that are.",
            param="model",
            status=NOT_FOUND,
            code="model_not_found",
        )
    return model


def _revision(user: User, model: CatalogModel) -> ModelRevision:
    """Return the revision pinned for the person's own engine, else the one in force."""
    active, pinned = effective_engine(user)
    revision = pinned if active == model else model.current_revision
    if revision is None:
        raise _not_downloaded(model)
    return revision


def _not_downloaded(model: CatalogModel) -> HostUnavailableError:
    return HostUnavailableError(f"No host has {model.model_id}; have it downloaded first.")
