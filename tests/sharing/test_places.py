from __future__ import annotations

from pathlib import Path

import pytest

from engines.exceptions import (
    TransientTransferError,
)
from engines.sharing.huggingface import find_in_cache
from engines.sharing.links import file_use
from engines.sharing.ollama import blob_path, share_with_store
from engines.sharing.places import SharedPlaces
from engines.transfer.part import claim_part
from engines.transfer.remote_file import Progress
from tests.sharing.support import CONTENT, DATA, SHA256, inodes, remote


def ignored(_progress: Progress) -> None:
    return


def never() -> bool:
    return False


def adopt(places: SharedPlaces, target: Path) -> Path | None:
    return places.adopt(target, CONTENT, progress=ignored, cancelled=never)


@pytest.mark.parametrize("owner", ["hugging face", "ollama"])
def test_weights_that_another_program_has_are_adopted(
    places: SharedPlaces, tmp_path: Path, owner: str
) -> None:
    blobs = {
        "hugging face": places.hf_cache / "models--a--b" / "blobs" / SHA256,
        "ollama": blob_path(places.ollama_models, SHA256),
    }
    blobs[owner].parent.mkdir(parents=True)
    blobs[owner].write_bytes(DATA)
    target = tmp_path / "models" / SHA256 / "tiny.gguf"
    part = target.parent / ".parts" / f"{SHA256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:1000])

    assert adopt(places, target) == blobs[owner]

    assert inodes(target, blobs[owner]) == {blobs[owner].stat().st_ino}
    assert not part.exists()


def test_a_damaged_one_is_passed_over_for_the_next(places: SharedPlaces, tmp_path: Path) -> None:
    damaged = places.hf_cache / "models--a--b" / "blobs" / SHA256
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(DATA[:-1] + b"x")
    target = tmp_path / "models" / "tiny.gguf"
    assert adopt(places, target) is None
    assert not target.exists()

    blob = blob_path(places.ollama_models, SHA256)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(DATA)

    assert adopt(places, target) == blob
    assert damaged.read_bytes() == DATA[:-1] + b"x"


def test_nothing_is_adopted_while_another_process_fetches_it(
    file: Path, places: SharedPlaces, tmp_path: Path
) -> None:
    share_with_store(file, places.ollama_models, CONTENT)
    target = tmp_path / "elsewhere" / "tiny.gguf"

    with (
        claim_part(target, SHA256, len(DATA)),
        pytest.raises(TransientTransferError, match="already downloading"),
    ):
        adopt(places, target)

    assert not target.exists()


def test_what_is_new_is_offered_to_the_programs_that_are_there(
    file: Path, places: SharedPlaces
) -> None:
    assert places.offer(file, remote(), branch="main") == []
    assert not places.hf_cache.exists()
    assert file_use(file).names == 1

    places.hf_cache.mkdir()
    places.ollama_models.mkdir()
    assert places.offer(file, remote(), branch="main") == []

    assert file_use(file).names == 3
    assert places.find(CONTENT) == [
        places.hf_cache / "models--sam--tiny" / "blobs" / SHA256,
        blob_path(places.ollama_models, SHA256),
    ]


def test_a_refusal_is_told_and_the_other_program_served(file: Path, places: SharedPlaces) -> None:
    places.hf_cache.mkdir()
    places.ollama_models.mkdir()
    (places.ollama_models / "blobs").write_bytes(b"no folder")

    (refusal,) = places.offer(file, remote(), branch="main")

    assert refusal.startswith(f"Not shared with {places.ollama_models}: ")
    assert find_in_cache(places.hf_cache, CONTENT) != []


def test_a_file_that_is_gone_is_not_offered(places: SharedPlaces, tmp_path: Path) -> None:
    places.ollama_models.mkdir()

    (refusal,) = places.offer(tmp_path / "gone", remote(), branch="main")

    assert "cannot be shared: No such file" in refusal
    assert list(places.ollama_models.iterdir()) == []
