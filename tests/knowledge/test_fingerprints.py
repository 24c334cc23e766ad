from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.models import Fingerprint
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


@pytest.mark.parametrize("stated", ["none", "rank", "", None])
def test_pooling_that_gives_no_single_vector_becomes_the_mean(stated: str | None) -> None:
    revision = make_model("odd")
    revision.facts["pooling"] = stated

    assert embedding_spec_of(revision.model, revision).pooling == "mean"


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
