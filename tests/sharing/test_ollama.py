from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engines.sharing.ollama import find_in_store, models_using, share_with_store
from engines.sharing.places import SharedPlaces
from tests.sharing.support import CONTENT, DATA, SHA256, inodes


def test_ollama_has_a_blob_of_the_digest(file: Path, places: SharedPlaces) -> None:
    blob = share_with_store(file, places.ollama_models, CONTENT)

    assert blob == places.ollama_models / "blobs" / f"sha256-{SHA256}"
    assert inodes(file, blob) == {file.stat().st_ino}
    assert find_in_store(places.ollama_models, CONTENT) == [blob]
    blob.unlink()
    assert file.read_bytes() == DATA


def test_manifests_tell_which_of_ollamas_models_use_a_digest(places: SharedPlaces) -> None:
    library = places.ollama_models / "manifests" / "registry.ollama.ai" / "library"
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{SHA256}"}
    documents: dict[str, Any] = {
        "tiny/latest": {"layers": [layer]},
        "tiny/old": {"layers": [{"digest": "sha256:00"}]},
        "odd/list": [layer],
        "odd/layers": {"layers": {"digest": layer}},
        "odd/deep": None,
    }
    for name, document in documents.items():
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    (library / "odd" / "deep").write_text("[" * 100_000)
    (library / "odd" / "binary").write_bytes(b"\xff\xfe")
    (library / "odd" / "large").write_bytes(b" " * (1024 * 1024 + 1))

    assert models_using(places.ollama_models, SHA256) == ["registry.ollama.ai/library/tiny:latest"]
    assert models_using(places.ollama_models / "none", SHA256) == []
