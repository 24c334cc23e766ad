"""What is watched: each table, with the fields whose old and new values are kept.

Not watched are what people write and what machines count: texts, conversations, vectors, usage, progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrations_app.audit.rows import AuditKind

Lookup = tuple[str, str]
"""Table and column that say what a number means."""
_MODEL: Lookup = ("engines_catalogmodel", "model_id")
_GROUP: Lookup = ("auth_group", "name")
_HOST: Lookup = ("engines_host", "name")
_REVISION: Lookup = ("engines_modelrevision", "commit")


@dataclass(frozen=True, slots=True)
class Watched:
    """One table. A change of other fields leaves no entry."""

    table: str
    kind: AuditKind
    fields: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """Secret or private: only that they changed is kept."""
    name: str = ""
    """The field that says what the thing is called."""
    nameless: str = ""
    """What it is called where that field is empty."""
    person: str = ""
    """The field with the person whom it is about."""
    lookups: Mapping[str, Lookup] = field(default_factory=dict)


_PROMPTS = ("system_prompt", "reasoning_prompt", "chat_format")

WATCHED = (
    Watched(
        "auth_user",
        AuditKind.PERSON,
        fields=("username", "is_active", "is_staff", "is_superuser"),
        hidden=("password", "email", "first_name", "last_name"),
        name="username",
        person="id",
    ),
    Watched(
        "auth_user_groups",
        AuditKind.MEMBERSHIP,
        fields=("group_id",),
        name="group_id",
        person="user_id",
        lookups={"group_id": _GROUP},
    ),
    Watched("auth_group", AuditKind.GROUP, fields=("name",), name="name"),
    Watched(
        "engines_apitoken",
        AuditKind.TOKEN,
        fields=("scope", "expires_at"),
        hidden=("name", "sha256"),
        person="user_id",
    ),
    Watched(
        "engines_invitation",
        AuditKind.INVITATION,
        fields=("expires_at", "used_at", "revoked_at"),
        hidden=("email", "key_sha256"),
    ),
    Watched(
        "engines_tokenquota",
        AuditKind.QUOTA,
        fields=("tokens_per_day",),
        nameless="everybody",
        person="user_id",
    ),
    Watched(
        "engines_enginedefault",
        AuditKind.DEFAULT,
        fields=("engine_id",),
        name="group_id",
        nameless="organisation",
        lookups={"group_id": _GROUP, "engine_id": _MODEL},
    ),
    Watched(
        "engines_enginefallback",
        AuditKind.FALLBACK,
        fields=("answers_id",),
        name="engine_id",
        nameless="any engine",
        lookups={"engine_id": _MODEL, "answers_id": _MODEL},
    ),
    Watched("engines_prompttemplate", AuditKind.TEMPLATE, fields=_PROMPTS, name="family"),
    Watched(
        "engines_userprompts", AuditKind.PROMPTS, hidden=_PROMPTS, name="family", person="user_id"
    ),
    Watched(
        "engines_enginepreference",
        AuditKind.PREFERENCE,
        fields=("engine_id", "revision_id", "prompt_family"),
        person="user_id",
        lookups={"engine_id": _MODEL, "revision_id": _REVISION},
    ),
    Watched(
        "engines_catalogmodel",
        AuditKind.CATALOG,
        fields=(
            *("model_id", "display_name", "description", "model_family", "role", "runtime"),
            *("huggingface_repo", "filename", "folder", "endpoint", "remote_name", "hub_endpoint"),
            *("wanted_revision", "file_size", "sha256", "quantization", "context_length"),
            *("embedding_dimension", "device", "gpu_layers", "split_mode", "main_gpu"),
            *("tensor_split", "load_quantization", "use_flash_attention", "batch_invariant"),
            *("pooling", "normalise", "query_prefix", "document_prefix", "licence", "tags"),
            *("recommended", "published", "embedding_model_id", "current_revision_id"),
        ),
        name="model_id",
        lookups={"embedding_model_id": _MODEL, "current_revision_id": _REVISION},
    ),
    Watched(
        "engines_catalogmodel_allowed_groups",
        AuditKind.RESERVATION,
        fields=("group_id",),
        name="catalogmodel_id",
        lookups={"catalogmodel_id": _MODEL, "group_id": _GROUP},
    ),
    Watched("engines_host", AuditKind.HOST, fields=("name", "status", "limits"), name="name"),
    Watched(
        "engines_hostinvitation",
        AuditKind.HOST_INVITATION,
        fields=("host_name", "used_at"),
        hidden=("token_hash",),
        name="host_name",
    ),
    Watched(
        "migrations_app_plan",
        AuditKind.PLAN,
        fields=(
            *("status", "host_id", "from_engine_id", "to_engine_id"),
            *("not_before", "confirmed_at", "cancel_requested_at"),
            *("backup_lora_adapters", "re_embed_knowledge", "update_prompt_templates"),
            "accept_losses",
            *("restores_id", "replaces"),
        ),
        name="kind",
        person="user_id",
        lookups={"host_id": _HOST, "from_engine_id": _MODEL, "to_engine_id": _MODEL},
    ),
    Watched(
        "migrations_app_massmove",
        AuditKind.MASS_MOVE,
        fields=("to_engine_id", "at_once", "accept_losses", "cancel_requested_at"),
        name="to_engine_id",
        lookups={"to_engine_id": _MODEL},
    ),
    Watched(
        "migrations_app_backup",
        AuditKind.BACKUP,
        fields=("user_id", "reason"),
        hidden=("wrapped_key",),
        name="reason",
        person="user_id",
    ),
    Watched(
        "migrations_app_backuprule",
        AuditKind.BACKUP_RULE,
        fields=("every_hours", "keep"),
        nameless="everybody",
        person="user_id",
    ),
    Watched(
        "engines_watchedfolder",
        AuditKind.WATCHED_FOLDER,
        fields=("base_id", "host_id", "path", "every_seconds", "keep_deleted"),
        name="name",
        lookups={"host_id": _HOST},
    ),
)
