"""Entries resolved at their hub: the commit, digest and size that a revision pins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from django.db import transaction
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.fit.known_architectures import require_known
from engines.gguf.parts import part_names
from engines.models import CatalogModel, ModelRevision
from engines.runtime_names import GGUF_RUNTIMES
from engines.services.catalog.hub import hub_of, hub_token, require_repository
from engines.services.catalog.shapes import known_shape, try_to_read_shape
from engines.specs import ModelFile, ModelSource
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
    found = look_up(model)
    with transaction.atomic():
        revision = _revision_of(model, found)
        if revision.sha256 != found.sha256:
            raise ConflictError(
                f"{model.model_id} at commit {found.commit[:8]} had another digest before; "
                "do not trust this hub until the publisher explains it."
            )
        _remember_current(model, revision)
    if model.runtime in GGUF_RUNTIMES:
        try_to_read_shape(revision, found.files)
    return revision


def _revision_of(model: CatalogModel, found: FoundModel) -> ModelRevision:
    found_at = {"repository": model.huggingface_repo, "wanted_revision": model.wanted_revision}
    facts = {"sha256": found.sha256, "file_size": found.size, "parts": found.parts}
    if found.parts:
        # Before parts were known, such an entry was pinned to its first part alone and ran nowhere.
        alone = model.revisions.filter(commit=found.commit, filename=model.filename, parts=[])
        alone.update(**facts, shape={}, facts={})
    revision, _ = ModelRevision.objects.update_or_create(
        model=model,
        commit=found.commit,
        filename=model.filename,
        defaults=found_at,
        create_defaults={**found_at, **facts},
    )
    return revision


@dataclass(frozen=True, slots=True)
class FoundModel:
    """The files of a model at its hub now, the first part first, and the digest of all together."""

    files: tuple[RemoteFile, ...]
    sha256: str

    @property
    def commit(self) -> str:
        return self.files[0].commit

    @property
    def size(self) -> int:
        """Bytes, of all parts together."""
        return sum(file.size for file in self.files)

    @property
    def parts(self) -> list[dict[str, object]]:
        """What a revision keeps of a model in several files; nothing of a model in one."""
        if len(self.files) == 1:
            return []
        return [asdict(ModelFile(f.filename, f.size, f.sha256 or "")) for f in self.files]


def look_up(model: CatalogModel) -> FoundModel:
    """Return what an entry means at its hub now; nothing is written.

    Raises what ``resolve_model`` raises.
    """
    require_repository(model)
    first = _resolve(model, model.filename, model.wanted_revision)
    later = part_names(model.filename)[1:]
    # At the commit of the first: the branch may move on meanwhile, and parts of two states are no model.
    files = (first, *(_resolve_part(model, name, first.commit, len(later) + 1) for name in later))
    published = _published_digest(model, files) if later else first.sha256
    return FoundModel(files, _agreed_digest(model, published))


def _resolve(model: CatalogModel, filename: str, revision: str) -> RemoteFile:
    endpoint = hub_of(model)
    return resolve_file(
        model.huggingface_repo,
        filename,
        revision=revision,
        endpoint=endpoint,
        token=hub_token(endpoint),
    )


def _resolve_part(model: CatalogModel, name: str, commit: str, count: int) -> RemoteFile:
    try:
        return _resolve(model, name, commit)
    except NotFoundError as error:
        raise NotFoundError(
            f"{model.huggingface_repo} has no {name}, one of the {count} parts of "
            f"{model.model_id}, so the model is not whole there; choose another file or repository."
        ) from error


def whole_digest(files: Sequence[ModelFile]) -> str:
    """Return the digest of a model: its file's own, or one over names and digests of all parts."""
    if len(files) == 1:
        return files[0].sha256
    lines = [f"{file.sha256}  {PurePosixPath(file.name).name}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _published_digest(model: CatalogModel, files: Sequence[RemoteFile]) -> str:
    without = [file.filename for file in files if file.sha256 is None]
    if without:
        raise InvalidRequestError(
            f"The publisher of {model.model_id} states no SHA-256 of {without[0]}, so the model "
            "cannot be verified; choose another repository."
        )
    return whole_digest([ModelFile(f.filename, f.size, f.sha256 or "") for f in files])


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

    Whoever is pinned to an earlier revision stays there. Raises what ``resolve_model`` raises, and
    InvalidRequestError for a model that its runtime does not know.
    """
    revision = find_unedited_revision(model) or resolve_model(model)
    shape = known_shape(revision)
    if shape is not None:
        require_known(shape.architecture, model.runtime)
    return revision


def find_unedited_revision(model: CatalogModel) -> ModelRevision | None:
    """Return the revision in force when it is still what the entry says; nobody is asked."""
    revision = model.current_revision
    if revision is None or revision.source != model.source:
        return None
    if model.source != ModelSource.FILE:
        return revision
    if model.sha256 not in ("", revision.sha256):
        return None
    if len(revision.files) != len(part_names(revision.files[0].name)):
        return None
    found = (revision.repository, revision.filename, revision.wanted_revision)
    entered = (model.huggingface_repo, model.filename, model.wanted_revision)
    # A revision that does not say where it was found belongs to the entry as it is.
    return revision if found == entered or not revision.filename else None
