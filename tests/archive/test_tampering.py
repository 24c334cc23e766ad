from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.archive import (
    ArchiveWriter,
    MasterKey,
    MasterKeyRing,
    WrappedKey,
    verify_archive,
)
from engines.archive.header import HEADER_BYTES
from engines.archive.layout import END, MEMBER, MEMBER_HEAD, TRAILER
from engines.archive.sealed_stream import CHUNK_BYTES, SealedWriter
from engines.exceptions import ArchiveError, SamError, UnsafeNameError
from tests.archive.conftest import Sealed

pytestmark = pytest.mark.attack

SEALED_CHUNK = CHUNK_BYTES + 16


def _chunks(raw: bytes) -> list[bytes]:
    body = raw[HEADER_BYTES:]
    return [body[at : at + SEALED_CHUNK] for at in range(0, len(body), SEALED_CHUNK)]


def _refusal(path: Path, raw: bytes, key: WrappedKey, ring: MasterKeyRing) -> str:
    changed = path.with_name("changed.sam")
    changed.write_bytes(raw)
    with pytest.raises(ArchiveError) as refused:
        verify_archive(changed, key, ring)
    return str(refused.value)


def test_a_flipped_bit_anywhere_is_noticed(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal(contents={"a": os.urandom(300), "b": b""})
    raw = sealed.path.read_bytes()

    for at in range(len(raw)):
        flipped = bytearray(raw)
        flipped[at] ^= 1 << (at % 8)
        assert _refusal(sealed.path, bytes(flipped), sealed.summary.wrapped_key, ring)


def test_a_flipped_bit_in_a_later_chunk_names_the_part(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal()
    raw = bytearray(sealed.path.read_bytes())
    raw[HEADER_BYTES + 2 * SEALED_CHUNK + 7] ^= 4

    assert "Part 3" in _refusal(sealed.path, bytes(raw), sealed.summary.wrapped_key, ring)


def test_an_archive_that_lost_its_end_at_a_chunk_border_is_truncated(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal()
    raw = sealed.path.read_bytes()

    for kept in range(1, 4):
        cut = raw[: HEADER_BYTES + kept * SEALED_CHUNK]
        said = _refusal(sealed.path, cut, sealed.summary.wrapped_key, ring)
        assert f"truncated: it ends after part {kept}" in said


def test_an_archive_cut_anywhere_is_refused(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal(contents={"a": b"x" * 200})
    raw = sealed.path.read_bytes()

    for length in range(len(raw)):
        assert _refusal(sealed.path, raw[:length], sealed.summary.wrapped_key, ring)


def test_swapped_doubled_dropped_and_appended_chunks_are_refused(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal()
    raw = sealed.path.read_bytes()
    one, two, three, last = _chunks(raw)
    head = raw[:HEADER_BYTES]

    for chunks in (
        [two, one, three, last],
        [one, one, two, three, last],
        [one, three, last],
        [two, three, last],
        [one, two, three, last, last],
        [last],
    ):
        changed = head + b"".join(chunks)
        assert "part" in _refusal(sealed.path, changed, sealed.summary.wrapped_key, ring).lower()
    assert _refusal(sealed.path, raw + b"\0", sealed.summary.wrapped_key, ring)


def test_a_chunk_of_another_archive_is_refused(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    first, second = seal("1.sam"), seal("2.sam")
    raw, other = first.path.read_bytes(), second.path.read_bytes()
    mixed = raw[: HEADER_BYTES + SEALED_CHUNK] + other[HEADER_BYTES + SEALED_CHUNK :]

    assert "Part 2" in _refusal(first.path, mixed, first.summary.wrapped_key, ring)


def test_a_key_of_another_archive_or_another_secret_does_not_open(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    first, second = seal("1.sam"), seal("2.sam")
    key = first.summary.wrapped_key
    impostor = MasterKeyRing([MasterKey(key.key_id, os.urandom(32))])
    stranger = MasterKeyRing.from_secret("another secret of a test, long enough too")

    with pytest.raises(ArchiveError, match="it is another backup"):
        verify_archive(first.path, second.summary.wrapped_key, ring)
    with pytest.raises(ArchiveError, match="does not open this backup"):
        verify_archive(first.path, key, impostor)
    with pytest.raises(ArchiveError, match=f"master key {key.key_id}, which is not among"):
        verify_archive(first.path, key, stranger)


def test_after_a_new_secret_the_older_one_still_opens_what_it_sealed(
    seal: Callable[..., Sealed], ring: MasterKeyRing
) -> None:
    sealed = seal()
    rotated = MasterKeyRing.from_secret(
        "a new secret of a test, long enough to be one\n\na secret of a test, long enough to be one\n"
    )

    assert rotated.current.key_id != ring.current.key_id
    assert verify_archive(sealed.path, sealed.summary.wrapped_key, rotated) == sealed.summary


@pytest.mark.parametrize("text", ["", "x", "0123456789abcdef.", "0123456789abcdef.AAAA", "é.é",
                                  "0123456789abcdef.!!!!", "ABC." + "A" * 80])  # fmt: skip
def test_a_text_that_is_no_wrapped_key_is_refused(text: str) -> None:
    with pytest.raises(ArchiveError, match="not the wrapped key"):
        WrappedKey.from_text(text)


def test_weak_or_missing_secrets_make_no_keys() -> None:
    with pytest.raises(ArchiveError, match="no backup master key"):
        MasterKeyRing.from_secret(" \n ")
    with pytest.raises(ArchiveError, match="has 5 characters"):
        MasterKeyRing.from_secret("short")
    with pytest.raises(ArchiveError, match="16 hex digits"):
        MasterKey("0123456789abcdef", b"too short")


def test_keys_are_not_shown() -> None:
    key = MasterKeyRing.from_secret("x" * 40).current

    assert repr(key) == f"MasterKey(key_id='{key.key_id}')"


@pytest.mark.parametrize(
    "raw", [b"", b"SAMBKP", b"PK\x03\x04" + b"\0" * 200, b"SAMBKP\x00\x03" + b"\0" * 99]
)
def test_a_file_of_another_kind_is_refused(
    seal: Callable[..., Sealed], ring: MasterKeyRing, raw: bytes
) -> None:
    sealed = seal()

    assert "not a SAM backup" in _refusal(sealed.path, raw, sealed.summary.wrapped_key, ring)


def test_a_missing_file_a_folder_and_a_link_are_refused(
    seal: Callable[..., Sealed], ring: MasterKeyRing, tmp_path: Path
) -> None:
    sealed = seal()
    link = tmp_path / "link.sam"
    link.symlink_to(sealed.path)

    for path in (tmp_path / "absent", tmp_path, link):
        with pytest.raises(ArchiveError, match="cannot be opened"):
            verify_archive(path, sealed.summary.wrapped_key, ring)


def _member(name: bytes, data: bytes, *, size: int | None = None, digest: bytes = b"") -> bytes:
    stated = len(data) if size is None else size
    sha = digest or hashlib.sha256(data).digest()
    return MEMBER + MEMBER_HEAD.pack(len(name), stated) + name + data + sha


def _listing(members: list[tuple[bytes, bytes]]) -> bytes:
    whole = hashlib.sha256()
    for name, data in members:
        whole.update(hashlib.sha256(name).digest() + hashlib.sha256(data).digest())
    total = sum(len(data) for _, data in members)
    return END + TRAILER.pack(len(members), total, whole.digest())


GOOD = [(b"a", b"1"), (b"b", b"22")]
BODY = b"".join(_member(*pair) for pair in GOOD)


def _verify_plain(tmp_path: Path, ring: MasterKeyRing, plain: bytes) -> int:
    """Seal bytes that an honest writer would not, under the right key, and read them."""
    path = tmp_path / "forged.sam"
    with path.open("wb") as file:
        sealed = SealedWriter(file, ring.current)
        sealed.write(plain)
        sealed.finish()
    return verify_archive(path, sealed.wrapped_key, ring).members


def test_the_hand_made_archive_itself_is_sound(tmp_path: Path, ring: MasterKeyRing) -> None:
    assert _verify_plain(tmp_path, ring, BODY + _listing(GOOD)) == 2


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (b"", "ends before its list"),
        (BODY, "ends before its list"),
        (BODY + _listing(GOOD)[:-1], "ends before its list"),
        (BODY + _listing(GOOD[:1]), "not those it lists"),
        (_member(*GOOD[0]) + _listing(GOOD), "not those it lists"),
        (BODY + b"\x02" + _listing(GOOD)[1:], "not those it lists"),
        (BODY + _listing(GOOD) + b"x", "goes on after its end"),
        (_member(b"a", b"1", digest=b"0" * 32), "'a' in the backup is damaged"),
        (_member(b"a", b"1", size=2**63), "exceeds"),
        (_member(b"a", b"1", size=500), "ends inside 'a'"),
        (_member(b"a", b"1") * 2, "twice"),
    ],
)
def test_a_forged_inside_is_refused(
    tmp_path: Path, ring: MasterKeyRing, plain: bytes, said: str
) -> None:
    with pytest.raises(ArchiveError, match=said):
        _verify_plain(tmp_path, ring, plain)


@pytest.mark.parametrize("name", [b"../x", b"/etc/x", b"a\\b", b"\xff", b"", b"x" * 65_535])
def test_a_forged_name_is_refused(tmp_path: Path, ring: MasterKeyRing, name: bytes) -> None:
    with pytest.raises(UnsafeNameError, match="not a safe name"):
        _verify_plain(tmp_path, ring, _member(name, b"1"))


def test_random_insides_never_raise_anything_but_a_typed_error(
    tmp_path: Path, ring: MasterKeyRing
) -> None:
    chance = np.random.default_rng(20)
    for _ in range(300):
        plain = bytearray(BODY + _listing(GOOD))
        for _ in range(chance.integers(1, 5)):
            plain[chance.integers(len(plain))] = chance.integers(256)
        if bytes(plain) != BODY + _listing(GOOD):
            with pytest.raises(SamError):
                _verify_plain(tmp_path, ring, bytes(plain))


def test_writer_and_reader_agree_on_the_format(tmp_path: Path, ring: MasterKeyRing) -> None:
    written = tmp_path / "written.sam"
    with ArchiveWriter(written, ring.current) as writer:
        for name, data in GOOD:
            writer.add_bytes(name.decode(), data)

    assert writer.close().size == HEADER_BYTES + len(BODY + _listing(GOOD)) + 16
