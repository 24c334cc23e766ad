"""A model file that somebody has on a host: read, entered, and published there like a download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from engines.exceptions import (
    ArtifactMissingError,
    ConflictError,
    DigestMismatchError,
    InvalidRequestError,
)
from engines.files.durable import BLOCK, open_regular
from engines.files.private import own_like_folder, private_folder
from engines.fit.architectures import writes
from engines.fit.known_architectures import require_known
from engines.fit.model_shape import ModelShape
from engines.gguf.header import GgufHeader
from engines.gguf.parts import find_misnomer, merge_headers, part_names
from engines.gguf.reader import read_header
from engines.models import CatalogModel, Host, ModelCopy, ModelRevision, ModelRole
from engines.runtimes.notation.families import family_in, family_of
from engines.runtimes.openvino.folder import WEIGHTS, folder_facts
from engines.services.catalog.copies import copy_files, copy_of, copy_path, mark_downloaded
from engines.services.catalog.exchange import ImportOptions, ImportReport, import_catalog
from engines.services.catalog.hub_search import suggest_entry
from engines.services.catalog.resolving import COMMIT_DIGITS, pinned_revision, whole_digest
from engines.services.catalog.shapes import abilities_in
from engines.services.catalog.unfetched import verify_folder
from engines.specs import RANK_POOLING, ModelFile
from engines.transfer.limits import Disk
from engines.transfer.part import claim_part, missing_bytes
from engines.transfer.remote_file import DEFAULT_OPTIONS
from engines.transfer.verify import Content

SUFFIX = ".gguf"
CONVERTED = ("*.onnx", "onnx/*.onnx", "openvino_model.xml", "openvino/*.xml", "pytorch_model.bin")
"""Other forms in which publishers offer what they also offer as safetensors."""
OPENVINO = "openvino"
_ARIA2 = ".aria2"


@dataclass(frozen=True, slots=True)
class AddedModel:
    """An entry, this host's copy of it, and what became of the entry."""

    entry: CatalogModel
    copy: ModelCopy
    report: ImportReport


@dataclass(frozen=True, slots=True)
class _Source:
    """What lies on the disk: the files as they will be called, where they are, and what they say."""

    paths: tuple[Path, ...]
    files: tuple[ModelFile, ...]
    header: GgufHeader

    @property
    def sha256(self) -> str:
        return whole_digest(self.files)


def add_local_model(path: Path, fields: Mapping[str, object], host: Host) -> AddedModel:
    """Enter a model and publish its files on this process's host.

    The same file again under the same id is put on this host, whatever hosts have it. Raises what
    ``ModelLibraryManager.add_file`` says; then neither entry nor file is left.
    """
    with _explained(path):
        if _is_embedder_folder(path):
            return _add_folder(path, fields, host)
        source = _read(_model_at(path))
    _require_own(source, fields)
    entry, report = _enter({**_described(source), **fields})
    if not report.created and (entry.sha256, entry.huggingface_repo) != (source.sha256, ""):
        raise _taken(entry)
    with _kept_if_used(entry, report):
        return AddedModel(entry, _publish(entry, source, host), report)


