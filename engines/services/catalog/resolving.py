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
from engines.transfer.remote_file import RemoteFile

COMMIT_DIGITS = 40


def resolve_model(model: CatalogModel) -> ModelRevision:
    """Pin the file an entry means now: commit, size and digest as the hub states them.

    A folder or a server is asked by the host that uses it, not here. Raises TransferError when the
    hub cannot be asked, ConflictError when it offers another file than the curated digest,
    InvalidRequestError when the publisher states no digest at all.
    """
    if model.source != ModelSource.FILE:
        return _named_revision(model)
    remote, digest = look_up(model)
    found_at = {
        "repository": model.huggingface_repo,
        "wanted_revision": model.wanted_revision,
    }
    with transaction.atomic():
        revision, _ = ModelRevision.objects.update_or_create(
            model=model,
            commit=remote.commit,
            filename=model.filename,
            defaults=found_at,
            create_defaults={**found_at, "sha256": digest, "file_size": remote.size},
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


def look_up(model: CatalogModel) -> tuple[RemoteFile, str]:
    """Return the file that an entry means at its hub now, and its digest; nothing is written.

    Raises what ``resolve_model`` raises.
    """
    remote = resolve_file(
        model.huggingface_repo,
        model.filename,
        revision=model.wanted_revision,
        endpoint=model.hub_endpoint or settings.HF_ENDPOINT,
        token=settings.HF_TOKEN or None,
    )
    return remote, _agreed_digest(model, remote.sha256)


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
    """Return the revision in force, asking the hub when there is none or the entry was edited since.

    Whoever is pinned to an earlier revision stays there. Raises what ``resolve_model`` raises.
    """
    return find_unedited_revision(model) or resolve_model(model)


def find_unedited_revision(model: CatalogModel) -> ModelRevision | None:
    """Return the revision in force when it is still what the entry says; nobody is asked."""
    revision = model.current_revision
    if revision is None or revision.source != model.source:
        return None
    if model.source != ModelSource.FILE:
        return revision
    if model.sha256 not in ("", revision.sha256):
        return None
    found = (revision.repository, revision.filename, revision.wanted_revision)
    entered = (model.huggingface_repo, model.filename, model.wanted_revision)
    # A revision that does not say where it was found belongs to the entry as it is.
    return revision if found == entered or not revision.filename else None
