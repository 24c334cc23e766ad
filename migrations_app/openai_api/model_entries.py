"""The engines that a person may name, with what each can be asked for."""

from __future__ import annotations

from django.contrib.auth.models import User

from engines.models import CatalogModel, ModelRevision, ModelRole
from engines.services.catalog.capabilities import JsonUse, capabilities_of, context_of
from engines.services.engine_choice import effective_engine
from migrations_app.openai_api.access import ACTIVE, models_for
from migrations_app.openai_api.response_bodies import Capability, ModelEntry
from migrations_app.openai_api.tidying import WITH_KNOWLEDGE


def list_models(user: User) -> list[ModelEntry]:
    """Return the active engine under its standing names, first and last, and what else a person may use."""
    active, pinned = effective_engine(user)
    joined = int(user.date_joined.timestamp())
    plain = _entry(ACTIVE, joined, active, pinned)
    grounded = _entry(f"{ACTIVE}{WITH_KNOWLEDGE}", joined, active, pinned, is_grounded=True)
    others = [
        _entry(model.model_id, int(model.created_at.timestamp()), model, model.current_revision)
        for model in models_for(user).select_related("current_revision")
    ]
    return [plain, *others, grounded]


def _entry(
    name: str,
    created: int,
    model: CatalogModel | None,
    revision: ModelRevision | None,
    *,
    is_grounded: bool = False,
) -> ModelEntry:
    can = _capabilities(model, revision) if model is not None else []
    more: list[Capability] = ["knowledge"] if is_grounded else []
    return ModelEntry(
        id=name,
        created=created,
        capabilities=[*can, *more],
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
