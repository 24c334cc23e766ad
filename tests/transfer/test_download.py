"""A healthy Hub, and one that fails in ways that pass."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import replace

import pytest

from deploy.demo.hub.faults import Fault
from engines.exceptions import TransferError, TransientTransferError
from engines.transfer.remote_file import Progress
from tests.transfer.support import IMPATIENT, QUICK, Scene


def test_a_download_gives_the_published_bytes_read_only(scene: Scene) -> None:
    result = scene.fetch()

    assert scene.destination.read_bytes() == scene.data
    assert result.sha256 == hashlib.sha256(scene.data).hexdigest()
    assert (result.path, result.size) == (scene.destination, len(scene.data))
    assert result.bytes_fetched == len(scene.data)
    assert stat.S_IMODE(scene.destination.stat().st_mode) == 0o444
    assert scene.left_behind() == ["model.gguf"]


def test_progress_ends_with_all_bytes(scene: Scene) -> None:
    scene.fetch()

    assert scene.told[-1] == Progress("downloading", len(scene.data), len(scene.data))
    assert [told.done for told in scene.told] == sorted(told.done for told in scene.told)


def test_a_file_that_is_there_and_right_is_not_fetched_again(scene: Scene) -> None:
    scene.fetch()
    before = scene.destination.stat().st_ino

    result = scene.fetch()

    assert result.bytes_fetched == 0
    assert len(scene.gets()) == 1
    assert scene.destination.stat().st_ino == before
    assert scene.left_behind() == ["model.gguf"]


def test_a_damaged_file_is_replaced_and_never_rewritten_in_place(scene: Scene) -> None:
    damaged = bytearray(scene.data)
    damaged[7] ^= 1
    scene.destination.write_bytes(damaged)
    with scene.destination.open("rb") as reader:
        scene.fetch()
        assert reader.read() == bytes(damaged)
    assert scene.destination.read_bytes() == scene.data


@pytest.mark.parametrize("cut", [1, 64 * 1024, 399_999, 400_002])
def test_a_cut_connection_continues_where_it_ended(scene: Scene, cut: int) -> None:
    scene.hub.faults.add(Fault(cut_after=cut))

    result = scene.fetch()

    scene.sent(len(scene.data))
    # On a busy machine a second request may seem to crawl too.
    first, second, *_ = scene.gets()
    assert (first.range, second.range) == (None, f"bytes={cut}-")
    assert second.if_range == f'"{result.sha256}"'
    assert first.bytes_sent + second.bytes_sent == len(scene.data) == result.bytes_fetched
    assert scene.destination.read_bytes() == scene.data


def test_a_line_that_drops_again_and_again_still_finishes(scene: Scene) -> None:
    scene.hub.faults.add(Fault(cut_after=20_000, times=0))

    result = scene.fetch()

    assert len(scene.gets()) == 21
    assert result.bytes_fetched == len(scene.data)
    assert scene.destination.read_bytes() == scene.data


def test_a_missing_length_is_no_obstacle(scene: Scene) -> None:
    scene.hub.faults.add(Fault(headers={"Content-Length": None}))

    scene.fetch()

    assert scene.destination.read_bytes() == scene.data


def test_an_answer_without_length_that_ends_early_is_continued(scene: Scene) -> None:
    scene.hub.faults.add(Fault(headers={"Content-Length": None}, cut_after=5_000))

    result = scene.fetch()

    assert scene.gets()[1].range == "bytes=5000-"
    assert result.bytes_fetched == len(scene.data)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_burst_of_passing_errors_is_waited_out(scene: Scene, status: int) -> None:
    scene.hub.faults.add(Fault(status=status, headers={"Retry-After": "0"}, times=3))

    scene.fetch()

    assert [entry.status for entry in scene.gets()] == [status] * 3 + [200]
    assert scene.destination.read_bytes() == scene.data


def test_a_server_that_asks_for_too_long_a_wait_is_left_with_a_transient_error(
    scene: Scene,
) -> None:
    scene.hub.faults.add(Fault(status=429, headers={"Retry-After": "3600"}, times=0))

    with pytest.raises(TransientTransferError, match=r"429.*can be resumed"):
        scene.fetch()

    assert len(scene.gets()) == 1
    assert not scene.destination.exists()


def test_a_server_that_never_answers_is_given_up(scene: Scene) -> None:
    scene.hub.faults.add(Fault(hang=True, times=0))

    with pytest.raises(TransientTransferError, match="ReadTimeout"):
        scene.fetch(options=IMPATIENT)

    assert not scene.destination.exists()


def test_a_crawling_connection_is_left_and_its_bytes_are_kept(scene: Scene) -> None:
    crawl = replace(QUICK, stall_window=1, stall_bytes=50_000)
    scene.hub.faults.add(Fault(bytes_per_second=20_000))

    result = scene.fetch(options=crawl)

    # On a busy machine a second request may seem to crawl too.
    first, second, *_ = scene.gets()
    assert 0 < first.bytes_sent < len(scene.data)
    assert second.range is not None
    assert result.bytes_fetched == len(scene.data)


def test_a_server_that_is_down_is_a_transient_error(scene: Scene) -> None:
    remote = scene.resolve()
    port = scene.hub.endpoint.rpartition(":")[2]
    nowhere = replace(remote, url=remote.url.replace(port, "1"))

    with pytest.raises(TransientTransferError, match="ConnectError"):
        scene.fetch(nowhere, options=IMPATIENT)

    assert not scene.destination.exists()


def test_without_a_published_digest_nothing_is_fetched(scene: Scene) -> None:
    remote = replace(scene.resolve(), sha256=None)

    with pytest.raises(TransferError, match="names no SHA-256"):
        scene.fetch(remote)

    assert scene.gets() == []
    assert scene.left_behind() == []


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3600"}, {"RateLimit": '"resolvers";r=0;t=3600'}]
)
def test_what_the_server_asks_to_wait_is_told_and_handed_on(
    scene: Scene, headers: dict[str, str]
) -> None:
    remote = scene.resolve()
    scene.hub.faults.add(
        Fault(status=429, headers=headers), Fault("HEAD", status=429, headers=headers)
    )

    for ask in (lambda: scene.fetch(remote), scene.resolve):
        with pytest.raises(TransientTransferError, match=r"429.* 3600 s") as caught:
            ask()
        assert caught.value.retry_after == 3600


def test_a_window_in_which_more_may_be_asked_is_not_waited_for(scene: Scene) -> None:
    limits = {"RateLimit": '"resolvers";r=4990;t=3600, "api";r=0;t=0'}
    scene.hub.faults.add(Fault(status=502, headers=limits))

    scene.fetch()

    assert [entry.status for entry in scene.gets()] == [502, 200]


def test_the_end_of_the_hubs_window_is_waited_for(scene: Scene) -> None:
    scene.hub.faults.add(Fault(status=429, headers={"RateLimit": '"resolvers";r=0;t=0'}))

    scene.fetch()

    assert [entry.status for entry in scene.gets()] == [429, 200]


def test_a_server_that_sends_a_trickle_for_ever_is_given_up(scene: Scene) -> None:
    trickle = replace(QUICK, stall_window=0.1, give_up_after=1, stall_bytes=100_000)
    scene.hub.faults.add(Fault(bytes_per_second=20_000, times=0))

    with pytest.raises(TransientTransferError, match=r"Next to nothing came .*can be resumed"):
        scene.fetch(options=trickle)

    assert 0 < sum(part.stat().st_size for part in scene.parts.glob("*.part")) < len(scene.data)
