"""Killed processes, restarted machines, two at once, full disks, cancellations: nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.demo.hub.faults import Fault
from engines.exceptions import (
    DiskFullError,
    GatedRepositoryError,
    TransferCancelledError,
    TransferError,
    TransientTransferError,
)
from engines.transfer.download import download
from engines.transfer.limits import Disk
from engines.transfer.part import remove_abandoned_part
from tests.transfer.support import QUICK, Scene, ignore

SIZE = 400_003
PROJECT = Path(__file__).parents[2]


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for something a child does; the test's own time limit ends a wait in vain."""
    pause = threading.Event()
    while not reached():
        pause.wait(0.01)


@contextmanager
def child(scene: Scene, *limit: str, faults: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a downloading process; it is killed at the end if it still runs."""
    arguments = [scene.hub.endpoint, str(scene.destination), *limit]
    environment = {**os.environ, **({"SAM_FAULTS": str(faults)} if faults else {})}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.transfer.fetch_child", *arguments],
        cwd=PROJECT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def part_size(scene: Scene) -> int:
    return sum(path.stat().st_size for path in scene.parts.glob("*.part"))


def interrupt(scene: Scene, at: int) -> Path:
    """Leave a part of ``at`` bytes, as a refusal in the middle does."""
    scene.hub.faults.add(Fault(cut_after=at), Fault(status=403))
    with pytest.raises(GatedRepositoryError):
        scene.fetch()
    (part,) = scene.parts.glob("*.part")
    assert part.stat().st_size == at
    return part


@pytest.mark.parametrize("place", [1, 250_000, SIZE - 1])
def test_after_kill_9_no_byte_is_fetched_twice(scene: Scene, place: int) -> None:
    scene.hub.faults.add(Fault(hold_after=place))
    with child(scene) as process:
        wait_until(lambda: part_size(scene) == place)
        process.kill()
        process.wait()
    assert not scene.destination.exists()

    result = scene.fetch()

    assert [entry.range for entry in scene.gets()] == [None, f"bytes={place}-"]
    assert scene.sent(SIZE) == SIZE
    assert result.bytes_fetched == SIZE - place
    assert scene.destination.read_bytes() == scene.data
    assert scene.left_behind() == ["model.gguf"]


@pytest.mark.parametrize("point", ["download.before_rename", "download.after_rename"])
def test_killed_beside_the_rename_the_next_call_fetches_nothing(
    scene: Scene, tmp_path: Path, point: str
) -> None:
    faults = tmp_path / "faults"
    faults.mkdir()
    (faults / f"{point}.arm").touch()
    with child(scene, faults=faults) as process:
        wait_until((faults / f"{point}.hit").exists)
        process.kill()
        process.wait()

    result = scene.fetch()

    assert result.bytes_fetched == 0
    assert len(scene.gets()) == 1
    assert scene.destination.read_bytes() == scene.data
    assert scene.destination.stat().st_mode & 0o777 == 0o444
    assert scene.left_behind() == ["model.gguf"]


def test_a_second_process_backs_off_and_then_finds_the_file(scene: Scene) -> None:
    scene.hub.faults.add(Fault(hold_after=100_000), Fault())
    with child(scene) as process:
        wait_until(lambda: part_size(scene) == 100_000)
        with pytest.raises(TransientTransferError, match="already downloading"):
            scene.fetch()
        assert process.poll() is None
        assert part_size(scene) == 100_000

    assert scene.fetch().bytes_fetched == SIZE - 100_000
    assert scene.fetch().bytes_fetched == 0


def test_many_at_once_fetch_every_byte_once(scene: Scene) -> None:
    remote = scene.resolve()
    scene.hub.faults.add(Fault(bytes_per_second=2_000_000))
    outcomes: list[str] = []

    def one() -> None:
        try:
            outcomes.append(f"fetched {scene.fetch(remote).bytes_fetched}")
        except TransientTransferError:
            outcomes.append("busy")

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count(f"fetched {SIZE}") == 1
    assert set(outcomes) <= {f"fetched {SIZE}", "fetched 0", "busy"}
    assert len(scene.gets()) == 1
    assert scene.destination.read_bytes() == scene.data


def test_after_a_restart_of_the_machine_only_synced_bytes_are_believed(scene: Scene) -> None:
    part = interrupt(scene, 250_000)
    journal = json.loads(part.with_suffix(".json").read_text())
    assert 100_000 <= journal["synced"] <= 250_000
    journal["synced"] = 100_000
    part.with_suffix(".json").write_text(json.dumps({**journal, "boot": "an earlier one"}))
    with part.open("r+b") as file:
        file.seek(100_000)
        file.write(bytes(150_000))

    result = scene.fetch()

    assert scene.gets()[-1].range == "bytes=100000-"
    assert result.bytes_fetched == SIZE - 100_000
    assert scene.destination.read_bytes() == scene.data


@pytest.mark.parametrize(
    "journal",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 4000,
        b'{"size": 400003}',
        b'{"size": "400003", "etag": "", "synced": 0, "boot": ""}',
        b'{"size": 400003, "etag": 5, "synced": 0, "boot": ""}',
        b'{"size": 400003, "etag": "", "synced": -1, "boot": ""}',
        b'{"size": 400002, "etag": "", "synced": 9, "boot": ""}',
    ],
)
def test_a_journal_that_cannot_be_read_means_from_zero(scene: Scene, journal: bytes) -> None:
    part = interrupt(scene, 250_000)
    part.with_suffix(".json").write_bytes(journal)

    result = scene.fetch()

    assert result.bytes_fetched == SIZE
    assert scene.destination.read_bytes() == scene.data


def test_a_part_longer_than_the_file_means_from_zero(scene: Scene) -> None:
    part = interrupt(scene, 250_000)
    with part.open("ab") as file:
        file.write(bytes(SIZE))

    assert scene.fetch().bytes_fetched == SIZE
    assert scene.destination.read_bytes() == scene.data


def test_a_link_in_place_of_the_part_is_not_followed(scene: Scene, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    scene.parts.mkdir()
    (scene.parts / f"{scene.resolve().sha256}.part").symlink_to(victim)

    with pytest.raises(TransferError, match="cannot be used"):
        scene.fetch()

    assert victim.read_bytes() == b"precious"
    assert not scene.destination.exists()


def test_a_folder_in_place_of_the_file_is_a_clear_error(scene: Scene) -> None:
    scene.destination.mkdir()

    with pytest.raises(TransferError, match="cannot be used"):
        scene.fetch()

    assert scene.destination.is_dir()


def test_without_room_nothing_is_asked_for(scene: Scene) -> None:
    full = replace(QUICK, reserve_bytes=1_000, free_bytes=lambda _: SIZE + 999)

    with pytest.raises(DiskFullError, match=f"{SIZE} bytes.*1000 must.*{SIZE + 999} are free"):
        scene.fetch(options=full)

    assert scene.gets() == []
    assert scene.left_behind() == []


def test_room_that_runs_out_on_the_way_keeps_what_arrived(scene: Scene) -> None:
    answers = iter([SIZE, 5, 5])
    shrinking = replace(QUICK, free_bytes=lambda _: next(answers))

    with pytest.raises(DiskFullError, match="5 are free"):
        scene.fetch(options=shrinking)

    kept = part_size(scene)
    assert kept >= QUICK.sync_every
    assert scene.fetch().bytes_fetched == SIZE - kept


def test_a_place_that_takes_no_large_file_is_not_called_full(scene: Scene) -> None:
    with child(scene, "200000") as process:
        _, complaint = process.communicate()

    assert process.returncode == 1
    assert complaint.startswith("transfer_failed: ")
    assert "allows no file of this size" in complaint
    assert not scene.destination.exists()
    assert scene.fetch().bytes_fetched == SIZE - 200_000
    assert scene.destination.read_bytes() == scene.data


@pytest.mark.parametrize("keep", [True, False])
def test_a_cancelled_download_leaves_no_file_and_a_part_only_if_wanted(
    scene: Scene, *, keep: bool
) -> None:
    scene.hub.faults.add(Fault(bytes_per_second=200_000))

    with pytest.raises(TransferCancelledError, match="was cancelled"):
        download(
            scene.resolve(),
            scene.destination,
            progress=scene.told.append,
            cancelled=lambda: bool(scene.told),
            options=replace(QUICK, keep_part=keep),
        )

    kept = part_size(scene)
    assert not scene.destination.exists()
    assert (0 < kept < SIZE) if keep else scene.left_behind() == []
    assert scene.fetch().bytes_fetched == SIZE - kept


def test_a_cancellation_is_heard_while_waiting_for_the_server(scene: Scene) -> None:
    remote = scene.resolve()
    scene.hub.faults.add(Fault(status=503, headers={"Retry-After": "25"}, times=0))

    with pytest.raises(TransferCancelledError):
        download(
            remote,
            scene.destination,
            progress=ignore,
            cancelled=lambda: bool(scene.gets()),
            options=QUICK,
        )

    assert len(scene.gets()) == 1
    assert scene.left_behind() == []


def test_a_quota_is_called_one(scene: Scene) -> None:
    disk = Disk(scene.destination.parent, QUICK)

    with (
        pytest.raises(DiskFullError, match=r"quota .* is used up, and 7 bytes"),
        disk.guard(lambda: 7),
    ):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


@pytest.mark.parametrize("remove", [remove_abandoned_part, None], ids=["collected", "fetched"])
def test_a_journal_that_was_being_written_is_removed_with_its_part(
    scene: Scene, remove: Callable[[Path], bool] | None
) -> None:
    part = interrupt(scene, 100_000)
    part.with_suffix(".new").write_text("{")
    if remove is None:
        scene.fetch()
    else:
        assert remove(part)

    assert not list(scene.parts.iterdir())
