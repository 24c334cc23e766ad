"""The catalog in the seed's JSON: imported, exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from engines.exceptions import InvalidRequestError
from engines.models import CatalogModel, ModelRole
from engines.specs import ModelInfo

FORMAT_VERSION = "1.0.0"
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


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: ids written, and a sentence for each entry that was refused."""

    written: list[str]
    refused: dict[str, str]


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
