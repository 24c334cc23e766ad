"""A person's own engine and prompts: chosen, versioned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import (
    CatalogModel,
    EnginePreference,
    ModelRevision,
    ModelRole,
    PreferenceSnapshot,
    PromptTemplate,
    UserPrompts,
)
from engines.services.catalog.entries import catalog_visible_to

PROMPT_FIELDS = ("system_prompt", "reasoning_prompt", "chat_format")


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts in force: a person's edits laid over the family's template."""

    family: str
    system_prompt: str
    reasoning_prompt: str
    chat_format: str

    @property
    def digest(self) -> str:
        """Return what changes with any of them, so that a change names what it was made on."""
        text = "\x00".join(asdict(self).values())
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The values of a preference that a switch writes together."""

    engine: CatalogModel | None
    revision: ModelRevision | None
    prompt_family: str
    local_model_path: str = ""


def preference_of(user: User) -> EnginePreference:
    """Return the person's row, created empty at first use: it is what every switch locks."""
    preference, _ = EnginePreference.objects.get_or_create(user=user)
    return preference


def lock_preference(user_id: int) -> EnginePreference:
    """Lock the person's row; inside a transaction, before any of the person's bases."""
    EnginePreference.objects.get_or_create(user_id=user_id)
    return EnginePreference.objects.select_for_update(no_key=True, of=("self",)).get(
        user_id=user_id
    )


def write_preference(
    preference: EnginePreference, choice: EngineChoice, *, why: str
) -> EnginePreference:
    """Write a choice over a locked preference, keeping what it was as a snapshot."""
    PreferenceSnapshot.objects.create(
        user_id=preference.user_id,
        version=preference.version,
        engine_id=preference.engine_id,
        revision_id=preference.revision_id,
        prompt_family=preference.prompt_family,
        local_model_path=preference.local_model_path,
        last_upgrade=preference.last_upgrade,
        why=why[:200],
    )
    preference.engine = choice.engine
    preference.revision = choice.revision
    preference.prompt_family = choice.prompt_family
    preference.local_model_path = choice.local_model_path
    preference.last_upgrade = timezone.now()
    preference.version += 1
    preference.save()
    return preference


def choose_preference(
    user: User, engine: CatalogModel, revision: ModelRevision, *, expected_version: int, why: str
) -> EnginePreference:
    """Let a person without knowledge or adapters to move choose an engine at once.

    Raises ConflictError when the version is stale; whoever has knowledge needs a migration.
    """
    if engine.role != ModelRole.CHAT:
        raise InvalidRequestError(
            f"{engine.model_id} only {engine.only_does}; choose an engine that chats."
        )
    with transaction.atomic():
        preference = lock_preference(user.pk)
        if preference.version != expected_version:
            raise ConflictError(
                f"The preference is at version {preference.version}, not {expected_version}; "
                "read it again and repeat the change."
            )
        _refuse_if_something_would_be_left_behind(user, engine, revision)
        choice = EngineChoice(engine, revision, engine.model_family)
        return write_preference(preference, choice, why=why)


def leaves_something_behind(
    user: User, engine: CatalogModel, revision: ModelRevision | None
) -> bool:
    """Whether a person has knowledge or adapters that belong to another engine than this one."""
    indexed = user.knowledge_bases.filter(live_index__isnull=False).exclude(
        live_index__fingerprint__revision__model=engine.embedder
    )
    adapters = user.lora_adapters.filter(status="active").exclude(base_revision=revision)
    return indexed.exists() or adapters.exists()


def _refuse_if_something_would_be_left_behind(
    user: User, engine: CatalogModel, revision: ModelRevision
) -> None:
    if leaves_something_behind(user, engine, revision):
        raise ConflictError(
            "This person has knowledge or adapters that belong to another engine; "
            "create a migration plan, which moves them along."
        )


def prompts_of(user: User, family: str) -> Prompts:
    """Return a family's prompts with the person's edits laid over them."""
    template = PromptTemplate.objects.filter(family=family).first() or PromptTemplate(family=family)
    edits = UserPrompts.objects.filter(user=user, family=family).first()

    def text(field: str) -> str:
        edited: str | None = getattr(edits, field, None)
        return str(getattr(template, field)) if edited is None else edited

    return Prompts(family, *(text(field) for field in PROMPT_FIELDS))


def prompt_families_of(user: User) -> list[str]:
    """Return the families that have prompts: the organisation's, or edits of this person."""
    families = set(PromptTemplate.objects.values_list("family", flat=True))
    families |= set(UserPrompts.objects.filter(user=user).values_list("family", flat=True))
    return sorted(families)


def has_prompts(user: User, family: str) -> bool:
    """Whether a person may read and edit a family's prompts: it has some, or an engine they may use."""
    return (
        PromptTemplate.objects.filter(family=family).exists()
        or UserPrompts.objects.filter(user=user, family=family).exists()
        or catalog_visible_to(user).filter(model_family=family).exists()
    )


def set_template(family: str, texts: Mapping[str, str]) -> PromptTemplate:
    """Write what a family of engines is told, by the names of its prompts; people's edits stay."""
    unknown = sorted(set(texts) - set(PROMPT_FIELDS))
    if unknown:
        raise InvalidRequestError(f"Not a prompt: {', '.join(unknown)}.")
    template, _ = PromptTemplate.objects.update_or_create(family=family, defaults=dict(texts))
    return template


def edit_prompts(user: User, family: str, edits: dict[str, str | None]) -> Prompts:
    """Keep a person's edits for one family; None takes an edit back."""
    unknown = sorted(set(edits) - set(PROMPT_FIELDS))
    if unknown:
        raise InvalidRequestError(f"Not a prompt: {', '.join(unknown)}.")
    UserPrompts.objects.update_or_create(user=user, family=family, defaults=dict(edits))
    return prompts_of(user, family)
