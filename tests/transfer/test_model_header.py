"""A header read from afar is the file's own, costs its first megabytes only, and keeps every limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.demo.hub.faults import Fault
from deploy.demo.hub.files import commit_of
from deploy.demo.hub.server import HubServer
from engines.exceptions import (
    GatedRepositoryError,
    NotFoundError,
    TransferError,
    TransientTransferError,
    UnsafeModelFileError,
)
from engines.fit.memory import Load, estimate
from engines.fit.model_shape import ModelShape
from engines.gguf.reader import read_header
from engines.gguf.writer import Scalar
from engines.transfer.hub import pinned_file
from engines.transfer.model_header import FIRST_RANGE, read_remote_header
from tests.fit.shapes import LLAMA33_70B
from tests.gguf.raw import array, gguf, text, u32
from tests.gguf.sparse import write_sparse
from tests.transfer.support import IMPATIENT, NAME, QUICK, REPO, Scene

MIB = 1024 * 1024
WEIGHTS = {"blk.0.ffn_up.weight": (1024, 4096)}
METADATA: dict[str, Scalar | list[Scalar]] = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.attention.head_count": 8,
}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    published = tmp_path / "hub" / REPO / NAME
    published.parent.mkdir(parents=True)
    write_sparse(published, METADATA, WEIGHTS)
    with HubServer(tmp_path / "hub") as hub:
        yield Scene(hub, published, tmp_path / NAME)


def test_a_header_from_afar_equals_the_files_own(scene: Scene) -> None:
    header = read_remote_header(scene.resolve(), options=QUICK)

    assert header == read_header(scene.published)
    assert header.tensors[0].byte_count == 8 * MIB
    assert [entry.range for entry in scene.gets()] == [f"bytes=0-{FIRST_RANGE - 1}"]
    assert scene.sent(FIRST_RANGE) == FIRST_RANGE
    assert scene.left_behind() == ["hub/" + REPO + "/" + NAME]


def test_a_file_of_141_gb_is_judged_by_its_first_megabyte(tmp_path: Path) -> None:
    folder = tmp_path / REPO
    folder.mkdir(parents=True)
    path = LLAMA33_70B.write(folder)
    digest = "d" * 64
    with HubServer(tmp_path) as hub:
        facts = path.stat()
        # Nobody waits for the digest of a file this long; the server is told one.
        digests = hub._state.repositories._digests
        digests[path, facts.st_mtime_ns, facts.st_size] = digest
        commit = commit_of(hub._state.repositories.files(REPO) or [])
        remote = pinned_file(
            REPO, path.name, commit=commit, size=facts.st_size, sha256=digest, endpoint=hub.endpoint
        )
        header = read_remote_header(remote, options=QUICK)
        fetched_bytes = sum(entry.bytes_sent for entry in hub.log)

    shape = ModelShape.from_header(header)
    assert estimate(shape, Load(131_072)).kv_cache == 40 * 1024**3
    assert shape.weights_bytes > 141e9 > 100_000 * fetched_bytes


def test_ranges_grow_while_the_header_goes_on(scene: Scene) -> None:
    vocabulary: list[Scalar] = [f"token {number:08}" for number in range(250_000)]
    write_sparse(scene.published, {**METADATA, "tokenizer.ggml.tokens": vocabulary}, WEIGHTS)

    header = read_remote_header(scene.resolve(), options=QUICK)

    assert header == read_header(scene.published)
    assert header.facts().vocab_size == 250_000
    assert [entry.range for entry in scene.gets()] == [
        f"bytes=0-{MIB - 1}",
        f"bytes={MIB}-{3 * MIB - 1}",
        f"bytes={3 * MIB}-{7 * MIB - 1}",
    ]


def test_numbers_nobody_keeps_are_not_fetched(scene: Scene) -> None:
    scores: list[Scalar] = [0.5] * 1_000_000
    write_sparse(scene.published, {**METADATA, "tokenizer.ggml.scores": scores}, WEIGHTS)

    header = read_remote_header(scene.resolve(), options=QUICK)

    assert header == read_header(scene.published)
    assert header.data_offset > 3.8 * MIB
    assert scene.sent(3 * MIB) == 3 * MIB


def test_a_dropped_connection_is_tried_again(scene: Scene) -> None:
    scene.hub.faults.add(Fault(cut_after=1000), Fault(status=503), Fault(hold_after=10))

    options = replace(QUICK, read_timeout=8.0)
    header = read_remote_header(scene.resolve(), options=options)

    assert header == read_header(scene.published)
    assert len(scene.gets()) == 4


def test_the_token_stays_with_the_hub(scene: Scene) -> None:
    scene.hub.faults.add(Fault(redirect="{elsewhere}"))

    read_remote_header(scene.resolve("hf_secret"), token="hf_secret", options=QUICK)

    sent = [(entry.origin, entry.had_authorization) for entry in scene.gets()]
    assert sent == [("hub", True), ("elsewhere", False)]


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        (Fault(ignore_range=True), TransferError, "does not serve parts of files"),
        (Fault(headers={"Content-Range": "bytes 5-9/10"}), TransferError, "another part"),
        (Fault(headers={"Content-Range": None}), TransferError, "another part"),
        (Fault(headers={"Content-Encoding": "gzip"}), TransferError, "another encoding"),
        (Fault(status=401), GatedRepositoryError, "Accept its licence"),
        (Fault(status=404), NotFoundError, "Check the file.s name"),
        (Fault(redirect="file:///etc/passwd"), TransferError, "does not follow"),
    ],
)
def test_a_wrong_answer_is_refused_by_name(
    scene: Scene, fault: Fault, error: type[Exception], reason: str
) -> None:
    remote = scene.resolve()
    scene.hub.faults.add(fault)

    with pytest.raises(error, match=reason):
        read_remote_header(remote, options=QUICK)

    assert len(scene.gets()) == 1


def test_a_server_that_stays_silent_is_given_up(scene: Scene) -> None:
    remote = scene.resolve()
    scene.hub.faults.add(Fault(hang=True, times=0))

    with pytest.raises(TransientTransferError, match=r"Next to nothing came .*Try again later"):
        read_remote_header(remote, options=IMPATIENT)


def test_a_file_changed_between_two_ranges_is_refused(scene: Scene) -> None:
    tokens: list[Scalar] = [f"token {number:08}" for number in range(100_000)]
    write_sparse(scene.published, {**METADATA, "tokenizer.ggml.tokens": tokens}, WEIGHTS)
    scene.hub.faults.add(Fault(headers={"ETag": '"another"'}))

    with pytest.raises(TransferError, match="changed the file while it was read"):
        read_remote_header(scene.resolve(), options=QUICK)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gguf([], magic=b"GGUX"), "not a GGUF model"),
        (gguf([], counts=(2**40, 0)), "declares 1099511627776 tensors"),
        (
            gguf([text(b"general.architecture", b"llama"), array(b"x", 8, 2**60)]),
            "ends at byte",
        ),
        (gguf([u32(b"general.alignment", 3)]), "power of two"),
    ],
)
def test_a_hostile_header_is_refused_after_its_first_range(
    scene: Scene, content: bytes, reason: str
) -> None:
    scene.published.write_bytes(content + bytes(2 * MIB))

    with pytest.raises(UnsafeModelFileError, match=reason):
        read_remote_header(scene.resolve(), options=QUICK)

    assert scene.sent(FIRST_RANGE) == FIRST_RANGE


def test_a_header_that_never_ends_stops_at_the_limit(scene: Scene) -> None:
    endless = array(b"x", 6, 20_000_000)
    with scene.published.open("wb") as file:
        file.write(gguf([text(b"general.architecture", b"llama"), endless], counts=(0, 9)))
        file.truncate(128 * MIB)

    with pytest.raises(UnsafeModelFileError, match="header is longer than 67108864 bytes"):
        read_remote_header(scene.resolve(), options=QUICK)

    assert scene.sent(FIRST_RANGE) == FIRST_RANGE
