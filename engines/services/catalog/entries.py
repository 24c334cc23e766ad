"""The catalog: who may see what, resolving entries at their hub, import and export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import CatalogModel, ModelRevision, ModelRole
from engines.services.catalog.shapes import try_to_read_shape
from engines.specs import ModelInfo, ModelSource
from engines.transfer.hub import resolve_file

FORMAT_VERSION = "1.0.0"
COMMIT_DIGITS = 40
STARTER = Path(__file__).resolve().parents[2] / "data" / "starter_catalog.jsonl"
INFO_FIELDS = tuple(field.name for field in fields(ModelInfo))
EXTRA_FIELDS = (
    "role",
    "runtime",
    "folder",
    "endpoint",
    "remote_name",
    "device",
    "gpu_layers",
    "split_mode",
    "main_gpu",
    "tensor_split",
    "load_quantization",
    "use_flash_attention",
    "batch_invariant",
    "hub_endpoint",
    "wanted_revision",
    "sha256",
    "embedding_dimension",
    "pooling",
    "normalise",
    "query_prefix",
    "document_prefix",
    "licence",
    "published",
)
MAY_BE_NULL = frozenset({"embedding_dimension"})
REQUIRED_FIELDS = ("display_name", "model_family")
STARTER_COMPANION = "granite-embedding-107m-multilingual"
"""Small, multilingual and under Apache-2.0: a sound embedder for engines that chat."""
STARTER_PREFIXES = {"nomic-embed-text-v1.5": ("search_query: ", "search_document: ")}
"""What the models' own pages ask for; left out, they find worse."""
FAMILIES = ("deepseek", "qwen", "llama", "mistral", "gemma", "smollm", "nomic", "granite")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: ids written, and a sentence for each entry that was refused."""

    written: list[str]
    refused: dict[str, str]


def catalog_visible_to(user: AbstractBaseUser | AnonymousUser) -> QuerySet[CatalogModel]:
    """Return the published models this person may use; the organisation's staff see all."""
    if isinstance(user, User) and user.is_superuser:
        return CatalogModel.objects.all()
    groups = user.groups.all() if isinstance(user, User) else []
    allowed = Q(allowed_groups__isnull=True) | Q(allowed_groups__in=groups)
    return CatalogModel.objects.filter(allowed, published=True).distinct()


def model_get(model_id: str) -> CatalogModel:
    """Return one catalog entry; NotFoundError names the id and where to look."""
    model = CatalogModel.objects.filter(model_id=model_id).first()
    if model is None:
        raise NotFoundError(f"No model is called {model_id!r}; list the catalog to see the names.")
    return model


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


def catalog_import(document: Mapping[str, Any]) -> ImportReport:
    """Write the entries of the seed's JSON, whose ``models`` is a mapping or a list.

    Each entry stands alone: a bad one is reported with its reason and changes nothing.
    """
    written: list[str] = []
    refused: dict[str, str] = {}
    for name, entry in _entries(document):
        try:
            written.append(_import_entry(name, entry).model_id)
        except (InvalidRequestError, ValidationError) as error:
            refused[name] = "; ".join(getattr(error, "messages", [str(error)]))
    return ImportReport(written, refused)


def _entries(document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    models = document.get("models")
    if isinstance(models, Mapping):
        return list(models.items())
    if isinstance(models, list):
        return [
            (str(m.get("model_id", f"entry {n}")) if isinstance(m, Mapping) else f"entry {n}", m)
            for n, m in enumerate(models, start=1)
        ]
    raise InvalidRequestError('A catalog is an object with "models": a mapping or a list.')


def _import_entry(name: str, entry: Any) -> CatalogModel:
    if not isinstance(entry, Mapping):
        raise InvalidRequestError("An entry is an object with the fields of ModelInfo.")
    absent = [field for field in REQUIRED_FIELDS if not entry.get(field)]
    if absent:
        raise InvalidRequestError(f"Missing: {', '.join(absent)}.")
    values = {
        k: entry[k]
        for k in (*INFO_FIELDS, *EXTRA_FIELDS)
        if k in entry and k != "model_id" and (entry[k] is not None or k in MAY_BE_NULL)
    }
    with transaction.atomic():
        model = CatalogModel.objects.filter(model_id=entry.get("model_id", name)).first()
        model = model or CatalogModel(model_id=entry.get("model_id", name))
        for field, value in values.items():
            setattr(model, field, value)
        model.embedding_model = _companion(entry)
        # First the fields alone: what compares them needs values of the right kind.
        model.clean_fields()
        model.full_clean()
        model.save()
    return model


def _companion(entry: Mapping[str, Any]) -> CatalogModel | None:
    name = entry.get("embedding_model")
    if not name:
        return None
    companion = CatalogModel.objects.filter(model_id=name, role=ModelRole.EMBEDDING).first()
    if companion is None:
        raise InvalidRequestError(f"Its embedding model {name!r} is not in the catalog.")
    return companion


def catalog_export() -> dict[str, Any]:
    """Return the whole catalog in the seed's format, embedders first so that it can be imported."""
    ordered = sorted(
        CatalogModel.objects.select_related("embedding_model"),
        key=lambda m: (m.role != ModelRole.EMBEDDING, m.model_id),
    )
    return {
        "version": FORMAT_VERSION,
        "updated_at": timezone.now().isoformat(),
        "models": {model.model_id: _export_entry(model) for model in ordered},
    }


def _export_entry(model: CatalogModel) -> dict[str, Any]:
    entry = {field: getattr(model, field) for field in (*INFO_FIELDS, *EXTRA_FIELDS)}
    if model.embedding_model:
        entry["embedding_model"] = model.embedding_model.model_id
    return entry


def starter_catalog() -> dict[str, Any]:
    """Return the catalog SAM ships: real files by digest, sizes and commits resolved at first use.

    Files in several parts are left out: a catalog entry is one file.
    """
    facts = [json.loads(line) for line in STARTER.read_text().splitlines()]
    facts.sort(key=lambda fact: "embed" not in fact["name"])
    return {"version": FORMAT_VERSION, "models": [_starter_entry(fact) for fact in facts]}


def _starter_entry(fact: Mapping[str, str]) -> dict[str, Any]:
    name = fact["name"]
    is_embedder = "embed" in name
    family = next((f for f in FAMILIES if f in name), "other")
    query, document = STARTER_PREFIXES.get(name, ("", ""))
    return {
        "model_id": name.replace("_", "-"),
        "display_name": f"{name} ({fact['quant']})",
        "description": f"{fact['filename']} from {fact['hf_repo']}.",
        "model_family": family,
        "role": ModelRole.EMBEDDING if is_embedder else ModelRole.CHAT,
        "huggingface_repo": fact["hf_repo"],
        "filename": fact["filename"],
        "sha256": fact["sha256"],
        "quantization": fact["quant"],
        "licence": fact["license"] or "",
        "tags": ["starter", family],
        "query_prefix": query,
        "document_prefix": document,
        "embedding_model": None if is_embedder else STARTER_COMPANION,
    }
