"""Ollama's store: ``blobs/sha256-<digest>``, and manifests that say which model uses which blob.

A blob without a manifest is enough for ``ollama create`` to take it without a copy; Ollama removes
blobs that no manifest names when it starts, which takes its own name of the file only.
"""

from __future__ import annotations

import json
from pathlib import Path

from engines.sharing.links import share_file
from engines.transfer.verify import Content

MAX_MANIFEST_BYTES = 1024 * 1024
PARTS_OF_A_NAME = 4
"""``<registry>/<namespace>/<model>/<tag>``"""


def blob_path(store: Path, sha256: str) -> Path:
    """Return where Ollama keeps the blob of a digest."""
    return store / "blobs" / f"sha256-{sha256}"


def find_in_store(store: Path, content: Content) -> list[Path]:
    """Return the store's file of this digest if it has the size; nothing is read."""
    blob = blob_path(store, content.sha256)
    # A link could lead out of the store, to a file that its owner still changes.
    if blob.is_symlink() or not blob.is_file() or blob.stat().st_size != content.size:
        return []
    return [blob]


def share_with_store(file: Path, store: Path, content: Content) -> Path:
    """Give Ollama a name of ``file``, or make ``file`` a name of what it has; returns that name.

    Raises SharingError, DigestMismatchError.
    """
    blob = blob_path(store, content.sha256)
    if find_in_store(store, content):
        share_file(blob, file, content)
    else:
        share_file(file, blob, content)
    return blob


def models_using(store: Path, sha256: str) -> list[str]:
    """Names of Ollama's models that use a digest, ``model:tag`` with what precedes it, sorted.

    A manifest that cannot be read uses nothing.
    """
    manifests = store / "manifests"
    paths = manifests.glob("/".join("*" * PARTS_OF_A_NAME))
    names = [path.relative_to(manifests) for path in paths if _uses(path, f"sha256:{sha256}")]
    return sorted(f"{name.parent}:{name.name}" for name in names)


def _uses(path: Path, digest: str) -> bool:
    manifest = _manifest(path)
    layers = manifest.get("layers")
    entries = [manifest.get("config"), *(layers if isinstance(layers, list) else [])]
    return any(isinstance(entry, dict) and entry.get("digest") == digest for entry in entries)


def _manifest(path: Path) -> dict[str, object]:
    if not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
