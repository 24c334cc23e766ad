"""The statements that run all the time use indexes also on a space no statistics know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from engines.db.cursors import binary_cursor
from engines.models import Fingerprint, KnowledgeBase
from engines.services.knowledge import embedding_rows, indexes, search
from tests.knowledge.world import fill

pytestmark = pytest.mark.django_db
CHUNKS = 20_000


@pytest.fixture(params=[False, True], ids=["usual", "small"])
def small(base: KnowledgeBase, space: Fingerprint, request: pytest.FixtureRequest) -> None:
    """Statistics of a time when each of many spaces, and each of many bases, held one text."""
    if not request.param:
        return
    for number in range(300):
        Fingerprint.objects.create(
            digest=f"{number:064}", revision=space.revision, facts=space.facts
        )
        KnowledgeBase.objects.create(name=f"small {number}", owner=base.owner, write_seq=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO engines_embedding (fingerprint_id, content_hash, vector, error) "
            "SELECT id, sha256(digest::bytea), decode(repeat('003c', 32), 'hex'), '' "
            "FROM engines_fingerprint"
        )
        cursor.execute(
            "INSERT INTO engines_chunk (base_id, position, text, content_hash, created_seq) "
            "SELECT id, 0, name, sha256(name::bytea), 1 FROM engines_knowledgebase WHERE id <> %s",
            [base.pk],
        )
        cursor.execute("ANALYZE engines_embedding, engines_chunk")


@pytest.fixture
def half_embedded(small: None, base: KnowledgeBase, space: Fingerprint) -> KnowledgeBase:
    """20 000 chunks, every second one embedded, in a transaction that ANALYZE cannot see."""
    fill(base, CHUNKS)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO engines_embedding (fingerprint_id, content_hash, vector, error) "
            "SELECT %s, content_hash, decode(repeat('003c', 32), 'hex'), '' "
            "FROM engines_chunk WHERE base_id = %s AND position %% 2 = 0",
            [space.pk, base.pk],
        )
    return base


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def plan_of(statement: str, values: list[Any]) -> list[dict[str, Any]]:
    with binary_cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.replace('%s', '%b')}",
            values,
        )
        row = cursor.fetchone()
    assert row is not None
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return list(nodes(plan[0]["Plan"]))


def scans(plan: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(node["Node Type"], node["Relation Name"]) for node in plan if "Relation Name" in node}


def no_table_is_scanned(plan: list[dict[str, Any]]) -> bool:
    """Tables are read, and none of them from its first row to its last."""
    kinds = {kind for kind, _ in scans(plan)}
    return bool(kinds) and "Seq Scan" not in kinds


def no_table_is_read_again_and_again(plan: list[dict[str, Any]]) -> bool:
    """A materialised or sequential scan under a nested loop is what made it take 15 s."""
    return all(
        node["Node Type"] not in ("Seq Scan", "Materialize") or node["Actual Loops"] == 1
        for node in plan
    )


def test_asking_for_missing_chunks_looks_each_one_up(
    half_embedded: KnowledgeBase, space: Fingerprint
) -> None:
    values = [space.pk, half_embedded.pk, 0, indexes.LATEST, 256]

    plan = plan_of(indexes._MISSING, values)

    assert no_table_is_scanned(plan)
    assert no_table_is_read_again_and_again(plan)
    [lookup] = [node for node in plan if node.get("Relation Name") == "engines_embedding"]
    assert lookup["Node Type"] in ("Index Scan", "Index Only Scan")
    assert "content_hash" in lookup["Index Cond"]
    assert lookup["Actual Loops"] <= CHUNKS


@pytest.mark.parametrize("after_seq", [0, CHUNKS - 100])
def test_the_check_of_a_switch_reads_only_the_tail(
    half_embedded: KnowledgeBase, space: Fingerprint, after_seq: int
) -> None:
    plan = plan_of(indexes._MISSING, [space.pk, half_embedded.pk, after_seq, indexes.LATEST, 1])

    chunks = [node for node in plan if node.get("Relation Name") == "engines_chunk"]
    assert no_table_is_scanned(plan)
    assert max(node["Actual Rows"] for node in chunks) <= CHUNKS - after_seq


def test_known_hashes_are_found_through_the_primary_key(
    half_embedded: KnowledgeBase, space: Fingerprint
) -> None:
    hashes = list(half_embedded.chunks.values_list("content_hash", flat=True)[:2000])
    values = [[bytes(value) for value in hashes], space.pk]

    for statement in (embedding_rows._MISSING, embedding_rows._VECTORS):
        plan = plan_of(statement, values)

        assert no_table_is_scanned(plan)
        assert max(node["Actual Rows"] for node in plan) <= 2000


def test_vectors_for_a_page_of_a_file_are_looked_up_one_by_one(
    half_embedded: KnowledgeBase, space: Fingerprint
) -> None:
    ids = list(half_embedded.chunks.order_by("pk").values_list("pk", flat=True)[:2000])

    plan = plan_of(indexes._FACTS_OF, [ids, space.pk])

    assert no_table_is_scanned(plan)
    assert max(node["Actual Rows"] for node in plan) <= 2000


def test_a_page_of_a_new_file_reads_no_more_than_a_page(
    half_embedded: KnowledgeBase, space: Fingerprint
) -> None:
    first = half_embedded.chunks.order_by("pk").values_list("pk", flat=True)[10_000]

    plan = plan_of(
        indexes._SURVEY, [space.pk, half_embedded.pk, first, indexes.LATEST, indexes.PAGE]
    )

    assert no_table_is_scanned(plan)
    assert no_table_is_read_again_and_again(plan)


def test_a_search_reads_its_candidates_and_the_delta_only(
    half_embedded: KnowledgeBase, space: Fingerprint
) -> None:
    ids = list(half_embedded.chunks.order_by("pk").values_list("pk", flat=True)[:50])
    pk = half_embedded.pk

    plan = plan_of(search._CANDIDATES, [ids, pk, CHUNKS - 100, pk, space.pk])

    assert no_table_is_scanned(plan)
    chunks = [node for node in plan if node.get("Relation Name") == "engines_chunk"]
    assert max(node["Actual Rows"] * node["Actual Loops"] for node in chunks) <= 150
