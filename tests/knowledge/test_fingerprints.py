from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.models import Fingerprint
from engines.services.catalog.copies import engine_spec
from engines.services.knowledge.fingerprints import (
    embedding_spec_of,
    fingerprint_for,
    known_fingerprint,
    spec_of,
)
from engines.specs import EmbeddingSpec
from tests.knowledge.world import make_model

pytestmark = pytest.mark.django_db


def test_spec_is_what_the_file_states_where_the_catalog_is_silent() -> None:
    revision = make_model("plain")
    revision.facts["pooling"] = "cls"

    assert embedding_spec_of(revision.model, revision) == EmbeddingSpec(32, 512, pooling="cls")


def test_spec_is_what_the_curator_says_where_both_speak() -> None:
    revision = make_model("curated")
    model = revision.model
    model.embedding_dimension, model.pooling, model.normalise = 16, "last", False
    model.query_prefix, model.document_prefix = "query: ", "passage: "

    spec = embedding_spec_of(model, revision)

    assert spec == EmbeddingSpec(16, 512, "last", False, "query: ", "passage: ")


@pytest.mark.parametrize("stated", ["", None])
def test_a_file_that_names_no_pooling_is_pooled_by_the_mean(stated: str | None) -> None:
    revision = make_model("odd")
    revision.facts["pooling"] = stated

    assert embedding_spec_of(revision.model, revision).pooling == "mean"


@pytest.mark.parametrize(
    ("stated", "why"), [("none", "for each token"), ("rank", "pairs of texts")]
)
def test_a_file_that_gives_no_single_vector_is_refused_unless_the_entry_says_how(
    stated: str, why: str
) -> None:
    revision = make_model("odd")
    revision.facts["pooling"] = stated

    with pytest.raises(InvalidRequestError, match=f"pooling {stated}.*{why}.*mean, cls, last"):
        fingerprint_for(revision.model, revision)
    assert not Fingerprint.objects.exists()
    revision.model.pooling = "last"
    assert embedding_spec_of(revision.model, revision).pooling == "last"


@pytest.mark.parametrize(
    ("trained", "asked", "limit"),
    [(512, 0, 512), (32_768, 0, 2048), (32_768, 1024, 1024), (8192, 8192, 8192), (512, 4096, 512)],
)
def test_the_limit_of_a_text_is_the_curators_else_what_passages_need(
    trained: int, asked: int, limit: int
) -> None:
    revision = make_model("long")
    revision.facts["context_length"] = trained
    revision.model.passage_tokens = asked

    assert embedding_spec_of(revision.model, revision).max_tokens == limit


def test_flash_attention_is_part_of_the_space_and_one_made_with_it_keeps_its_digest() -> None:
    revision = make_model("flash")
    model = revision.model
    with_it = fingerprint_for(model, revision)
    model.use_flash_attention = False
    without = fingerprint_for(model, revision)

    assert "flash_attention" not in with_it.facts
    assert without.digest != with_it.digest
    assert [spec_of(space).flash_attention for space in (with_it, without)] == [True, False]
    # The entry may say something else by now: a space is embedded as it was made.
    held = engine_spec(revision, "/model.gguf", embedding=spec_of(with_it))
    assert held.use_flash_attention


def test_equal_weights_and_spec_are_one_space_and_anything_else_another() -> None:
    revision = make_model("one")
    first = fingerprint_for(revision.model, revision)
    again = fingerprint_for(revision.model, revision)
    revision.model.document_prefix = "passage: "
    other = fingerprint_for(revision.model, revision)

    assert first == again
    assert other.digest != first.digest
    assert spec_of(other).document_prefix == "passage: "
    assert Fingerprint.objects.count() == 2


def test_unread_file_has_no_space_and_records_none() -> None:
    revision = make_model("unread", facts=False)

    with pytest.raises(InvalidRequestError, match="download it to a host"):
        fingerprint_for(revision.model, revision)

    assert known_fingerprint(revision.model, revision) is None
    assert Fingerprint.objects.count() == 0


def test_an_engine_with_a_companion_searches_in_the_companions_space() -> None:
    engine, companion = make_model("chat"), make_model("small")
    engine.model.embedding_model = companion.model

    assert known_fingerprint(engine.model, engine) == fingerprint_for(companion.model, companion)
    assert known_fingerprint(None, None) is None
