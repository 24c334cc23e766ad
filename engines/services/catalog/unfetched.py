"""Models that are not fetched: a server runs them, or somebody put their folder on a host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import (
    ArtifactMissingError,
    DigestMismatchError,
    EngineError,
    InvalidRequestError,
)
from engines.files.names import safe_join
from engines.host_runtimes import engine_registry
from engines.models import ModelRevision, ModelRole
from engines.runtimes.base import BaseModelEngine
from engines.runtimes.model_files import CONFIG, read_config
from engines.runtimes.openvino.folder import folder_facts
from engines.services.catalog.copies import engine_spec
from engines.specs import DEFAULT_POOLING, EmbeddingSpec, EngineSpec
from engines.transfer.folders import folder_content
from engines.transfer.verify import Content

logger = logging.getLogger(__name__)

CANARIES = (
    "A short and harmless sentence.",
    "In the winter of 1987 the harbour froze from shore to shore.",
    "El puente se abre dos veces al día para los barcos.",
)
"""What a server must go on embedding to the same vectors, or its model was changed."""
SAME_MODEL = 0.999
"""Cosine; other builds and batches of one model move a vector by far less."""
DIGITS = 6

Lend = Callable[[EngineSpec], AbstractContextManager[BaseModelEngine]]


def verify_server(revision: ModelRevision, lend: Lend) -> None:
    """Return when the server is there, lists the model, and embeds as it did at first.

    Raises HostUnavailableError (transient), EngineError, InvalidRequestError.
    """
    model = revision.model
    spec = engine_spec(revision, model.remote_name)
    engine_registry().check(spec)
    if model.embedding_model_id is None:
        vectors = _canaries(revision, spec, lend)
        if vectors is not None:
            _compare(revision, vectors)


def _canaries(revision: ModelRevision, spec: EngineSpec, lend: Lend) -> NDArray[np.float32] | None:
    """Return what the server makes of the canaries; None for an engine that only chats."""
    model = revision.model
    wanted = EmbeddingSpec(
        dimension=model.embedding_dimension or 0,
        max_tokens=model.context_length,
        pooling=model.pooling or DEFAULT_POOLING,
    )
    try:
        with lend(replace(spec, embedding=wanted)) as engine:
            return engine.embed_many(CANARIES)
    except (EngineError, InvalidRequestError) as error:
        if model.role == ModelRole.EMBEDDING:
            raise
        logger.info("%s does not embed: %s", model.model_id, error)
        return None


def _compare(revision: ModelRevision, vectors: NDArray[np.float32]) -> None:
    known = np.asarray(revision.facts.get("canaries", []), np.float32)
    if not known.size:
        _learn(
            revision,
            embedding_length=vectors.shape[1],
            canaries=[[round(float(n), DIGITS) for n in row] for row in vectors],
        )
    elif known.shape != vectors.shape or float((known * vectors).sum(1).min()) < SAME_MODEL:
        raise EngineError(
            f"The server of {revision.model.model_id} gives other vectors than at first: its model "
            "was changed. Give it the old one back, or add another entry and migrate to that."
        )


def verify_folder(
    revision: ModelRevision, models_dir: Path, progress: Callable[[int], None]
) -> Path:
    """Return a model's folder on this host, whose files are those of every host.

    The first host to read it decides what they are. Raises ArtifactMissingError,
    UnsafeModelFileError, DigestMismatchError, InvalidRequestError, UnsafeNameError.
    """
    model = revision.model
    folder = safe_join(models_dir, model.folder)
    if not folder.is_dir():
        raise ArtifactMissingError(
            f"This host's models have no folder {model.folder}; put it into SAM_MODELS_DIR, then "
            "make a new plan."
        )
    engine_registry().check(engine_spec(revision, str(folder)))
    _agree(revision, folder, folder_content(folder, progress))
    return folder


def _agree(revision: ModelRevision, folder: Path, content: Content) -> None:
    if not content.size:
        raise ArtifactMissingError(
            f"The folder {revision.model.folder} is empty; put the model there."
        )
    unread = ModelRevision.objects.filter(pk=revision.pk, sha256="")
    unread.update(sha256=content.sha256, file_size=content.size)
    revision.refresh_from_db(fields=["sha256", "file_size", "facts"])
    if (revision.sha256, revision.file_size) != (content.sha256, content.size):
        raise DigestMismatchError(
            f"The folder {revision.model.folder} here does not hold the files with which "
            f"{revision.model.model_id} was first used; copy those here, or add another entry."
        )
    read = folder_facts if revision.model.runtime == "openvino" else _config_facts
    _learn(revision, **read(folder))


def _config_facts(folder: Path) -> dict[str, int | str]:
    """Return what a transformers folder says of itself; nothing for a plugin's own kind."""
    path = folder / CONFIG
    if not path.is_file():
        return {"files": "of a plugin"}
    whole = read_config(path)
    text = whole.get("text_config", whole)
    stated = {
        "architecture": text.get("model_type"),
        "context_length": text.get("max_position_embeddings"),
        "embedding_length": text.get("hidden_size"),
    }
    return {name: value for name, value in stated.items() if type(value) in (int, str)}


def _learn(revision: ModelRevision, **facts: Any) -> None:
    """Keep what was found out first; whoever comes second compares."""
    ModelRevision.objects.filter(pk=revision.pk, facts={}).update(facts=facts)
    revision.refresh_from_db(fields=["facts"])
