"""The engines that a person may use, as Ollama lists and shows models."""

from __future__ import annotations

from django.contrib.auth.models import User
from msgspec import Struct

from engines.models import CatalogModel, ModelRevision, ModelRole
from engines.runtime_names import GGUF_RUNTIMES
from engines.runtimes.text.response_format import Json
from engines.services.catalog.capabilities import capabilities_of, context_of
from engines.services.engine_choice import effective_engine
from migrations_app.openai_api.access import ACTIVE, models_for
from migrations_app.openai_api.errors import NOT_FOUND, RefusedError

VERSION = "0.9.0"
"""The version of Ollama's API that these doors speak: the first with ``think``."""


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
    parameters: str = ""
    template: str = ""


class Version(Struct, frozen=True):
    """The answer of ``/api/version``."""

    version: str = VERSION


def list_tags(user: User) -> TagList:
    """Return the active engine under its standing name, and what else a person may use."""
    rows = list(models_for(user).select_related("current_revision"))
    active, pinned = effective_engine(user)
    tags = [] if active is None else [_tag(ACTIVE, active, pinned)]
    return TagList([*tags, *(_tag(row.model_id, row, row.current_revision) for row in rows)])


def show_model(user: User, name: str) -> Shown:
    """Return one model of the list; RefusedError (404) for another."""
    if name == ACTIVE:
        model, revision = effective_engine(user)
    else:
        # PostgreSQL stores no NUL, so no name has one.
        rows = models_for(user).select_related("current_revision")
        model = rows.filter(model_id=name).first() if "\x00" not in name else None
        revision = model.current_revision if model else None
    if model is None:
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
            f"{family}.context_length": context_of(model, revision),
        },
        capabilities=_capabilities(model),
        modified_at=model.created_at.isoformat(),
    )


def _tag(name: str, model: CatalogModel, revision: ModelRevision | None) -> Tag:
    return Tag(
        name=name,
        model=name,
        modified_at=model.created_at.isoformat(),
        size=revision.file_size if revision else 0,
        digest=revision.sha256 if revision else "",
        details=_details(model),
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
