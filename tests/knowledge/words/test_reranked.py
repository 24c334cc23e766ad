"""A rank model over what a person's search found: its order, and what happens without it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from engines.exceptions import HostUnavailableError
from engines.files.artifacts import ArtifactStore
from engines.models import KnowledgeBase
from engines.services.answers.passages import PassageQuery, find_passages
from engines.services.answers.resources import AnswerResources, RankTexts
from engines.services.knowledge.search import Hit
from engines.services.knowledge.search_filters import SearchFilter, SearchMode
from engines.services.people.bindings import request_binding
from engines.vectors import IndexCache
from tests.knowledge.world import add

pytestmark = pytest.mark.django_db


def _no_engine(*_wanted: object) -> AbstractContextManager[object]:
    raise HostUnavailableError("No engine is here.")


def ask(store: ArtifactStore, user: User, rank: RankTexts, narrowed: SearchFilter) -> list[Hit]:
    resources = AnswerResources(
        host_name="here",
        store=store,
        adapter_folder=Path("/nowhere"),
        index_cache=IndexCache(1),
        lend_engine=_no_engine,  # type: ignore[arg-type]
        lend_embedder=_no_engine,  # type: ignore[arg-type]
        rank=rank,
    )
    wanted = PassageQuery("harbour", 2, narrowed)
    return find_passages(user, request_binding(user.pk), wanted, resources).hits


def test_a_rank_model_orders_the_first_passages_unless_it_is_not_wanted_or_not_there(
    owner: User, base: KnowledgeBase, store: ArtifactStore
) -> None:
    for number in range(4):
        add(base, f"harbour {number}")
    asked: list[tuple[str, list[str]]] = []

    def by_number(question: str, texts: Sequence[str]) -> list[float]:
        asked.append((question, list(texts)))
        return [int(text[-1]) / 10 for text in texts]

    def unreachable(_question: str, _texts: Sequence[str]) -> list[float]:
        raise HostUnavailableError("No host has the rank model.")

    def found(rank: RankTexts, **narrowed: object) -> list[tuple[str, float | None]]:
        hits = ask(store, owner, rank, SearchFilter(**narrowed))  # type: ignore[arg-type]
        return [(hit.text, hit.relevance) for hit in hits]

    assert found(by_number) == [("harbour 3", 0.3), ("harbour 2", 0.2)]
    assert asked == [("harbour", [f"harbour {number}" for number in range(4)])]
    plain = [("harbour 0", None), ("harbour 1", None)]
    assert found(by_number, rerank=False) == plain
    assert found(by_number, mode=SearchMode.WORDS) == plain
    assert found(unreachable) == plain
    assert len(asked) == 1
    again = found(by_number, mode=SearchMode.WORDS, rerank=True)
    assert again == [("harbour 3", 0.3), ("harbour 2", 0.2)]
