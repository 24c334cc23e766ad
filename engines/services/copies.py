"""Model files on hosts: the rows that say what is where, written by whoever holds the file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from engines.exceptions import InvalidRequestError
from engines.gguf.reader import read_header
from engines.models import CopyStatus, Host, ModelCopy, ModelRevision
from engines.paths import safe_join
from engines.specs import AdapterSpec, EmbeddingSpec, EngineSpec
from engines.transfer.hub import pinned_file
from engines.transfer.remote import RemoteFile

FACTS = (
    "architecture",
    "context_length",
    "embedding_length",
    "pooling",
    "block_count",
    "vocab_size",
    "quantization",
)


def copy_path(models_dir: Path, revision: ModelRevision) -> Path:
    """Return where a host keeps a revision: by digest, so equal files are one."""
    return safe_join(models_dir, f"{revision.sha256}/{Path(revision.model.filename).name}")


def copy_of(revision: ModelRevision, host: Host) -> ModelCopy:
    """Return the row of a revision on a host, created at first need."""
    copy, _ = ModelCopy.objects.get_or_create(revision=revision, host=host)
    return copy


def is_present(copy: ModelCopy) -> bool:
    """Whether the verified file is still there with its size; a look, not a re-hash."""
    if copy.status != CopyStatus.DOWNLOADED:
        return False
    path = Path(copy.path)
    return path.is_file() and path.stat().st_size == copy.revision.file_size


def copy_mark(copy: ModelCopy, status: CopyStatus, *, error: str = "") -> None:
    """Write a status other than downloaded."""
    copy.status, copy.error = status, error
    copy.save(update_fields=["status", "error"])


def copy_downloaded(copy: ModelCopy, path: Path, sha256: str) -> None:
    """Record a verified file and what its own header says."""
    _remember_facts(copy.revision, path)
    now = timezone.now()
    copy.path, copy.checksum, copy.file_size = str(path), sha256, copy.revision.file_size
    copy.status, copy.error = CopyStatus.DOWNLOADED, ""
    copy.downloaded_at = copy.downloaded_at or now
    copy.verified_at = now
    copy.save()


def _remember_facts(revision: ModelRevision, path: Path) -> None:
    if revision.facts:
        return
    stated = asdict(read_header(path).facts())
    facts = {name: stated[name] for name in FACTS}
    facts["chat_template"] = bool(stated["chat_template"])
    ModelRevision.objects.filter(pk=revision.pk).update(facts=facts)
    revision.facts = facts
    if not revision.model.context_length:
        revision.model.context_length = facts["context_length"] or 0
        revision.model.save(update_fields=["context_length"])


def remote_file(revision: ModelRevision) -> RemoteFile:
    """Return where a pinned revision is fetched from."""
    model = revision.model
    return pinned_file(
        model.huggingface_repo,
        model.filename,
        commit=revision.commit,
        size=revision.file_size,
        sha256=revision.sha256,
        endpoint=model.hub_endpoint or settings.HF_ENDPOINT,
    )


def engine_spec(
    revision: ModelRevision,
    path: str,
    *,
    embedding: EmbeddingSpec | None = None,
    adapters: tuple[AdapterSpec, ...] = (),
) -> EngineSpec:
    """Return what a runtime needs to start a revision that lies at ``path``."""
    if not path:
        raise InvalidRequestError(f"{revision} is not on this host; download it first.")
    model = revision.model
    return EngineSpec(
        engine_id=model.model_id,
        model_name=model.display_name,
        model_path=path,
        family=model.model_family,
        runtime=model.runtime,
        context_length=int(revision.facts.get("context_length") or model.context_length or 0),
        threads=settings.SAM_ENGINE_THREADS,
        adapters=adapters,
        embedding=embedding,
    )
