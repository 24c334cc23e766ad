"""Nothing of a person is forgotten: each table about people and each of its fields is kept, or says why not."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db.models import ForeignKey, Model

from engines.models import (
    Conversation,
    Document,
    EnginePreference,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelRevision,
    NoticeChoice,
    PastSearch,
    SearchHistory,
    UserPrompts,
)
from engines.services.backups.engines_here import PINNED
from engines.services.backups.restoring import ADAPTER_FIELDS, MESSAGE_FIELDS

MADE_ANEW = {"id"}
RESTORED: dict[type[Model], set[str]] = {
    EnginePreference: {"user", "engine", "revision", "prompt_family"},
    UserPrompts: {"user", "family", "system_prompt", "reasoning_prompt", "chat_format"},
    NoticeChoice: {"user", "kind", "on_page", "by_email"},
    SearchHistory: {"user", "since"},
    PastSearch: {"history", "question", "asked_at"},
    KnowledgeBase: {"owner", "name", "created_at"},
    Document: {
        *("base", "title", "text", "media_type", "created_at", "updated_at"),
        *("path", "source_sha256", "places", "note"),
    },
    Conversation: {"user", "title", "created_at", "updated_at"},
    Message: {"conversation", "engine", "created_at", *MESSAGE_FIELDS},
    LoraAdapter: {"user", "base_revision", "created_at", *ADAPTER_FIELDS},
    ModelRevision: {"model", "commit", "filename", *PINNED},
}
COMES_BY_ITSELF: dict[type[Model], set[str]] = {
    EnginePreference: {"local_model_path", "last_upgrade", "version", "updated_at"},
    UserPrompts: {"updated_at"},
    KnowledgeBase: {"group", "write_seq", "words_seq", "live_index", "embed_on_write_for"},
    Document: {"sha256", "passage_limit"},
    ModelRevision: {"resolved_at", "abilities"},
}
"""Counted, made from other fields, or about this machine."""
LEFT_OUT = {
    "who gets in": {"apitoken", "usersession", "emailaddress", "authenticator", "socialaccount"},
    "what machines count or tell": {
        *("tokenusage", "tokenreservation", "tokenquota", "notice", "outgoingmail", "logentry"),
        *("idempotencykey", "preferencesnapshot"),
    },
    "what SAM does": {"plan", "backup", "backuprule", "massmove", "massmoveline"},
}


def test_every_table_about_people_is_kept_or_left_out_with_a_reason() -> None:
    about_people = {
        model._meta.model_name
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey) and field.related_model is User
    }
    kept = {model._meta.model_name for model in RESTORED}

    assert about_people - kept - set().union(*LEFT_OUT.values()) == set()


@pytest.mark.parametrize("model", RESTORED, ids=lambda model: model.__name__)
def test_every_field_of_a_kept_table_is_put_back_or_comes_by_itself(model: type[Model]) -> None:
    fields = {field.name for field in model._meta.concrete_fields}

    assert fields == RESTORED[model] | COMES_BY_ITSELF.get(model, set()) | MADE_ANEW
