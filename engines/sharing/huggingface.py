"""Hugging Face's cache, as huggingface_hub lays it out and its ``hf cache`` commands read it.

``models--<owner>--<name>/blobs/<sha256>``, a link to it in ``snapshots/<commit>/<file>``, and
``refs/<branch>`` with the commit.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from engines.exceptions import SharingError
from engines.files.durable import durable_file
from engines.files.names import check_name, safe_join
from engines.sharing.links import share_file
from engines.transfer.remote_file import RemoteFile
from engines.transfer.verify import Content

READABLE = 0o644
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def find_in_cache(cache: Path, content: Content) -> list[Path]:
    """Files of the cache that are named by this digest and have this size; nothing is read."""
    root = cache.resolve()
    blobs = (folder / "blobs" / content.sha256 for folder in sorted(root.glob("models--*")))
    # A blob may be a link into the store that the cache's repositories share.
    found = [blob.resolve() for blob in blobs]
    return [
        path
        for path in dict.fromkeys(found)
        if path.is_relative_to(root) and path.is_file() and path.stat().st_size == content.size
    ]


def share_with_cache(file: Path, cache: Path, remote: RemoteFile, *, branch: str = "main") -> Path:
    """Let huggingface_hub find ``file`` as ``remote`` in its cache; returns the name it got there.

    What the cache has already stays its own, and ``file`` becomes a name of that. Raises
    SharingError (also where another file is in the way), DigestMismatchError, UnsafeNameError.
    """
    folder = _repository_folder(cache, remote.repo)
    content = Content(remote.sha256 or "", remote.size)
    blob = folder / "blobs" / content.sha256
    pointer = _pointer(folder / "snapshots" / remote.commit, remote.filename)
    # Refused before anything is linked: a half-done share would confuse the cache.
    _require_free(pointer, blob)
    present = blob.resolve()
    if present.is_file() and present.is_relative_to(cache.resolve()):
        share_file(present, file, content)
    else:
        share_file(file, blob, content)
    # Relative, as huggingface_hub writes it: the cache may be moved or mounted elsewhere.
    if not pointer.is_symlink():
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    _name_branch(folder, branch, remote.commit)
    return pointer


def _repository_folder(cache: Path, repository: str) -> Path:
    if not _REPOSITORY.fullmatch(repository) or "--" in repository or ".." in repository:
        raise SharingError(
            f"{repository[:100]!a} is not the name of a repository; write owner/name."
        )
    return cache / f"models--{repository.replace('/', '--')}"


def _pointer(snapshot: Path, name: str) -> Path:
    """Return the pointer's path; it is a link itself, so only its folder must be inside."""
    check_name(name)
    parent, _, last = name.rpartition("/")
    return (safe_join(snapshot, parent) if parent else snapshot) / last


def _require_free(pointer: Path, blob: Path) -> None:
    """Refuse to touch a pointer of the cache that leads elsewhere."""
    if os.path.lexists(pointer) and pointer.resolve() != blob.resolve():
        raise SharingError(
            f"The cache has another file as {pointer.name} of this commit; remove it with "
            "`hf cache rm` first."
        )


def _name_branch(folder: Path, branch: str, commit: str) -> None:
    """Name the commit, unless the cache knows the branch: it may be ahead of what is pinned here."""
    if branch == commit:
        return
    name = safe_join(folder / "refs", branch)
    if not name.exists():
        with durable_file(name, mode=READABLE) as file:
            file.write(commit.encode())
