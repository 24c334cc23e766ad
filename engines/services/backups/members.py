"""What an archive of one person holds: all that is theirs, and what names the things it refers to.

Vectors are not in it: they are facts about the texts, and are computed again. Nor is what would let somebody
in: passwords, tokens, second factors, roles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core import serializers
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone

from engines.models import (
    CatalogModel,
    Conversation,
    Document,
    EnginePreference,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelRevision,
    NoticeChoice,
    PastSearch,
    PromptTemplate,
    SearchHistory,
    UserPrompts,
)
from engines.services.people.roles import ROLES

FORMAT = "sam-backup-2"
MANIFEST = "format"
PERSON = "person"
ADAPTERS = "adapters"
MAX_ROWS = 1000
MAX_BYTES = 4 * 1024 * 1024
"""Of a part's JSON before it is closed; one row may be larger."""
CATALOG_FIELDS = ("model_id", "display_name")


@dataclass(frozen=True, slots=True)
class RowsMember:
    """A part of a table: the member's name, how many rows, and their JSON."""

    table: str
    part: int
    count: int
    content: bytes

    @property
    def name(self) -> str:
        """What the member is called in the archive."""
        return f"rows/{self.table}/{self.part}.json"


class _Encoder(DjangoJSONEncoder):
    """Writes times in full: the framework's own cuts them to thousandths of a second."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


@dataclass(frozen=True, slots=True)
class _Table:
    rows: models.QuerySet[Any]
    fields: Sequence[str] | None = None


def manifest_of(user: User, *, with_adapters: bool, made_for: str) -> dict[str, object]:
    """Return the archive's first member: what can be said of it before all of it is read."""
    tables = [PERSON, "groups", *_tables(user, with_adapters=with_adapters)]
    return {
        "format": FORMAT,
        "person": user.username,
        "plan": made_for,
        "made_at": timezone.now().isoformat(),
        "tables": tables,
    }


def person_members(user: User, *, with_adapters: bool) -> Iterator[RowsMember]:
    """Yield the rows of all that belongs to a person and of what those refer to.

    Call inside ``one_moment``. Big tables come in parts, so memory stays bounded.
    """
    about = {name: getattr(user, name) for name in ("username", "email", "first_name", "last_name")}
    yield _one_member(PERSON, [about])
    groups = user.groups.exclude(name__in=ROLES).order_by("name").values_list("name", flat=True)
    yield _one_member("groups", [{"name": name} for name in groups])
    for name, table in _tables(user, with_adapters=with_adapters).items():
        yield from _parts(name, table)


def _tables(user: User, *, with_adapters: bool) -> dict[str, _Table]:
    """Return the tables in the order in which they are put back: what is referred to comes first."""
    bases = KnowledgeBase.objects.filter(owner=user)
    families = Q(family__in=UserPrompts.objects.filter(user=user).values("family"))
    families |= Q(family__in=EnginePreference.objects.filter(user=user).values("prompt_family"))
    revisions = _revisions_of(user)
    tables = {
        "catalog": _Table(_engines_of(user, revisions), CATALOG_FIELDS),
        "revisions": _Table(revisions),
        "preference": _Table(EnginePreference.objects.filter(user=user)),
        "prompt_templates": _Table(PromptTemplate.objects.filter(families)),
        "prompts": _Table(UserPrompts.objects.filter(user=user)),
        "notice_choices": _Table(NoticeChoice.objects.filter(user=user)),
        "search_history": _Table(SearchHistory.objects.filter(user=user)),
        "searches": _Table(PastSearch.objects.filter(history__user=user)),
        "bases": _Table(bases, ("name", "created_at")),
        "documents": _Table(Document.objects.filter(base__in=bases)),
        "conversations": _Table(Conversation.objects.filter(user=user)),
        "messages": _Table(Message.objects.filter(conversation__user=user)),
    }
    if with_adapters:
        tables[ADAPTERS] = _Table(LoraAdapter.objects.filter(user=user))
    return tables


def _revisions_of(user: User) -> models.QuerySet[ModelRevision]:
    preference = EnginePreference.objects.filter(user=user).values("revision")
    adapters = LoraAdapter.objects.filter(user=user).values("base_revision")
    return ModelRevision.objects.filter(Q(pk__in=preference) | Q(pk__in=adapters))


def _engines_of(
    user: User, revisions: models.QuerySet[ModelRevision]
) -> models.QuerySet[CatalogModel]:
    chosen = EnginePreference.objects.filter(user=user).values("engine")
    answered = Message.objects.filter(conversation__user=user, engine__isnull=False)
    return CatalogModel.objects.filter(
        Q(pk__in=chosen)
        | Q(pk__in=answered.order_by().values("engine").distinct())
        | Q(pk__in=revisions.order_by().values("model"))
    )


def _one_member(table: str, rows: list[dict[str, Any]]) -> RowsMember:
    return RowsMember(table, 0, len(rows), _joined([_json(row) for row in rows]))


def _parts(name: str, table: _Table) -> Iterator[RowsMember]:
    rows: list[bytes] = []
    size = part = 0
    for row in table.rows.order_by("pk").iterator(chunk_size=100):
        rows.append(_json(serializers.serialize("python", [row], fields=table.fields)[0]))
        size += len(rows[-1])
        if len(rows) == MAX_ROWS or size >= MAX_BYTES:
            yield RowsMember(name, part, len(rows), _joined(rows))
            rows, size, part = [], 0, part + 1
    if rows or part == 0:
        yield RowsMember(name, part, len(rows), _joined(rows))


def _json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, cls=_Encoder, ensure_ascii=False).encode()


def _joined(rows: list[bytes]) -> bytes:
    return b"[" + b",\n".join(rows) + b"]"
