"""What one request works with, read in one statement: two could straddle a switch."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from engines.db.cursors import prepared_cursor
from engines.exceptions import NotFoundError
from engines.models import CatalogModel, ModelCopy, ModelRevision, VectorIndex
from engines.services.engine_choice import CHOICE_SQL
from engines.services.people.preferences import Prompts

KEPT = 256
"""Rows of engines, revisions and copies that a process keeps, with the version each had."""

_BINDING = """
WITH {choice}
SELECT chosen.engine_id, chosen.revision_id,
       (SELECT concat(m.xmin, m.ctid) FROM engines_catalogmodel m WHERE m.id = chosen.engine_id),
       (SELECT concat(r.xmin, r.ctid) FROM engines_modelrevision r
        WHERE r.id = chosen.revision_id),
       copy.id, concat(copy.xmin, copy.ctid),
       chosen.family,
       coalesce(u.system_prompt, t.system_prompt, ''),
       coalesce(u.reasoning_prompt, t.reasoning_prompt, ''),
       coalesce(u.chat_format, t.chat_format, ''),
       (SELECT coalesce(json_agg(json_build_array(b.id, b.live_index_id) ORDER BY b.id), '[]')::text
        FROM engines_knowledgebase b
        WHERE b.live_index_id IS NOT NULL AND (b.owner_id = %(user)s
              OR b.group_id IN (SELECT group_id FROM my_groups))),
       ARRAY(SELECT a.id FROM engines_loraadapter a
             WHERE a.user_id = %(user)s AND a.base_revision_id = chosen.revision_id
                   AND a.status = 'active')
FROM chosen
LEFT JOIN engines_modelcopy copy ON copy.revision_id = chosen.revision_id
    AND copy.host_id = (SELECT id FROM engines_host WHERE name = %(host)s)
LEFT JOIN engines_prompttemplate t ON t.family = chosen.family
LEFT JOIN engines_userprompts u ON u.family = chosen.family AND u.user_id = %(user)s
""".replace("{choice}", CHOICE_SQL)


@dataclass(frozen=True, slots=True)
class Binding:
    """A person's engine, prompts, live indexes as (base id, index) and adapters, all of one moment."""

    engine: CatalogModel | None
    revision: ModelRevision | None
    prompts: Prompts
    indexes: list[tuple[int, VectorIndex]]
    adapter_ids: list[int]
    """Of the valid adapters that belong to the revision."""
    copy: ModelCopy | None = None
    """Of the revision, on the host that was named."""


def request_binding(user_id: int, host_name: str = "") -> Binding:
    """Return what a request of this person uses, on this host; without any engine ``engine`` is None.

    One statement makes the choice; what its ids stand for is read afterwards and never changes place.
    Raises NotFoundError when there is no such active person.
    """
    with prepared_cursor() as cursor:
        cursor.execute(_BINDING, {"user": user_id, "host": host_name})
        row = cursor.fetchone()
    if row is None:
        raise NotFoundError("There is no such person.")
    engine_id, revision_id, *versions, copy_id, copy_version = row[:6]
    *prompts, pairs, adapter_ids = row[6:]
    engine = copy(_engine(engine_id, versions[0]))
    revision = copy(_revision(revision_id, versions[1]))
    if revision is not None and engine is not None and revision.model_id == engine.pk:
        revision.model = engine
    return Binding(
        engine=engine,
        revision=revision,
        prompts=Prompts(*prompts),
        copy=copy(_copy(copy_id, copy_version)),
        indexes=_indexes(json.loads(pairs)),
        adapter_ids=adapter_ids,
    )


@lru_cache(KEPT)
def _engine(key: int | None, _version: str | None) -> CatalogModel | None:
    """Return a row; PostgreSQL tells its version, so one that did not change is not read again."""
    return CatalogModel.objects.filter(pk=key).first() if key else None


@lru_cache(KEPT)
def _revision(key: int | None, _version: str | None) -> ModelRevision | None:
    return ModelRevision.objects.filter(pk=key).first() if key else None


@lru_cache(KEPT)
def _copy(key: int | None, _version: str | None) -> ModelCopy | None:
    return ModelCopy.objects.filter(pk=key).first() if key else None


def _indexes(pairs: list[tuple[int, int]]) -> list[tuple[int, VectorIndex]]:
    rows = VectorIndex.objects.select_related("fingerprint__revision__model")
    found = rows.in_bulk([index_id for _, index_id in pairs])
    return [(base_id, found[index_id]) for base_id, index_id in pairs if index_id in found]
