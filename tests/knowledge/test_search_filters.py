"""Search narrowed to bases, documents, times and scores; nothing is told of what is another's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from engines.exceptions import InvalidRequestError
from engines.files.artifacts import ArtifactStore
from engines.models import Document, KnowledgeBase
from engines.services.knowledge import search as search_module
from engines.services.knowledge.access import readable_bases
from engines.services.knowledge.search import search_bases
from engines.services.knowledge.search_filters import SearchFilter
from engines.vectors import IndexCache
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.test_search import catch_up
from tests.knowledge.world import add, fill, live_index, make_base

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def found(store: ArtifactStore, within: list[KnowledgeBase], k: int = 3, **asked: Any) -> list[str]:
    hits = search_bases(
        [(base.pk, live_index(base)) for base in within],
        lambda _index: HashEmbedder().embed_query("two"),
        k,
        store,
        IndexCache(4),
        SearchFilter.parse(asked),
    )
    return [hit.text for hit in hits]


def written(document: Document, moment: datetime) -> None:
    Document.objects.filter(pk=document.pk).update(updated_at=moment)


def test_only_the_named_bases_and_documents_are_searched(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    assert base.owner is not None
    other = make_base(base.owner, live_index(base).fingerprint, "Other")
    one, two = add(base, "one"), add(base, "two")
    catch_up(base, store, scratch)
    three = add(base, "three")
    catch_up(base, store, scratch)
    add(other, "four")
    catch_up(other, store, scratch)
    both = [base, other]

    assert found(store, both)[0] == "two"
    assert found(store, both, bases=[other.pk]) == ["four"]
    assert sorted(found(store, both, documents=[one.pk, three.pk])) == ["one", "three"]
    assert found(store, both, documents=[two.pk], bases=[other.pk]) == []
    assert found(store, both, k=1, documents=[three.pk]) == ["three"]


def test_documents_are_chosen_by_when_they_were_written_from_then_on_until_before(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    for hours, text in enumerate(("one", "two", "three")):
        written(add(base, text, title=text), NOON + timedelta(hours=hours))
    catch_up(base, store, scratch)
    at = (NOON + timedelta(hours=1)).isoformat()

    assert sorted(found(store, [base], updated_after=at)) == ["three", "two"]
    assert found(store, [base], updated_before=at) == ["one"]
    assert found(store, [base], updated_after=at, updated_before=at) == []
    # Those that are searched by words.
    for asked, named in (
        ({"updated_after": at}, {"two", "three"}),
        ({"updated_before": at}, {"one"}),
        ({"documents": [Document.objects.get(title="three").pk]}, {"three"}),
        ({}, {"one", "two", "three"}),
    ):
        rows = SearchFilter.parse(asked).documents_of([base.pk])
        assert set(rows.values_list("title", flat=True)) == named


def test_passages_below_the_score_are_left_out(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    for text in ("one", "two", "three"):
        add(base, text)
    catch_up(base, store, scratch)

    assert found(store, [base], min_score=0.99) == ["two"]
    assert len(found(store, [base], min_score=-1)) == 3


def test_a_filter_of_many_passages_still_finds_the_nearest_of_them(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(base, 300)
    wanted = add(base, "far away")
    catch_up(base, store, scratch)
    bulk = Document.objects.get(title="Bulk")
    everything = found(store, [base], k=301)
    monkeypatch.setattr(search_module, "MAX_CHOSEN_DOCUMENT_CHUNKS", 0)

    assert found(store, [base], documents=[wanted.pk]) == ["far away"]
    nearest = [text for text in everything if text != "far away"][:5]
    assert found(store, [base], k=5, documents=[bulk.pk]) == nearest


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "bases, documents"),
        ({"owner": 1}, "bases, documents"),
        ({"bases": []}, "bases"),
        ({"bases": 7}, "bases"),
        ({"bases": ["7"]}, "bases"),
        ({"bases": [True]}, "bases"),
        ({"bases": [0]}, "bases"),
        ({"bases": [2**63]}, "bases"),
        ({"bases": list(range(1, 102))}, "bases"),
        ({"documents": list(range(1, 1002))}, "documents"),
        ({"updated_after": "yesterday"}, "updated_after"),
        ({"updated_before": "2026-05-01T12:00:00"}, "updated_before"),
        ({"updated_after": 7}, "updated_after"),
        ({"min_score": 1.1}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"min_score": "high"}, "min_score"),
        ({"min_score": True}, "min_score"),
    ],
)
def test_what_is_no_filter_is_refused_by_field(given: object, field: str) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        SearchFilter.parse(given)


def test_what_is_anothers_and_what_is_not_there_are_refused_alike(base: KnowledgeBase) -> None:
    stranger = User.objects.create(username="eve")
    group = Group.objects.create(name="readers")
    shared = KnowledgeBase.objects.create(group=group, name="Shared")
    document, common = add(base, "secret"), add(shared, "common")

    def refused(user: User, **asked: Any) -> str:
        with pytest.raises(InvalidRequestError) as caught:
            SearchFilter.parse(asked).require_readable(readable_bases(user))
        return str(caught.value)

    for name, here, nowhere in (("bases", base.pk, 10**6), ("documents", document.pk, 10**6 + 1)):
        foreign = refused(stranger, **{name: [here]})
        assert foreign.replace(str(here), str(nowhere)) == refused(stranger, **{name: [nowhere]})
    assert f"base {shared.pk}" in refused(stranger, bases=[shared.pk])
    stranger.groups.add(group)
    mine = SearchFilter.parse({"bases": [shared.pk], "documents": [common.pk]})
    mine.require_readable(readable_bases(stranger))
