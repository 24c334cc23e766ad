"""The final state of a database in a form that two runs can be compared in."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any

import numpy as np
from django.apps import apps
from django.db import models
from numpy.typing import NDArray

from engines.models import Chunk, Embedding, KnowledgeBase, PassageWords
from migrations_app.models import Plan, PlanEvent
from migrations_app.states import STEP_FINAL

NOT_COMPARED: dict[str, frozenset[str]] = {
    # ids and times differ in any two runs
    "*": frozenset({"id", "pk", "created_at", "updated_at", "started_at", "finished_at", "at"}),
    "chunk": frozenset(),
    "enginepreference": frozenset({"last_upgrade", "local_model_path"}),
    "preferencesnapshot": frozenset({"last_upgrade", "replaced_at", "local_model_path", "why"}),
    "modelrevision": frozenset({"resolved_at"}),
    "modelcopy": frozenset(
        {"downloaded_at", "verified_at", "path", "tokens_per_second", "texts_per_second"}
    ),
    "catalogmodel": frozenset({"hub_endpoint"}),
    # the notes name the plan and the time; they are counted apart
    "loraadapter": frozenset({"training_stats"}),
    # a file's name is the digest of its content, which holds chunk ids; how far upkeep has looked is a
    # hint that it leaves whenever it comes by, also beside a plan
    "vectorindex": frozenset({"file_key", "file_sha256", "covered_seq"}),
    # sealed with a fresh key each time
    "backup": frozenset({"artifact_key", "sha256", "wrapped_key", "file_size", "verified_at"}),
    # the switch's note holds keys and versions of rows; the preview holds the disk's free bytes
    "plan": frozenset({"preview", "switched", "retention_until"}),
    # leases, fences, attempts and what the last attempt said
    "step": frozenset(
        {
            "ready_at", "published_at", "publish_count", "fence", "owner", "lease_until",
            "attempts", "failures", "detail", "result", "error",
        }
    ),
    "embedrange": frozenset(
        {"first_id", "last_id", "fence", "owner", "lease_until", "embedded", "failed"}
    ),
    "document": frozenset(),
    "passagewords": frozenset({"chunk"}),
}  # fmt: skip
_KEYS = re.compile(r"'#[bd]\d+'")
LEFT_OUT = frozenset(
    {
        "embedding",
        "auditentry",
        "collectionrun",
        "planevent",
        "host",
        "hostevent",
        "hostsample",
        "idempotencykey",
        "notice",
        "outgoingmail",
        "speedsample",
    }
)
"""Compared in other ways: vectors by cosine, events by counting; a host's rows are its heartbeat's, and its speeds a clock's."""


def final_state() -> dict[str, list[str]]:
    """Return every row of SAM's tables as text, keys replaced by natural ones, in sorted order."""
    state = {}
    for label in ("engines", "migrations_app"):
        for model in apps.get_app_config(label).get_models():
            name = model._meta.model_name or ""
            if name not in LEFT_OUT:
                state[name] = sorted(_row(row) for row in model._default_manager.all())
    return state


def _row(row: models.Model) -> str:
    name = row._meta.model_name or ""
    skipped = NOT_COMPARED["*"] | NOT_COMPARED.get(name, frozenset())
    values = {
        field.name: _value(row, field)
        for field in row._meta.concrete_fields
        if field.name not in skipped
    }
    return repr(values)


def _value(row: models.Model, field: models.Field[Any, Any]) -> Any:
    if field.is_relation:
        return _natural(getattr(row, field.name))
    value = getattr(row, field.attname)
    if isinstance(row, PassageWords) and field.name == "words":
        # The words that name its base and its document are keys.
        return _KEYS.sub("", value)
    return bytes(value).hex() if isinstance(value, memoryview | bytes) else value


def _natural(row: models.Model | None) -> str | None:
    if row is None:
        return None
    name = row._meta.model_name
    if name == "plan":
        return str(getattr(row, "kind"))  # noqa: B009 - any model
    if name in ("vectorindex", "step", "fingerprint"):
        parts = [_natural(getattr(row, part, None)) for part in ("base", "fingerprint", "revision")]
        return f"{name}:{parts}:{getattr(row, 'kind', '')}"
    return str(row)


def content_digest() -> str:
    """Digest over (base, document, position, content hash, space) of what is live."""
    lines = []
    for base in KnowledgeBase.objects.order_by("name").select_related("live_index__fingerprint"):
        space = base.live_index.fingerprint.digest if base.live_index else ""
        for chunk in Chunk.objects.filter(base=base, deleted_seq__isnull=True).select_related(
            "document"
        ):
            title = chunk.document.title if chunk.document else ""
            lines.append(
                f"{base.name}|{title}|{chunk.position}|{bytes(chunk.content_hash).hex()}|{space}"
            )
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def all_vectors() -> dict[tuple[str, str], NDArray[np.float32]]:
    """Return every stored vector by (space, content hash)."""
    rows = Embedding.objects.filter(vector__isnull=False).select_related("fingerprint")
    return {
        (row.fingerprint.digest, bytes(row.content_hash).hex()): np.frombuffer(
            bytes(row.vector or b""), dtype=np.float16
        ).astype(np.float32)
        for row in rows
    }


def smallest_cosine(
    left: dict[tuple[str, str], NDArray[np.float32]],
    right: dict[tuple[str, str], NDArray[np.float32]],
) -> float:
    """Return the worst agreement of two runs' vectors; both must have the same keys."""
    assert left.keys() == right.keys()
    return min(
        float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
        for a, b in ((left[key], right[key]) for key in left)
    )


def terminal_events(plan: Plan) -> Counter[str]:
    """Count the events that ended each step."""
    finals = [str(status) for status in STEP_FINAL]
    events = PlanEvent.objects.filter(plan=plan, step__isnull=False, to_status__in=finals)
    return Counter(events.values_list("step__kind", flat=True))
