"""Whether the fields of a catalog entry go together, and with its runtime."""

from __future__ import annotations

from engines.exceptions import InvalidRequestError
from engines.gguf.parts import find_misnomer
from engines.host_runtimes import engine_registry
from engines.models import CatalogModel, ModelRole
from engines.runtime_names import BUILT_IN, FLASH_ATTENTION, GPU_FIELDS
from engines.runtimes.hugging_face.engine import DEVICES
from engines.runtimes.offload import Offload
from engines.runtimes.openvino.bert import POOLINGS
from engines.specs import EngineSpec, ModelSource

PLACES = {
    ModelSource.FILE: ("huggingface_repo", "filename"),
    ModelSource.FOLDER: ("folder",),
    ModelSource.SERVER: ("endpoint", "remote_name"),
}
"""The fields that say where the model of an entry is."""
COMPUTE_FIELDS = GPU_FIELDS | {"load_quantization", FLASH_ATTENTION, "batch_invariant"}
"""What ``CatalogModel.compute_settings`` is made of; a plugin is given all of them."""


HUB_FIELDS = frozenset(
    {"huggingface_repo", "filename", "wanted_revision", "hub_endpoint", "sha256", "file_size"}
)
"""About a file at a hub."""


def list_unused_fields(runtime: str) -> frozenset[str]:
    """Return the fields that say nothing about models of a runtime; none for an unknown runtime."""
    try:
        sources = engine_registry().sources(runtime)
    except InvalidRequestError:
        return frozenset()
    absent = [source for source in PLACES if source not in sources]
    places = frozenset(field for source in absent for field in PLACES[source])
    of_hubs: frozenset[str] = frozenset() if ModelSource.FILE in sources else HUB_FIELDS
    return places | of_hubs | (COMPUTE_FIELDS - _used_fields(runtime))


def find_entry_problems(entry: CatalogModel) -> dict[str, str]:
    """Return a sentence for each field that does not go with the others."""
    try:
        sources = engine_registry().sources(entry.runtime)
    except InvalidRequestError as error:
        return {"runtime": str(error)}
    return _place_problems(entry, sources) or {
        **_file_problems(entry),
        **_device_problems(entry),
        **_server_problems(entry),
    }


def _place_problems(entry: CatalogModel, sources: frozenset[ModelSource]) -> dict[str, str]:
    """A model is in one place, and in one where its runtime finds it."""
    wanted = entry.source if entry.source in sources else min(sources)
    rule = f"A model of the runtime {entry.runtime} is named by {' and '.join(PLACES[wanted])}."
    needed = {field: f"{rule} Fill it in." for field in PLACES[wanted] if not getattr(entry, field)}
    if entry.filename and entry.sha256:
        # Added from a file of a host: its digest says which.
        needed.pop("huggingface_repo", None)
    others = {field for source in PLACES for field in PLACES[source]} - set(PLACES[wanted])
    extra = {field: f"{rule} Leave this empty." for field in others if getattr(entry, field)}
    return {**needed, **extra}


def _used_fields(runtime: str) -> frozenset[str]:
    return BUILT_IN[runtime].uses if runtime in BUILT_IN else COMPUTE_FIELDS


def _only_embeds(runtime: str) -> bool:
    return runtime in BUILT_IN and BUILT_IN[runtime].embeds_only


def _file_problems(entry: CatalogModel) -> dict[str, str]:
    """A file that is a part of a model, or lies beside one, is not taken for the model."""
    misnomer = find_misnomer(entry.filename) if entry.filename else None
    return {"filename": misnomer} if misnomer else {}


def _device_problems(entry: CatalogModel) -> dict[str, str]:
    used, default = _used_fields(entry.runtime), CatalogModel()
    unused = {
        field: f"The runtime {entry.runtime} ignores this field; leave the default."
        for field in COMPUTE_FIELDS - used
        if getattr(entry, field) != getattr(default, field)
    }
    if unused:
        return unused
    if entry.batch_invariant and entry.role != ModelRole.CHAT:
        return {
            "batch_invariant": "It is about answers, and an embedder writes none; leave it off."
        }
    if entry.role == ModelRole.RANK and entry.runtime != CatalogModel.FILE_RUNTIME:
        return {"role": f"Only the runtime {CatalogModel.FILE_RUNTIME} ranks texts; choose it."}
    if _only_embeds(entry.runtime) and entry.role != ModelRole.EMBEDDING:
        return {"role": f"Models of the runtime {entry.runtime} only embed; choose that role."}
    if entry.runtime == "openvino" and entry.pooling not in ("", *POOLINGS):
        return {"pooling": f"This runtime pools by {' or '.join(sorted(POOLINGS))}; choose one."}
    if entry.runtime == "transformers" and entry.device not in DEVICES:
        return {"device": f"device is one of {', '.join(DEVICES)} for this runtime."}
    try:
        Offload.of(EngineSpec(entry.model_id, entry.display_name, "", **entry.compute_settings()))
    except InvalidRequestError as error:
        return {"device": str(error)}
    return {}


def _server_problems(entry: CatalogModel) -> dict[str, str]:
    embeds = entry.source == ModelSource.SERVER and entry.role == ModelRole.EMBEDDING
    if embeds and not entry.context_length:
        return {"context_length": "A server does not tell how long a text it embeds; say it here."}
    return {}
