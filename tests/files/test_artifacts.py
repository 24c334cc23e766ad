from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from engines.exceptions import ArtifactMissingError, InvalidRequestError, UnsafeNameError
from engines.files.artifacts import Artifact, ArtifactStore

DATA = b"an index file" * 300_000
SHA = hashlib.sha256(DATA).hexdigest()
KEY = f"index/{SHA[:2]}/{SHA}"


@pytest.fixture(params=["local", "remote"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder with a space in its name; and a filesystem that has no local paths."""
    if request.param == "local":
        return f"file://{tmp_path}/the store"
    return f"memory://{uuid4().hex}"


@pytest.fixture
def store(url: str) -> ArtifactStore:
    return ArtifactStore(url)


@pytest.fixture
def files(url: str) -> Callable[[], list[str]]:
    """Names of all files in the store, relative to it."""
    filesystem, root = fsspec.core.url_to_fs(url)
    return lambda: sorted(path.removeprefix(f"{root}/") for path in filesystem.find(root))


@pytest.fixture
def damage(url: str) -> Callable[[], None]:
    """Change the stored bytes behind the store's back."""
    filesystem, root = fsspec.core.url_to_fs(url)

    def change() -> None:
        filesystem.rm_file(f"{root}/{KEY}")
        filesystem.pipe_file(f"{root}/{KEY}", b"damaged")

    return change


def _source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def test_a_file_is_kept_under_its_digest(
    store: ArtifactStore, tmp_path: Path, files: Callable[[], list[str]]
) -> None:
    artifact = store.put_file(_source(tmp_path), kind="index")

    assert artifact == Artifact(KEY, SHA, len(DATA))
    assert files() == [KEY]
    assert store.exists(KEY)
    assert store.verify(KEY) == artifact
    with store.open(KEY) as file:
        assert file.read() == DATA


def test_bytes_are_kept_as_the_same_artifact_as_a_file(
    store: ArtifactStore, tmp_path: Path, files: Callable[[], list[str]]
) -> None:
    assert store.put_bytes(DATA, kind="index") == store.put_file(_source(tmp_path), kind="index")
    assert files() == [KEY]


def test_empty_bytes_are_an_artifact(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"", kind="adapter")

    assert store.verify(artifact.key) == artifact
    assert artifact.size == 0


def test_many_writers_of_one_content_leave_one_sound_file(
    store: ArtifactStore, files: Callable[[], list[str]]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: store.put_bytes(DATA, kind="index"), range(16)))

    assert set(stored) == {Artifact(KEY, SHA, len(DATA))}
    assert files() == [KEY]
    assert store.verify(KEY).size == len(DATA)


def test_a_damaged_artifact_is_noticed_and_storing_it_again_repairs_it(
    store: ArtifactStore, damage: Callable[[], None]
) -> None:
    store.put_bytes(DATA, kind="index")
    damage()
    with pytest.raises(ArtifactMissingError, match="damaged in the store"):
        store.verify(KEY)

    store.put_bytes(DATA, kind="index")

    assert store.verify(KEY).size == len(DATA)


def test_a_deleted_artifact_is_gone_and_deleting_again_is_harmless(
    store: ArtifactStore, files: Callable[[], list[str]]
) -> None:
    store.put_bytes(DATA, kind="index")
    store.delete(KEY)
    store.delete(KEY)

    assert files() == []
    assert not store.exists(KEY)


def test_a_missing_artifact_is_an_error_that_names_it(store: ArtifactStore, tmp_path: Path) -> None:
    for ask in (store.open, store.verify, lambda key: store.local_path(key, tmp_path / "cache")):
        with pytest.raises(ArtifactMissingError, match=SHA):
            ask(KEY)

    assert not (tmp_path / "cache" / KEY).exists()


@pytest.mark.parametrize(
    "key",
    ["", "x", "../../etc/passwd", f"index/../{SHA}", f"/index/{SHA[:2]}/{SHA}", f"{KEY}/..",
     f"{KEY}\n", f"index/00/{SHA}", f"INDEX/{SHA[:2]}/{SHA}", KEY.upper(), f"incoming/{SHA}",
     f"../{SHA[:2]}/{SHA}", f"{KEY}\0"],
)  # fmt: skip
def test_an_unsafe_key_is_refused_by_every_method(
    store: ArtifactStore, tmp_path: Path, key: str, files: Callable[[], list[str]]
) -> None:
    store.put_bytes(DATA, kind="index")
    for ask in (
        store.open,
        store.verify,
        store.exists,
        store.delete,
        lambda unsafe: store.local_path(unsafe, tmp_path / "cache"),
    ):
        with pytest.raises(UnsafeNameError, match="not the key of an artifact"):
            ask(key)

    assert files() == [KEY]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kind", ["", "..", "a/b", "Index", "-x", "x" * 33, "incoming/x", "a b"])
def test_an_unsafe_kind_is_refused(
    store: ArtifactStore, kind: str, files: Callable[[], list[str]]
) -> None:
    with pytest.raises(UnsafeNameError, match="not a kind of artifact"):
        store.put_bytes(DATA, kind=kind)

    assert files() == []


def test_a_link_a_folder_and_a_missing_file_are_not_stored(
    store: ArtifactStore, tmp_path: Path, files: Callable[[], list[str]]
) -> None:
    (tmp_path / "link").symlink_to(_source(tmp_path))
    for path in (tmp_path / "link", tmp_path, tmp_path / "absent"):
        with pytest.raises(ArtifactMissingError, match="cannot be stored"):
            store.put_file(path, kind="index")

    assert files() == []


def test_a_local_file_with_the_content_is_given_from_either_store(
    store: ArtifactStore, tmp_path: Path
) -> None:
    store.put_bytes(DATA, kind="index")
    path = store.local_path(KEY, tmp_path / "cache")

    assert path.read_bytes() == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert store.local_path(KEY, tmp_path / "cache") == path


def test_what_interrupted_writers_left_is_removed_by_age(
    store: ArtifactStore, url: str, files: Callable[[], list[str]]
) -> None:
    filesystem, root = fsspec.core.url_to_fs(url)
    assert store.remove_leftovers(datetime.now(UTC)) == 0
    store.put_bytes(DATA, kind="index")
    filesystem.pipe_file(f"{root}/.incoming/left", b"half")

    assert store.remove_leftovers(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert files() == [".incoming/left", KEY]
    assert store.remove_leftovers(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert files() == [KEY]


def test_the_local_store_gives_its_own_read_only_file(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    store.put_bytes(DATA, kind="index")

    assert store.local_path(KEY, tmp_path / "cache") == tmp_path / "store" / KEY
    assert stat.S_IMODE((tmp_path / "store" / KEY).stat().st_mode) == 0o400
    assert not (tmp_path / "cache").exists()


def test_a_damaged_copy_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{uuid4().hex}")
    store.put_bytes(DATA, kind="index")
    cached = store.local_path(KEY, tmp_path)
    cached.unlink()
    cached.write_bytes(b"damaged")

    assert store.local_path(KEY, tmp_path).read_bytes() == DATA


def test_a_remote_file_that_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    name = uuid4().hex
    store = ArtifactStore(f"memory://{name}")
    fsspec.filesystem("memory").pipe_file(f"/{name}/{KEY}", b"damaged")

    with pytest.raises(ArtifactMissingError, match="nothing was kept"):
        store.local_path(KEY, tmp_path)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_unknown_kind_of_store_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InvalidRequestError, match="name a folder, or install"):
        ArtifactStore("nosuchthing://bucket")
