from __future__ import annotations

import hashlib
import io
import os
import stat
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.archive import (
    ArchiveLimits,
    ArchiveReader,
    ArchiveWriter,
    MasterKeyRing,
    WrappedKey,
    rewrap,
    verify_archive,
)
from engines.archive.header import HEADER_BYTES, IDENTITY_BYTES
from engines.archive.keys import unwrap_key
from engines.archive.sealed_stream import CHUNK_BYTES
from engines.exceptions import ArchiveError, UnsafeNameError
from tests.archive.conftest import SECRET, Sealed, read_contents

OF_FORMAT_1 = Path(__file__).parent.parent / "backups" / "data"
MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}(/[a-z0-9]{1,9}){0,3}", fullmatch=True)


@MANY
@given(
    contents=st.dictionaries(NAMES, st.binary(max_size=3000), max_size=12).filter(
        lambda found: len({name.casefold() for name in found}) == len(found)
    )
)
def test_any_members_come_back_as_they_went_in(
    tmp_path: Path, ring: MasterKeyRing, contents: dict[str, bytes]
) -> None:
    path = tmp_path / "any.sam"
    with ArchiveWriter(path, ring.current) as writer:
        for name, data in contents.items():
            writer.add_bytes(name, data)
    sealed = Sealed(path, writer.close(), contents)

    assert list(read_contents(sealed, ring).items()) == list(contents.items())
    assert verify_archive(path, sealed.summary.wrapped_key, ring) == sealed.summary


@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("chunks", [1, 2])
def test_contents_that_end_at_a_chunk_border_come_back(
    tmp_path: Path, ring: MasterKeyRing, chunks: int, offset: int
) -> None:
    around = 1 + 10 + 1 + 32 + 1 + 44
    data = os.urandom(chunks * CHUNK_BYTES - around + offset)
    path = tmp_path / "border.sam"
    with ArchiveWriter(path, ring.current) as writer:
        writer.add_bytes("x", data)
    summary = writer.close()

    assert summary.size == HEADER_BYTES + (
        chunks if offset < 1 else chunks + 1
    ) * 16 + around + len(data)
    assert read_contents(Sealed(path, summary, {}), ring) == {"x": data}


def test_the_summary_says_what_the_file_is(seal: Callable[..., Sealed]) -> None:
    sealed = seal()
    raw = sealed.path.read_bytes()

    assert sealed.summary.sha256 == hashlib.sha256(raw).hexdigest()
    assert sealed.summary.size == len(raw)
    assert sealed.summary.members == 2
    assert sealed.summary.content_bytes == sum(map(len, sealed.contents.values()))
    assert stat.S_IMODE(sealed.path.stat().st_mode) == 0o400


def test_a_file_and_json_are_members_too(tmp_path: Path, ring: MasterKeyRing) -> None:
    adapter = tmp_path / "adapter.gguf"
    adapter.write_bytes(b"adapter" * 400_000)
    path = tmp_path / "b.sam"
    with ArchiveWriter(path, ring.current) as writer:
        writer.add_json("manifest.json", {"b": "é", "a": [1]})
        writer.add_file("adapters/a.gguf", adapter)
    sealed = Sealed(path, writer.close(), {})

    assert read_contents(sealed, ring) == {
        "manifest.json": '{"a":[1],"b":"é"}'.encode(),
        "adapters/a.gguf": adapter.read_bytes(),
    }


def test_an_archive_goes_into_an_open_file_as_well(tmp_path: Path, ring: MasterKeyRing) -> None:
    buffer = io.BytesIO()
    with ArchiveWriter(buffer, ring.current) as writer:
        writer.add_bytes("one", b"1")
    path = tmp_path / "copied.sam"
    path.write_bytes(buffer.getvalue())

    assert read_contents(Sealed(path, writer.close(), {}), ring) == {"one": b"1"}


