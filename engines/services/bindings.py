"""What one request works with, read in one statement: two could straddle a switch."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet

from engines.composed import Composed, Given
from engines.models import CatalogModel, ModelRevision, VectorIndex
from engines.services.preferences import Prompts

_BINDING = """
WITH my_groups AS (
    SELECT group_id FROM auth_user_groups WHERE user_id = %(user)s
), fallback AS (
    SELECT d.engine_id FROM engines_enginedefault d LEFT JOIN auth_group g ON g.id = d.group_id
    WHERE d.group_id IS NULL OR d.group_id IN (SELECT group_id FROM my_groups)
    ORDER BY g.name NULLS LAST LIMIT 1
), active AS (
    SELECT m.id AS engine_id, coalesce(p.revision_id, m.current_revision_id) AS revision_id,
           coalesce(nullif(p.prompt_family, ''), m.model_family, '') AS family
    FROM (SELECT 1) AS always
    LEFT JOIN engines_enginepreference p ON p.user_id = %(user)s
    LEFT JOIN engines_catalogmodel m
        ON m.id = coalesce(p.engine_id, (SELECT engine_id FROM fallback))
)
SELECT active.engine_id, active.revision_id, active.family,
       coalesce(u.system_prompt, t.system_prompt, ''),
       coalesce(u.reasoning_prompt, t.reasoning_prompt, ''),
       coalesce(u.chat_format, t.chat_format, ''),
       (SELECT coalesce(json_agg(json_build_array(b.id, b.live_index_id) ORDER BY b.id), '[]')::text
        FROM engines_knowledgebase b
        WHERE b.live_index_id IS NOT NULL AND (b.owner_id = %(user)s
              OR b.group_id IN (SELECT group_id FROM my_groups))),
       ARRAY(SELECT a.id FROM engines_loraadapter a
             WHERE a.user_id = %(user)s AND a.base_revision_id = active.revision_id
                   AND a.status = 'active')
FROM active
LEFT JOIN engines_prompttemplate t ON t.family = active.family
LEFT JOIN engines_userprompts u ON u.family = active.family AND u.user_id = %(user)s
"""


@Composed
def _revision(key: Given) -> QuerySet[ModelRevision]:
    return ModelRevision.objects.filter(pk=key)


@Composed
def _model(key: Given) -> QuerySet[CatalogModel]:
    return CatalogModel.objects.filter(pk=key)


@dataclass(frozen=True, slots=True)
class Binding:
    """A person's engine, prompts, live indexes as (base id, index) and adapters, all of one moment."""

    engine: CatalogModel | None
    revision: ModelRevision | None
    prompts: Prompts
    indexes: list[tuple[int, VectorIndex]]
    adapter_ids: list[int]
    """Of the valid adapters that belong to the revision."""


def request_binding(user: User) -> Binding:
    """Return what a request of this person uses; without any engine ``engine`` is None.

    One statement makes the choice; what its ids stand for is read afterwards and never changes place.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BINDING, {"user": user.pk})
        engine_id, revision_id, family, *texts, pairs, adapter_ids = cursor.fetchone()
    engine, revision = _model.first(engine_id), _revision.first(revision_id)
    if revision is not None and engine is not None and revision.model_id == engine.pk:
        revision.model = engine
    return Binding(
        engine=engine,
        revision=revision,
        prompts=Prompts(family, *texts),
        indexes=_indexes(json.loads(pairs)),
        adapter_ids=adapter_ids,
    )


def _indexes(pairs: list[tuple[int, int]]) -> list[tuple[int, VectorIndex]]:
    rows = VectorIndex.objects.select_related("fingerprint__revision__model")
    found = rows.in_bulk([index_id for _, index_id in pairs])
    return [(base_id, found[index_id]) for base_id, index_id in pairs if index_id in found]
