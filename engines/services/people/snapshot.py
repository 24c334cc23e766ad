"""One person's whole state as plain values, read from one consistent moment of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.core import serializers
from django.db import connection, models, transaction

from engines.models import (
    CatalogModel,
    Chunk,
    Conversation,
    Document,
    EnginePreference,
    Fingerprint,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelRevision,
    PreferenceSnapshot,
    PromptTemplate,
    UserPrompts,
    VectorIndex,
)

Member = tuple[str, list[dict[str, Any]]]
BATCH = 1000


@contextmanager
def one_moment() -> Iterator[None]:
    """Read everything inside from one snapshot of the database; nothing can be written."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def person_members(user: User, *, with_adapters: bool) -> Iterator[Member]:
    """Yield (member name, rows) for all that belongs to a person and what those rows refer to.

    Call inside ``one_moment``. Big tables come in parts, so memory stays bounded.
    """
    yield "person", [{"username": user.username, "email": user.email, "id": user.pk}]
    for name, queryset in _tables(user, with_adapters=with_adapters).items():
        yield from _parts(name, queryset)


def _tables(user: User, *, with_adapters: bool) -> dict[str, models.QuerySet[Any]]:
    bases = KnowledgeBase.objects.filter(owner=user)
    indexes = VectorIndex.objects.filter(base__in=bases)
    adapters = LoraAdapter.objects.filter(user=user)
    tables: dict[str, models.QuerySet[Any]] = {
        "catalog": CatalogModel.objects.all(),
        "revisions": ModelRevision.objects.all(),
        "preference": EnginePreference.objects.filter(user=user),
        "preference_snapshots": PreferenceSnapshot.objects.filter(user=user),
        "prompt_templates": PromptTemplate.objects.all(),
        "prompts": UserPrompts.objects.filter(user=user),
        "conversations": Conversation.objects.filter(user=user),
        "messages": Message.objects.filter(conversation__user=user),
        "bases": bases,
        "documents": Document.objects.filter(base__in=bases),
        "chunks": Chunk.objects.filter(base__in=bases),
        "fingerprints": Fingerprint.objects.filter(indexes__in=indexes).distinct(),
        "indexes": indexes,
    }
    return {**tables, "adapters": adapters} if with_adapters else tables


def _parts(name: str, queryset: models.QuerySet[Any]) -> Iterator[Member]:
    rows: list[dict[str, Any]] = []
    part = 0
    for row in queryset.order_by("pk").iterator(chunk_size=BATCH):
        rows.append(serializers.serialize("python", [row])[0])
        if len(rows) == BATCH:
            yield f"{name}/{part}", rows
            rows, part = [], part + 1
    if rows or part == 0:
        yield f"{name}/{part}", rows