def _enter(wanted: Mapping[str, object]) -> tuple[CatalogModel, ImportReport]:
    report = import_catalog({"models": [dict(wanted)]}, ImportOptions())
    if report.refused:
        raise InvalidRequestError(next(iter(report.refused.values())))
    return CatalogModel.objects.get(model_id=wanted["model_id"]), report


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the disk says of a place that cannot be looked into to a sentence."""
    try:
        yield
    except OSError as error:
        raise InvalidRequestError(
            f"{path} cannot be read ({error.strerror}). Let the user who runs SAM read it and enter the "
            "folders above it, or put it below SAM_MODELS_DIR."
        ) from error


def _require_own(source: _Source, fields: Mapping[str, object]) -> None:
    """Raise for fields of an entry that cannot be true of a file of this machine."""
    if fields.get("huggingface_repo"):
        raise InvalidRequestError(
            f"{source.files[0].name} is added from this machine, and {fields['huggingface_repo']!s:.100} would be "
            "where hosts fetch it: leave out the repository, or add its entry without the file."
        )
    runtime = fields.get("runtime") or CatalogModel.FILE_RUNTIME
    require_known(source.header.architecture, str(runtime))
    expected = str(fields.get("sha256") or source.sha256).lower()
    if expected != source.sha256:
        raise DigestMismatchError(
            f"{source.files[0].name} has the digest {source.sha256}, not {expected[:64]}: it is another file, or "
            "it was damaged. Download it again, or leave out sha256."
        )


def _taken(entry: CatalogModel) -> ConflictError:
    return ConflictError(
        f"{entry.model_id} is another entry already; give this one an id of its own "
        "(--set model_id=NAME)."
    )


@contextmanager
def _kept_if_used(entry: CatalogModel, report: ImportReport) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Nobody could use it: its file is nowhere.
        if report.created:
            entry.revisions.filter(copies__isnull=True).delete()
            entry.delete()
        raise


def _is_embedder_folder(path: Path) -> bool:
    """Whether it holds safetensors and no GGUF file, which would be taken for the model."""
    if path.is_dir():
        # A search leaves out what may not be read: it would say that nothing is there.
        next(path.iterdir(), None)
    return (path / WEIGHTS).is_file() and not _models_in(path)


def _add_folder(path: Path, fields: Mapping[str, object], host: Host) -> AddedModel:
    """Enter an embedder that lies below this host's models; nothing is copied."""
    root, folder = settings.SAM_MODELS_DIR.resolve(), path.resolve()
    if folder == root or not folder.is_relative_to(root):
        raise InvalidRequestError(
            f"A folder of safetensors stays where it is: put {path} below SAM_MODELS_DIR "
            f"({settings.SAM_MODELS_DIR}), then add it again."
        )
    named = folder.relative_to(root).as_posix()
    entry, report = _enter({**_described_folder(folder, named), **fields})
    if (entry.folder, entry.runtime) != (named, OPENVINO):
        raise _taken(entry)
    with _kept_if_used(entry, report):
        revision = pinned_revision(entry)
        verified = verify_folder(revision, settings.SAM_MODELS_DIR, lambda _read: None)
        copy = copy_of(revision, host)
        mark_downloaded(copy, verified, revision.sha256)
        return AddedModel(entry, copy, report)


def _described_folder(folder: Path, named: str) -> dict[str, object]:
    """Return the fields of an entry as the folder's files tell them; raises what reading them raises."""
    facts, suggested = folder_facts(folder), suggest_entry(named)
    return {
        "model_id": suggested.model_id,
        "display_name": folder.name,
        "model_family": suggested.model_family,
        "role": ModelRole.EMBEDDING,
        "runtime": OPENVINO,
        "folder": named,
        "query_prefix": facts.get("query_prompt", ""),
        "document_prefix": facts.get("document_prompt", ""),
        "description": f"Added from the folder {named}.",
    }


def _model_at(path: Path) -> Path:
    """Return the model's file: ``path``, or the one in the folder that it is."""
    if not path.exists():
        raise ArtifactMissingError(f"There is no model at {path}; check its path.")
    if path.is_dir():
        found = _models_in(path)
        if not found and any(any(path.glob(pattern)) for pattern in CONVERTED):
            raise InvalidRequestError(
                f"{path} holds a model as ONNX, OpenVINO or PyTorch write it, which SAM does not read. Bring the "
                f"publisher's {WEIGHTS}, or a GGUF file of the same model."
            )
        if len(found) != 1:
            names = ", ".join(str(each.relative_to(path)) for each in found[:5]) or "none"
            raise InvalidRequestError(
                f"{path} holds {len(found)} GGUF models ({names}); name the file. A folder "
                f"of an embedder holds {WEIGHTS}; one of a chat model goes below SAM_MODELS_DIR, and an entry "
                "of the runtime transformers names it."
            )
        return found[0]
    misnomer = find_misnomer(path.name)
    if misnomer or path.suffix.lower() != SUFFIX:
        raise InvalidRequestError(
            misnomer
            or f"{path.name} does not end in {SUFFIX}; name a GGUF file, or an embedder's folder with its {WEIGHTS}."
        )
    return path


def _models_in(folder: Path) -> list[Path]:
    """Return the models in a folder; where it has none itself, those of the folders in it."""
    for depth in ("*", "*/*"):
        files = [each for each in sorted(folder.glob(depth)) if each.suffix.lower() == SUFFIX]
        if found := [each for each in files if not find_misnomer(each.name)]:
            return found
    return []


