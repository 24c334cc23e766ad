"""Which fields of a catalog entry a curator sets, in groups: the only list of them.

Export, import, the REST API and the admin take their fields from here. A field that is added to
CatalogModel and named in no group comes in the last one by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from engines.models import CatalogModel

Row = tuple[str, ...]
"""Fields that are shown side by side."""

KEPT_BY_SAM = ("current_revision", "created_at", "updated_at")
"""What SAM finds out or notes; nobody sets it."""
OTHERS = "More"

_GROUPS: Mapping[str, tuple[Row, ...]] = {
    "": (
        ("model_id",),
        ("display_name",),
        ("description",),
        ("model_family", "role"),
        ("licence",),
        ("tags",),
        ("published",),
        ("recommended",),
        ("allowed_groups",),
    ),
    "File": (
        ("huggingface_repo",),
        ("filename",),
        ("wanted_revision", "hub_endpoint"),
        ("sha256",),
        ("file_size",),
    ),
    "Folder or server": (("folder",), ("endpoint", "remote_name")),
    "Engine": (
        ("runtime",),
        ("quantization", "load_quantization"),
        ("context_length",),
        ("device", "gpu_layers"),
        ("split_mode", "main_gpu", "tensor_split"),
        ("use_flash_attention", "batch_invariant"),
    ),
    "Search by meaning": (
        ("embedding_model",),
        ("embedding_dimension", "passage_tokens"),
        ("pooling", "normalise"),
        ("query_prefix", "document_prefix"),
    ),
}


def group_curated_fields() -> dict[str, tuple[Row, ...]]:
    """Return the fields that a curator sets, by group and row; the first group has no name."""
    placed = {name for rows in _GROUPS.values() for row in rows for name in row}
    meta = CatalogModel._meta
    own = [f.name for f in (*meta.fields, *meta.many_to_many) if not f.primary_key]
    others = tuple((name,) for name in own if name not in placed and name not in KEPT_BY_SAM)
    return {**_GROUPS, OTHERS: others} if others else dict(_GROUPS)


def list_curated_fields() -> tuple[str, ...]:
    """Return the names of all fields that a curator sets, in the order of their groups."""
    return tuple(name for rows in group_curated_fields().values() for row in rows for name in row)
