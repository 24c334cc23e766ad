"""Entries resolved at their hub: the commit, digest and size that a revision pins."""

from __future__ import annotations

import hashlib
import json

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import CatalogModel, ModelRevision
from engines.services.catalog.shapes import try_to_read_shape
from engines.specs import ModelSource
from engines.transfer.hub import resolve_file

COMMIT_DIGITS = 40


def model_resolve(model: CatalogModel) -> ModelRevision:
    """Pin the file an entry means now: commit, size and digest as the hub states them.

    A folder or a server is asked by the host that uses it, not here. Raises TransferError when the hub cannot be asked, ConflictError when it offers another file than
    the curated digest, InvalidRequestError when the publisher states no digest at all.
    """
    if model.source != ModelSource.FILE:
        return _named_revision(model)
    endpoint = model.hub_endpoint or settings.HF_ENDPOINT
    remote = resolve_file(
        model.huggingface_repo,
        model.filename,
        revision=model.wanted_revision,
        endpoint=endpoint,
        token=settings.HF_TOKEN or None,
    )
    digest = _agreed_digest(model, remote.sha256)
    with transaction.atomic():
        revision, _ = ModelRevision.objects.get_or_create(
            model=model,
            commit=remote.commit,
            defaults={"sha256": digest, "file_size": remote.size},
        )
        if revision.sha256 != digest:
            raise ConflictError(
                f"{model.model_id} at commit {remote.commit[:8]} had another digest before; "
                "do not trust this hub until the publisher explains it."
            )
        _remember_current(model, revision)
    if model.runtime == CatalogModel.FILE_RUNTIME:
        try_to_read_shape(revision, remote)
    return revision


def _named_revision(model: CatalogModel) -> ModelRevision:
    """Return the one revision of a model that is known by its names."""
    names = [model.runtime, model.model_id, model.remote_name or model.folder]
    digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()
    revision, _ = ModelRevision.objects.get_or_create(
        model=model,
        commit=digest[:COMMIT_DIGITS],
        defaults={
            "source": model.source,
            "sha256": digest if model.source == ModelSource.SERVER else "",
            "file_size": 0,
        },
    )
    _remember_current(model, revision)
    return revision


def _remember_current(model: CatalogModel, revision: ModelRevision) -> None:
    CatalogModel.objects.filter(pk=model.pk).update(
        current_revision=revision, file_size=revision.file_size, updated_at=timezone.now()
    )
    model.current_revision, model.file_size = revision, revision.file_size


def _agreed_digest(model: CatalogModel, published: str | None) -> str:
    if model.sha256 and published and model.sha256 != published:
        raise ConflictError(
            f"The hub offers {published[:12]}… for {model.model_id}, the catalog expects "
            f"{model.sha256[:12]}…; check the repository, then correct the catalog entry."
        )
    digest = published or model.sha256
    if not digest:
        raise InvalidRequestError(
            f"The publisher of {model.model_id} states no SHA-256; enter the digest in the catalog."
        )
    return digest


def pinned_revision(model: CatalogModel) -> ModelRevision:
    """Return the revision in force, asking the hub only when there is none yet."""
    return model.current_revision or model_resolve(model)
