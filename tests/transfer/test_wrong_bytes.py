"""A server that lies never leaves a usable file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.demo.hub.faults import Fault
from engines.exceptions import DigestMismatchError, TransferError, TransientTransferError
from engines.transfer.http import ContentRange, parse_content_range
from tests.transfer.support import QUICK, Scene, content

SIZE = 400_003
PERSISTENT = replace(QUICK, give_up_after=0.2)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, SIZE - 1))
def test_a_flipped_bit_anywhere_leaves_nothing(scene: Scene, place: int) -> None:
    scene.hub.faults.add(Fault(flip_byte_at=place))

    with pytest.raises(DigestMismatchError, match=r"was removed\. Download it again"):
        scene.fetch()

    assert scene.left_behind() == []


def test_after_a_wrong_digest_the_next_call_begins_from_zero(scene: Scene) -> None:
    scene.hub.faults.add(Fault(flip_byte_at=9))
    with pytest.raises(DigestMismatchError):
        scene.fetch()

    result = scene.fetch()

    assert result.bytes_fetched == SIZE
    assert scene.destination.read_bytes() == scene.data


def test_a_wrong_digest_leaves_the_file_that_was_there(scene: Scene) -> None:
    scene.destination.write_bytes(b"older model")
    scene.hub.faults.add(Fault(flip_byte_at=0))

    with pytest.raises(DigestMismatchError):
        scene.fetch()

    assert scene.destination.read_bytes() == b"older model"


@pytest.mark.parametrize(
    "content_range",
    [
        f"bytes 0-{SIZE - 1}/{SIZE}",
        f"bytes 99999-{SIZE - 1}/{SIZE}",
        f"bytes 100001-{SIZE - 1}/{SIZE}",
        f"bytes 100000-{SIZE}/{SIZE + 1}",
        f"bytes 100000-{SIZE - 1}/*",
        f"bytes 100000-5/{SIZE}",
        "lines 1-2/3",
        None,
    ],
)
def test_a_continuation_under_a_wrong_content_range_is_thrown_away(
    scene: Scene, content_range: str | None
) -> None:
    scene.hub.faults.add(Fault(cut_after=100_000), Fault(headers={"Content-Range": content_range}))

    scene.fetch()

    assert [entry.range for entry in scene.gets()] == [None, "bytes=100000-", None]
    assert scene.destination.read_bytes() == scene.data


def test_a_server_that_ignores_the_range_starts_over(scene: Scene) -> None:
    scene.hub.faults.add(Fault(cut_after=100_000), Fault(ignore_range=True))

    result = scene.fetch()

    assert [entry.status for entry in scene.gets()] == [200, 200]
    assert result.bytes_fetched == SIZE + 100_000
    assert scene.destination.read_bytes() == scene.data


def test_a_file_changed_between_two_attempts_is_refused(scene: Scene) -> None:
    other = bytes(reversed(content(SIZE)))
    scene.hub.faults.add(Fault(cut_after=100_000), Fault(content=other))

    with pytest.raises(DigestMismatchError):
        scene.fetch()

    assert [entry.status for entry in scene.gets()] == [200, 200]
    assert scene.left_behind() == []


def test_a_continuation_under_another_etag_is_thrown_away(scene: Scene) -> None:
    scene.hub.faults.add(Fault(cut_after=100_000), Fault(headers={"ETag": '"other"'}))

    scene.fetch()

    assert [entry.range for entry in scene.gets()] == [None, "bytes=100000-", None]
    assert scene.destination.read_bytes() == scene.data


def test_another_file_than_the_head_announced_is_refused(scene: Scene) -> None:
    scene.hub.faults.add(Fault(content=bytes(reversed(content(SIZE)))))

    with pytest.raises(DigestMismatchError):
        scene.fetch()

    assert scene.left_behind() == []


@pytest.mark.parametrize("length", [SIZE - 1, SIZE + 1])
def test_a_length_that_differs_from_the_announced_is_refused(scene: Scene, length: int) -> None:
    scene.hub.faults.add(Fault(content=content(length)))

    with pytest.raises(TransferError, match=f"offers {length} bytes instead of {SIZE}"):
        scene.fetch()

    assert not scene.destination.exists()


def test_a_body_that_never_ends_is_stopped_at_the_announced_size(scene: Scene) -> None:
    scene.hub.faults.add(Fault(headers={"Content-Length": None}, extra_bytes=10_000_000))

    with pytest.raises(TransferError, match=f"sends more than the {SIZE} bytes"):
        scene.fetch()

    assert scene.left_behind() == []


def test_a_body_that_is_always_short_is_given_up_with_its_bytes_kept(scene: Scene) -> None:
    scene.hub.faults.add(Fault(cut_after=1_000))
    scene.hub.faults.add(Fault(cut_after=0, times=0))

    with pytest.raises(TransientTransferError, match="can be resumed"):
        scene.fetch(options=PERSISTENT)

    assert not scene.destination.exists()
    (part,) = scene.parts.glob("*.part")
    assert part.read_bytes() == scene.data[:1_000]


def test_compressed_bytes_are_refused(scene: Scene) -> None:
    scene.hub.faults.add(Fault(headers={"Content-Encoding": "gzip"}))

    with pytest.raises(TransferError, match="another encoding"):
        scene.fetch()

    assert not scene.destination.exists()


def test_a_range_that_cannot_be_satisfied_starts_over(scene: Scene) -> None:
    scene.hub.faults.add(Fault(cut_after=100_000), Fault(status=416))

    scene.fetch()

    assert [entry.status for entry in scene.gets()] == [200, 416, 200]
    assert scene.destination.read_bytes() == scene.data


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "HF_TOKEN"), (403, "licence"), (404, "another revision")]
)
def test_a_refusal_while_resuming_is_final_and_keeps_what_arrived(
    scene: Scene, status: int, sentence: str
) -> None:
    scene.hub.faults.add(Fault(cut_after=100_000), Fault(status=status))

    with pytest.raises(Exception, match=sentence) as caught:
        scene.fetch()

    assert getattr(caught.value, "transient") is False  # noqa: B009 - any of three classes
    assert len(scene.gets()) == 2
    assert not scene.destination.exists()
    assert scene.fetch().bytes_fetched == SIZE - 100_000


@given(start=st.integers(0, 10**12), length=st.integers(1, 10**12), rest=st.integers(0, 10**12))
def test_every_consistent_content_range_is_read(start: int, length: int, rest: int) -> None:
    last, total = start + length - 1, start + length + rest

    assert parse_content_range(f"bytes {start}-{last}/{total}") == ContentRange(start, last, total)


@given(value=st.one_of(st.none(), st.text(alphabet="bytes 0129-/*٣", max_size=40)))
def test_any_other_content_range_is_none_or_consistent(value: str | None) -> None:
    found = parse_content_range(value)

    assert found is None or 0 <= found.start <= found.last < found.total