def test_neither_contents_nor_names_nor_the_open_key_are_in_the_file(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal(contents={"a-telling-name": b"a telling text" * 50})
    raw = sealed.path.read_bytes()

    assert b"telling" not in raw
    assert unwrap_key(ring, sealed.summary.wrapped_key, raw[:IDENTITY_BYTES]) not in raw


def test_an_archive_opens_with_the_backup_key_alone(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal()

    assert verify_archive(sealed.path, None, ring) == sealed.summary


def test_an_archive_wrapped_anew_opens_with_the_new_key_alone(
    seal: Callable[..., Sealed], ring: MasterKeyRing, tmp_path: Path
) -> None:
    sealed = seal()
    new = "a new secret of a test, long enough to be one"
    both, only_new = MasterKeyRing.from_secret(f"{new}\n{SECRET}"), MasterKeyRing.from_secret(new)
    moved = tmp_path / "moved.sam"

    with sealed.path.open("rb") as source, moved.open("wb") as target:
        wrapped = rewrap(source, target, sealed.summary.wrapped_key, both)

    assert verify_archive(moved, wrapped, only_new).members == sealed.summary.members
    for lacks_key, path in ((ring, moved), (only_new, sealed.path)):
        with pytest.raises(ArchiveError, match="not among the configured"):
            verify_archive(path, None, lacks_key)
    assert read_contents(Sealed(moved, replace(sealed.summary, wrapped_key=wrapped), {}), both) == (
        sealed.contents
    )


def test_an_archive_of_the_first_kind_opens_with_its_record_as_before(tmp_path: Path) -> None:
    old, new = "5a" * 32, "a5" * 32
    key = WrappedKey.from_text((OF_FORMAT_1 / "format-1.key").read_text().strip())
    path = OF_FORMAT_1 / "format-1.sealed"

    assert verify_archive(path, key, MasterKeyRing.from_secret(old)).members > 10
    with pytest.raises(ArchiveError, match="of an older kind"):
        verify_archive(path, None, MasterKeyRing.from_secret(old))

    moved = tmp_path / "moved.sealed"
    with path.open("rb") as source, moved.open("wb") as target:
        wrapped = rewrap(source, target, key, MasterKeyRing.from_secret(f"{new}\n{old}"))
    assert moved.read_bytes() == path.read_bytes()
    assert verify_archive(moved, wrapped, MasterKeyRing.from_secret(new)).members > 10


def test_equal_contents_give_different_files(seal: Callable[..., Sealed]) -> None:
    first, second = seal("1.sam", {"a": b"same"}), seal("2.sam", {"a": b"same"})

    assert first.path.read_bytes()[HEADER_BYTES:] != second.path.read_bytes()[HEADER_BYTES:]


def test_a_wrapped_key_survives_as_text(seal: Callable[..., Sealed], ring: MasterKeyRing) -> None:
    sealed = seal()
    again = WrappedKey.from_text(sealed.summary.wrapped_key.to_text())

    assert again == sealed.summary.wrapped_key
    assert verify_archive(sealed.path, again, ring) == sealed.summary


def test_writing_and_reading_hold_a_few_chunks_however_large_the_member(
    tmp_path: Path, ring: MasterKeyRing
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    with ArchiveWriter(tmp_path / "b.sam", ring.current) as writer:
        writer.add_file("large", large)
    verify_archive(tmp_path / "b.sam", writer.close().wrapped_key, ring)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 12 * CHUNK_BYTES


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "a\\b", "a\0b", ".hidden",
     "-rf", "a/-rf", "é", "a b", "a:b", "a\n", "x" * 256],
)  # fmt: skip
def test_an_unsafe_name_is_refused_and_the_archive_goes_on(
    tmp_path: Path, ring: MasterKeyRing, name: str
) -> None:
    path = tmp_path / "b.sam"
    with ArchiveWriter(path, ring.current) as writer:
        with pytest.raises(UnsafeNameError, match="not a safe name"):
            writer.add_bytes(name, b"x")
        writer.add_bytes("good", b"y")

    assert read_contents(Sealed(path, writer.close(), {}), ring) == {"good": b"y"}


@pytest.mark.parametrize("second", ["name", "NAME"])
def test_a_name_twice_also_by_case_is_refused(
    tmp_path: Path, ring: MasterKeyRing, second: str
) -> None:
    with ArchiveWriter(tmp_path / "b.sam", ring.current) as writer:
        writer.add_bytes("name", b"1")
        with pytest.raises(ArchiveError, match="twice"):
            writer.add_bytes(second, b"2")

    assert writer.close().members == 1


def test_too_many_or_too_large_members_are_refused_on_both_sides(
    tmp_path: Path, ring: MasterKeyRing
) -> None:
    path = tmp_path / "b.sam"
    with ArchiveWriter(path, ring.current, limits=ArchiveLimits(2, 10)) as writer:
        writer.add_bytes("a", b"12345")
        with pytest.raises(ArchiveError, match="exceeds 10 bytes"):
            writer.add_bytes("b", b"123456")
        writer.add_bytes("b", b"12345")
        with pytest.raises(ArchiveError, match="more than 2 members"):
            writer.add_bytes("c", b"")
    key = writer.close().wrapped_key

    with pytest.raises(ArchiveError, match="more than 1 members"):
        verify_archive(path, key, ring, limits=ArchiveLimits(members=1))
    with pytest.raises(ArchiveError, match="exceeds 9 bytes"):
        verify_archive(path, key, ring, limits=ArchiveLimits(total_bytes=9))


def test_a_member_larger_than_allowed_in_memory_is_read_in_pieces_only(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal(contents={"big": b"x" * 5000})
    with ArchiveReader(sealed.path, sealed.summary.wrapped_key, ring) as reader:
        member = next(reader.members())
        with pytest.raises(ArchiveError, match="5000 bytes"):
            member.read_all(4999)

        assert b"".join(iter(lambda: member.read(999), b"")) == sealed.contents["big"]


def test_an_error_while_writing_leaves_no_file(tmp_path: Path, ring: MasterKeyRing) -> None:
    path = tmp_path / "b.sam"

    def write_and_break() -> None:
        with ArchiveWriter(path, ring.current) as writer:
            writer.add_bytes("a", b"1")
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        write_and_break()

    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_linked_file_is_refused_and_the_archive_goes_on(
    tmp_path: Path, ring: MasterKeyRing
) -> None:
    (tmp_path / "real").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with ArchiveWriter(tmp_path / "b.sam", ring.current) as writer:
        for name in ("absent", "link"):
            with pytest.raises(ArchiveError, match="cannot be backed up"):
                writer.add_file(name, tmp_path / name)
        with pytest.raises(ArchiveError, match="not a plain file"):
            writer.add_file("folder", tmp_path)
        writer.add_file("real", tmp_path / "real")

    assert writer.close().members == 1


def test_a_file_that_changes_its_size_meanwhile_spoils_the_archive(
    tmp_path: Path, ring: MasterKeyRing
) -> None:
    proc = Path("/proc/self/status")

    def write() -> None:
        with ArchiveWriter(tmp_path / "b.sam", ring.current) as writer:
            with pytest.raises(ArchiveError, match="changed its size"):
                writer.add_file("status", proc)
            writer.add_bytes("more", b"")

    with pytest.raises(ArchiveError, match="begin a new one"):
        write()

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_added_to_a_closed_archive(seal: Callable[..., Sealed], tmp_path: Path) -> None:
    ring = MasterKeyRing.from_secret("x" * 32)
    writer = ArchiveWriter(tmp_path / "c.sam", ring.current)
    summary = writer.close()

    with pytest.raises(ArchiveError, match="closed"):
        writer.add_bytes("late", b"")

    assert writer.close() == summary
    assert verify_archive(tmp_path / "c.sam", summary.wrapped_key, ring) == summary
