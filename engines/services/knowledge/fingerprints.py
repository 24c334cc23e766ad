"""Which vector space a model's file gives: the small key under which its vectors are kept."""

from __future__ import annotations

from typing import Any

from engines.exceptions import InvalidRequestError
from engines.models import CatalogModel, Fingerprint, ModelRevision, ModelRole
from engines.models.validators import POOLINGS
from engines.services.catalog.copies import text_limit
from engines.specs import (
    DEFAULT_POOLING,
    RANK_POOLING,
    EmbeddingSpec,
    ModelSource,
    fingerprint_digest,
)


def embedding_spec_of(model: CatalogModel, revision: ModelRevision) -> EmbeddingSpec:
    """Return how a revision embeds: the curated fields, else what its file says.

    Raises InvalidRequestError while the file's facts are not known.
    """
    facts: dict[str, Any] = revision.facts
    dimension = model.embedding_dimension or facts.get("embedding_length")
    trained = facts.get("context_length") or model.context_length
    if not (dimension and trained and revision.sha256):
        raise _unknown(model)
    return EmbeddingSpec(
        dimension=int(dimension),
        max_tokens=text_limit(model, int(trained)),
        pooling=model.pooling or _stated_pooling(model, facts),
        normalise=model.normalise,
        query_prefix=model.query_prefix,
        document_prefix=model.document_prefix,
        flash_attention=model.source == ModelSource.SERVER or model.use_flash_attention,
    )


def ranking_spec_of(model: CatalogModel, revision: ModelRevision) -> EmbeddingSpec:
    """Return how a rank model reads pairs of texts.

    Raises InvalidRequestError for a model of another kind, or whose file says that it is.
    """
    stated = revision.facts.get("pooling") or RANK_POOLING
    if model.role != ModelRole.RANK or stated != RANK_POOLING:
        raise InvalidRequestError(
            f"{model.model_id} judges no pairs of texts; choose a rank model (its file says pooling rank)."
        )
    trained = int(revision.facts.get("context_length") or model.context_length)
    return EmbeddingSpec(
        dimension=0,
        max_tokens=text_limit(model, trained),
        pooling=RANK_POOLING,
        flash_attention=model.use_flash_attention,
    )


def _unknown(model: CatalogModel) -> InvalidRequestError:
    if model.source == ModelSource.SERVER:
        return InvalidRequestError(
            f"{model.model_id} has not embedded anything yet. Does its server embed, and does the "
            "entry say its context_length? Else give it an embedding_model."
        )
    return InvalidRequestError(
        f"What {model.model_id} embeds to is not known before its file was read once; "
        "download it to a host, then repeat the request."
    )


def _stated_pooling(model: CatalogModel, facts: dict[str, Any]) -> str:
    stated = facts.get("pooling")
    if stated in ("none", "rank"):
        raise InvalidRequestError(_no_vector(model, stated))
    return stated if stated in POOLINGS else DEFAULT_POOLING


def _no_vector(model: CatalogModel, stated: str) -> str:
    what = "judges pairs of texts" if stated == "rank" else "gives a vector for each token"
    return (
        f"The file of {model.model_id} says pooling {stated}: it {what} and not one vector for a text. "
        f"Choose another embedder, or say in its entry how it pools ({', '.join(POOLINGS)})."
    )


def spec_of(fingerprint: Fingerprint) -> EmbeddingSpec:
    """Return the EmbeddingSpec that a stored fingerprint stands for."""
    return EmbeddingSpec(**fingerprint.facts)


def fingerprint_for(model: CatalogModel, revision: ModelRevision) -> Fingerprint:
    """Return the vector space of a revision, recorded at first use.

    Raises InvalidRequestError while the file's facts are not known.
    """
    digest, spec = _space_of(model, revision)
    fingerprint, _ = Fingerprint.objects.get_or_create(
        digest=digest, defaults={"revision": revision, "facts": spec.as_facts()}
    )
    return fingerprint


def find_fingerprint(revision: ModelRevision | None) -> Fingerprint | None:
    """Return the space that a revision embeds to as its entry is now; None where nothing was embedded to it yet.

    An entry whose prefixes or pooling were changed embeds to another space than before, with the same file.
    """
    if revision is None:
        return None
    try:
        digest, _ = _space_of(revision.model, revision)
    except InvalidRequestError:
        return None
    return Fingerprint.objects.filter(digest=digest).first()


def _space_of(model: CatalogModel, revision: ModelRevision) -> tuple[str, EmbeddingSpec]:
    spec = embedding_spec_of(model, revision)
    return fingerprint_digest(model.runtime, revision.sha256, spec), spec


def embedder_of(
    engine: CatalogModel, revision: ModelRevision | None
) -> tuple[CatalogModel, ModelRevision | None]:
    """Return who embeds for an engine: its companion as the catalog pins it, or itself."""
    companion = engine.embedding_model
    if companion is not None:
        return companion, companion.current_revision
    return engine, revision


def known_fingerprint(
    engine: CatalogModel | None, revision: ModelRevision | None
) -> Fingerprint | None:
    """Return the space an engine searches in, or None while its file's facts are not known."""
    if engine is None:
        return None
    embedder, embedder_revision = embedder_of(engine, revision)
    if embedder_revision is None:
        return None
    try:
        return fingerprint_for(embedder, embedder_revision)
    except InvalidRequestError:
        return None
