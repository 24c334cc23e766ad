from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir

from engines.exceptions import (
    SharingError,
    UnsafeNameError,
)
from engines.sharing.huggingface import find_in_cache, share_with_cache
from engines.sharing.links import disk_bytes, file_use, remove_name
from engines.sharing.places import SharedPlaces
from tests.sharing.support import COMMIT, CONTENT, DATA, SHA256, inodes, remote, tree


def test_hugging_face_reads_what_was_shared_with_its_cache(
    file: Path, places: SharedPlaces
) -> None:
    pointer = share_with_cache(file, places.hf_cache, remote())

    (repo,) = scan_cache_dir(places.hf_cache).repos
    (revision,) = repo.revisions
    (cached,) = revision.files
    assert not scan_cache_dir(places.hf_cache).warnings
    assert (repo.repo_id, repo.repo_type, repo.nb_files) == ("sam/tiny", "model", 1)
    assert (revision.commit_hash, revision.refs) == (COMMIT, frozenset({"main"}))
    assert (cached.file_path, cached.size_on_disk) == (pointer, len(DATA))
    found = hf_hub_download(
        "sam/tiny", "gguf/tiny.gguf", cache_dir=places.hf_cache, local_files_only=True
    )
    assert inodes(file, Path(found)) == {file.stat().st_ino}
    assert disk_bytes([file, Path(found)]) == disk_bytes([file])


def test_hugging_faces_own_deletion_and_ours_leave_each_other_alone(
    file: Path, places: SharedPlaces
) -> None:
    share_with_cache(file, places.hf_cache, remote())

    scan_cache_dir(places.hf_cache).delete_revisions(COMMIT).execute()

    assert scan_cache_dir(places.hf_cache).repos == frozenset()
    assert (file.read_bytes(), file_use(file).names) == (DATA, 1)

    share_with_cache(file, places.hf_cache, remote())
    assert remove_name(file) == 0
    found = hf_hub_download(
        "sam/tiny", "gguf/tiny.gguf", cache_dir=places.hf_cache, local_files_only=True
    )
    assert Path(found).read_bytes() == DATA
    assert not scan_cache_dir(places.hf_cache).warnings


def _hf_cache(cache: Path, *arguments: str) -> str:
    """What Hugging Face's own command says, without a network."""
    command = [str(Path(sys.executable).with_name("hf")), "cache", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HOME": str(cache.parent)}
    done = subprocess.run(
        [*command, "--cache-dir", str(cache)],
        capture_output=True,
        check=True,
        env=environment,
        text=True,
    )
    return done.stdout


def test_the_hf_command_lists_and_removes_what_was_shared(file: Path, places: SharedPlaces) -> None:
    share_with_cache(file, places.hf_cache, remote())

    (listed,) = json.loads(_hf_cache(places.hf_cache, "ls", "--json"))
    _hf_cache(places.hf_cache, "rm", "model/sam/tiny", "--yes")

    assert listed["repo_id"] == "sam/tiny"
    assert json.loads(_hf_cache(places.hf_cache, "ls", "--json")) == []
    assert (file.read_bytes(), file_use(file).names) == (DATA, 1)


def test_sharing_again_or_another_commit_adds_a_pointer_and_no_bytes(
    file: Path, places: SharedPlaces
) -> None:
    share_with_cache(file, places.hf_cache, remote())
    share_with_cache(file, places.hf_cache, remote())
    share_with_cache(file, places.hf_cache, remote(commit="d" * 40))

    (repo,) = scan_cache_dir(places.hf_cache).repos
    assert {revision.commit_hash: set(revision.refs) for revision in repo.revisions} == {
        COMMIT: {"main"},
        "d" * 40: set(),
    }
    assert file_use(file).names == 2


def test_what_the_cache_has_already_becomes_the_one_copy(file: Path, places: SharedPlaces) -> None:
    blob = places.hf_cache / "models--sam--tiny" / "blobs" / SHA256
    blob.parent.mkdir(parents=True)
    blob.write_bytes(DATA)
    own = blob.stat().st_ino

    share_with_cache(file, places.hf_cache, remote())

    assert inodes(file, blob) == {own}


def test_a_pointer_that_leads_elsewhere_is_left_alone(file: Path, places: SharedPlaces) -> None:
    folder = places.hf_cache / "models--sam--tiny"
    pointer = folder / "snapshots" / COMMIT / "gguf" / "tiny.gguf"
    pointer.parent.mkdir(parents=True)
    pointer.write_bytes(b"another file")
    before = tree(places.hf_cache)

    with pytest.raises(SharingError, match=r"has another file as tiny\.gguf"):
        share_with_cache(file, places.hf_cache, remote())

    assert tree(places.hf_cache) == before
    assert file_use(file).names == 1


@pytest.mark.parametrize("repo", ["../sam", "a--b/c", "a/b/c", "/sam", "", "a/..", "ä/b"])
def test_a_repository_that_leads_out_of_the_cache_is_refused(
    file: Path, places: SharedPlaces, repo: str
) -> None:
    with pytest.raises(SharingError, match="not the name of a repository"):
        share_with_cache(file, places.hf_cache, remote(repo=repo))

    assert not places.hf_cache.exists()


def test_a_branch_that_leads_out_of_the_cache_is_refused(file: Path, places: SharedPlaces) -> None:
    with pytest.raises(UnsafeNameError):
        share_with_cache(file, places.hf_cache, remote(), branch="../../main")

    assert not (places.hf_cache / "models--sam--tiny" / "refs").exists()


def test_blobs_that_the_caches_repositories_share_are_found_and_others_are_not(
    file: Path, places: SharedPlaces, tmp_path: Path
) -> None:
    stored = places.hf_cache / "blobs" / "ab" / "payload"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(DATA)
    for name, leads_to in (("one", stored), ("two", stored), ("three", file)):
        blobs = places.hf_cache / f"models--sam--{name}" / "blobs"
        blobs.mkdir(parents=True)
        (blobs / SHA256).symlink_to(leads_to)
    short = places.hf_cache / "models--sam--four" / "blobs" / SHA256
    short.parent.mkdir(parents=True)
    short.write_bytes(DATA[:-1])

    assert find_in_cache(places.hf_cache, CONTENT) == [stored]