def _require_finished(path: Path) -> None:
    if path.with_name(f"{path.name}{_ARIA2}").exists():
        # It has its whole size from the start, with zeros where nothing came yet.
        raise InvalidRequestError(
            f"{path.name} is still being downloaded: aria2 keeps {path.name}{_ARIA2} beside it. Let it finish, then "
            "add the file."
        )


def _read(path: Path) -> _Source:
    for name in part_names(path.name):
        _require_finished(path.with_name(name))
    # Resolved: what is named may be a link, as in the Hub's cache, and links are not opened.
    paths = tuple(path.with_name(name).resolve() for name in part_names(path.name))
    header = merge_headers([read_header(each) for each in paths])
    if not header.tensors:
        raise InvalidRequestError(
            f"{path.name} holds a vocabulary and no weights, so it is not a model by itself; choose the GGUF "
            "file of the model."
        )
    if header.is_adapter:
        raise InvalidRequestError(
            f"{path.name} is an adapter, not a model; `sam adapter add` takes it."
        )
    files = (
        ModelFile(name, *_digest_of(each))
        for name, each in zip(part_names(path.name), paths, strict=True)
    )
    return _Source(paths, tuple(files), header)


def _digest_of(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    try:
        with open_regular(path) as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
        return size, digest.hexdigest()
    except OSError as error:
        raise ArtifactMissingError(f"{path} cannot be read ({error.strerror}).") from error


def _described(source: _Source) -> dict[str, object]:
    """Return the fields of an entry as the file tells them."""
    facts, name = source.header.facts(), source.files[0].name
    suggested = suggest_entry(name.partition("-00001-of-")[0])
    # Mistral's and many others' models are of the architecture llama: names know more.
    families = (family_in(name), family_in(facts.name), family_of(facts.architecture).name)
    return {
        "model_id": suggested.model_id,
        "display_name": facts.name or Path(name).stem,
        "model_family": next(filter(None, families), suggested.model_family),
        "role": _role(source.header),
        "filename": name,
        "sha256": source.sha256,
        "quantization": facts.quantization,
        "description": f"Added from the file {name}.",
    }


def _role(header: GgufHeader) -> ModelRole:
    """Return what a model is for: it judges pairs, or it says how it pools or writes no text, or it chats."""
    facts = header.facts()
    if facts.pooling == RANK_POOLING:
        return ModelRole.RANK
    embeds = facts.pooling not in ("", "none") or not writes(facts.architecture)
    return ModelRole.EMBEDDING if embeds and not facts.chat_template else ModelRole.CHAT


def _publish(entry: CatalogModel, source: _Source, host: Host) -> ModelCopy:
    revision, _ = ModelRevision.objects.get_or_create(
        model=entry,
        commit=source.sha256[:COMMIT_DIGITS],
        filename=entry.filename,
        defaults={
            "sha256": source.sha256,
            "file_size": sum(file.size for file in source.files),
            "parts": [asdict(file) for file in source.files] if len(source.files) > 1 else [],
            "shape": ModelShape.from_header(source.header).as_dict(),
            "abilities": abilities_in(source.header),
            "wanted_revision": entry.wanted_revision,
        },
    )
    first = copy_path(settings.SAM_MODELS_DIR, revision)
    private_folder(first.parent)
    targets = [path for path, _ in copy_files(first, revision)]
    contents = [Content(file.sha256, file.size) for file in source.files]
    missing = sum(missing_bytes(*each) for each in zip(targets, contents, strict=True))
    Disk(first.parent, DEFAULT_OPTIONS).require(missing)
    # The first part comes last, as in a download.
    for each in reversed(list(zip(source.paths, targets, contents, strict=True))):
        _copy_in(*each)
    CatalogModel.objects.filter(pk=entry.pk).update(
        current_revision=revision, file_size=revision.file_size
    )
    entry.refresh_from_db()
    copy = copy_of(revision, host)
    mark_downloaded(copy, first, revision.sha256)
    return copy


def _copy_in(path: Path, target: Path, content: Content) -> None:
    """Copy one file to where downloads lie, and give it its name only with the right digest."""
    with (
        Disk(target.parent, DEFAULT_OPTIONS).guard(lambda: content.size),
        claim_part(target, content.sha256, content.size) as part,
        open_regular(path) as file,
    ):
        part.restart()
        while block := file.read(BLOCK):
            part.append(block)
        if part.sha256() != content.sha256:
            part.discard()
            raise DigestMismatchError(f"{path} was changed while it was read; add it again.")
        part.publish(target)
    own_like_folder(target, target.parent)
