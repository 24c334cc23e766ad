"""The engines that a person may name, with what each can be asked for."""

from __future__ import annotations

from django.contrib.auth.models import User
from msgspec.structs import replace

from engines.models import CatalogModel, ModelRevision, ModelRole
from engines.services.catalog.capabilities import JsonUse, capabilities_of, context_of
from engines.services.engine_choice import effective_engine
from migrations_app.openai_api.access import ACTIVE, models_for
from migrations_app.openai_api.errors import NOT_FOUND, RefusedError
from migrations_app.openai_api.response_bodies import Capability, ModelEntry
from migrations_app.openai_api.tidying import WITH_KNOWLEDGE, split_name

WITHOUT_MESSAGES: tuple[Capability, ...] = ("completions", "embeddings")
"""What no knowledge can be added to."""


def list_models(user: User) -> list[ModelEntry]:
    """Return the active engine under its standing names, first and last, and what else a person may use."""
    active, pinned = effective_engine(user)
    plain = _entry(ACTIVE, int(user.date_joined.timestamp()), active, pinned)
    others = [
        _entry(model.model_id, int(model.created_at.timestamp()), model, model.current_revision)
        for model in models_for(user).select_related("current_revision")
    ]
    return [plain, *others, _grounded(plain)]


def need_entry(user: User, name: str) -> ModelEntry:
    """Return an engine under any name that it answers to; RefusedError (404) for what the person may not use."""
    entry = _find_entry(user, name)
    if entry is None:
        raise RefusedError(
            f"No engine {name!r:.150} is offered to you; /v1/models lists those that are.",
            param="model",
            status=NOT_FOUND,
            code="model_not_found",
        )
    return entry


def _find_entry(user: User, name: str) -> ModelEntry | None:
    entries = {entry.id: entry for entry in list_models(user)}
    plain, is_grounded = split_name(name)
    found = entries.get(str(plain))
    if found is None or name in entries or not is_grounded:
        return entries.get(name)
    return _grounded(found) if "chat" in found.capabilities else None


def _grounded(entry: ModelEntry) -> ModelEntry:
    """Return an engine under the name by which it answers from the person's knowledge."""
    can = [one for one in entry.capabilities if one not in WITHOUT_MESSAGES]
    return replace(entry, id=f"{entry.id}{WITH_KNOWLEDGE}", capabilities=[*can, "knowledge"])


def _entry(
    name: str, created: int, model: CatalogModel | None, revision: ModelRevision | None
) -> ModelEntry:
    return ModelEntry(
        id=name,
        created=created,
        capabilities=_capabilities(model, revision) if model is not None else [],
        context_length=(context_of(model, revision) or None) if model is not None else None,
    )


def _capabilities(model: CatalogModel, revision: ModelRevision | None) -> list[Capability]:
    if model.role != ModelRole.CHAT:
        return ["rerank"] if model.role == ModelRole.RANK else ["embeddings"]
    can = capabilities_of(model, revision)
    found: list[Capability] = ["chat", "completions", "embeddings", "tools"]
    if can.json != JsonUse.NONE:
        found.append("json_schema")
    if can.thinks:
        found.append("reasoning")
    return found
