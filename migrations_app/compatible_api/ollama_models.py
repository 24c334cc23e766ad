"""The engines that a person may use, as Ollama lists and shows models."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from msgspec import Struct

from engines.models import CatalogModel, ModelRevision, ModelRole
from engines.runtime_names import GGUF_RUNTIMES
from engines.runtimes.text.response_format import Json
from engines.services.catalog.capabilities import capabilities_of, context_of
from engines.services.engine_choice import effective_engine
from migrations_app.openai_api.access import ACTIVE, models_for
from migrations_app.openai_api.errors import NOT_FOUND, RefusedError
from migrations_app.openai_api.tidying import WITH_KNOWLEDGE, split_name
from migrations_app.serving.host_state import find_loaded
from migrations_app.serving.redis_keys import redis_client

VERSION = "0.9.0"
"""The version of Ollama's API that these doors speak: the first with ``think``."""
NO_END = "9999-12-31T00:00:00Z"
"""Until when a model stays loaded: until its memory is needed, which no moment can say."""


class Offered(NamedTuple):
    """An engine that a person may use, and under which name."""

    name: str
    model: CatalogModel
    revision: ModelRevision | None


class Details(Struct, frozen=True, kw_only=True):
    """What kind of model it is."""

    parent_model: str = ""
    format: str
    family: str
    families: list[str]
    parameter_size: str = ""
    quantization_level: str


class Tag(Struct, frozen=True, kw_only=True):
    """One model of the list."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details


class RunningModel(Struct, frozen=True, kw_only=True):
    """One model that some host has in memory."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str = NO_END
    context_length: int


class RunningList(Struct, frozen=True):
    """The answer of ``/api/ps``."""

    models: list[RunningModel]


class TagList(Struct, frozen=True):
    """The answer of ``/api/tags``."""

    models: list[Tag]


class Shown(Struct, frozen=True, kw_only=True):
    """The answer of ``/api/show``."""

    details: Details
    model_info: Json
    capabilities: list[str]
    modified_at: str
    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""


class Version(Struct, frozen=True):
    """The answer of ``/api/version``."""

    version: str = VERSION


def list_tags(user: User) -> TagList:
    """Return the active engine under its standing names, first and last, and what else a person may use."""
    tags = [_tag(*offered) for offered in _offered(user)]
    active, pinned = effective_engine(user)
    if active is not None:
        tags.append(_tag(f"{ACTIVE}{WITH_KNOWLEDGE}", active, pinned))
    return TagList(tags)


def list_running(user: User) -> RunningList:
    """Return those of the same list that some host has in memory."""
    offered = _offered(user)
    names = {model.model_id for _, model, _ in offered}
    redis = redis_client(settings.REDIS_URL)
    loaded = find_loaded(redis, names) | find_loaded(redis, names, embeds=True)
    return RunningList([_running(*each) for each in offered if each.model.model_id in loaded])


def _offered(user: User) -> list[Offered]:
    rows = list(models_for(user).select_related("current_revision"))
    active, pinned = effective_engine(user)
    standing = [] if active is None else [Offered(ACTIVE, active, pinned)]
    return [*standing, *(Offered(row.model_id, row, row.current_revision) for row in rows)]


def show_model(user: User, name: str) -> Shown:
    """Return an engine under any name that it answers to; RefusedError (404) for another."""
    plain, is_grounded = split_name(name)
    model, revision = _named(user, str(plain))
    if model is None or (is_grounded and model.role != ModelRole.CHAT):
        raise RefusedError(
            f"No engine {name!r:.150} is offered to you; /api/tags lists those that are.",
            param="model",
            status=NOT_FOUND,
            code="model_not_found",
        )
    family = model.model_family
    return Shown(
        details=_details(model),
        model_info={
            "general.architecture": family,
            "general.basename": model.display_name,
            f"{family}.context_length": context_of(model, revision),
        },
        capabilities=_capabilities(model),
        modified_at=model.created_at.isoformat(),
    )


def _named(user: User, name: str) -> tuple[CatalogModel | None, ModelRevision | None]:
    if name == ACTIVE:
        return effective_engine(user)
    # PostgreSQL stores no NUL, so no name has one.
    rows = models_for(user).select_related("current_revision")
    model = rows.filter(model_id=name).first() if "\x00" not in name else None
    return model, model.current_revision if model else None


def _tag(name: str, model: CatalogModel, revision: ModelRevision | None) -> Tag:
    return Tag(
        name=name,
        model=name,
        modified_at=model.created_at.isoformat(),
        size=revision.file_size if revision else 0,
        digest=revision.sha256 if revision else "",
        details=_details(model),
    )


def _running(name: str, model: CatalogModel, revision: ModelRevision | None) -> RunningModel:
    tag = _tag(name, model, revision)
    return RunningModel(
        name=name,
        model=name,
        size=tag.size,
        digest=tag.digest,
        details=tag.details,
        context_length=context_of(model, revision),
    )


def _details(model: CatalogModel) -> Details:
    return Details(
        format="gguf" if model.runtime in GGUF_RUNTIMES else model.runtime,
        family=model.model_family,
        families=[model.model_family],
        quantization_level=model.quantization,
    )


def _capabilities(model: CatalogModel) -> list[str]:
    """Return what a model can do in Ollama's words."""
    if model.role != ModelRole.CHAT:
        return ["embedding"] if model.role == ModelRole.EMBEDDING else []
    can = capabilities_of(model)
    return ["completion", "tools", *(["thinking"] if can.thinks else [])]
