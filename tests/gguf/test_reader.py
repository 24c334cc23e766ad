from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pytest

from engines.exceptions import ArtifactMissingError, UnsafeModelFileError
from engines.gguf.header import GgufArray, TensorInfo
from engines.gguf.layout import ValueKind
from engines.gguf.reader import read_header
from tests.gguf.bad_headers import BAD_ENTRIES, BAD_HEADS, BAD_TENSORS
from tests.gguf.raw import EIGHT_FLOATS, MODEL, array, counted, entry, gguf, tensor, text, u32


def read(data: bytes, *, file_size: int | None = None) -> None:
    read_header(io.BytesIO(data), file_size=file_size)


def test_reads_metadata_of_every_kind() -> None:
    entries = [
        *MODEL,
        entry(b"small", ValueKind.INT8, struct.pack("<b", -5)),
        entry(b"large", ValueKind.UINT64, struct.pack("<Q", 2**40)),
        entry(b"precise", ValueKind.FLOAT64, struct.pack("<d", 0.1)),
        entry(b"flag", ValueKind.BOOL, b"\x01"),
        array(b"numbers", ValueKind.INT16, 3, struct.pack("<3h", 1, -2, 3)),
        array(b"words", ValueKind.STRING, 2, counted(b"a") + counted("ö".encode())),
    ]

    header = read_header(io.BytesIO(gguf(entries)))

    assert header.version == 3
    assert header.metadata == {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.attention.head_count": 4,
        "small": -5,
        "large": 2**40,
        "precise": 0.1,
        "flag": True,
        "numbers": GgufArray(ValueKind.INT16, 3, (1, -2, 3)),
        "words": GgufArray(ValueKind.STRING, 2, ("a", "ö")),
    }


def test_reads_tensor_places_from_the_header_alone() -> None:
    infos = [tensor(b"a", (8,)), tensor(b"b", (32, 2), kind=2, offset=32)]
    data = gguf(MODEL, infos, version=2)

    header = read_header(io.BytesIO(data), file_size=len(data) + 32 + 36)

    assert header.version == 2
    assert header.data_offset == len(data)
    assert header.tensors == (
        TensorInfo("a", (8,), 0, 0, 32),
        TensorInfo("b", (32, 2), 2, 32, 36),
    )
    assert [info.kind_name for info in header.tensors] == ["F32", "Q4_0"]


def test_facts_name_what_catalog_and_planner_need() -> None:
    entries = [
        text(b"general.architecture", b"bert"),
        text(b"general.name", b"Tiny"),
        u32(b"general.file_type", 15),
        u32(b"bert.block_count", 6),
        u32(b"bert.context_length", 512),
        u32(b"bert.embedding_length", 384),
        array(b"bert.attention.head_count", ValueKind.UINT32, 2, struct.pack("<2I", 4, 12)),
        u32(b"bert.pooling_type", 1),
        array(b"tokenizer.ggml.tokens", ValueKind.STRING, 2, counted(b"a") + counted(b"b")),
        u32(b"tokenizer.ggml.bos_token_id", 101),
        entry(b"tokenizer.ggml.add_bos_token", ValueKind.BOOL, b"\x01"),
        text(b"tokenizer.chat_template", b"{{ messages }}"),
    ]

    facts = read_header(io.BytesIO(gguf(entries))).facts()

    assert (facts.architecture, facts.name, facts.quantization) == ("bert", "Tiny", "Q4_K_M")
    assert (facts.context_length, facts.embedding_length, facts.block_count) == (512, 384, 6)
    assert (facts.head_count, facts.head_count_kv, facts.vocab_size) == (12, 12, 2)
    assert (facts.pooling, facts.chat_template) == ("mean", "{{ messages }}")
    assert (facts.bos_token_id, facts.eos_token_id, facts.add_bos) == (101, -1, True)
    assert (facts.is_adapter, facts.adapter_type, facts.adapter_alpha) == (False, "", 0.0)


def test_a_long_vocabulary_is_counted_and_not_kept() -> None:
    tokens = b"".join(counted(b"%d" % number) for number in range(2000))
    entries = [
        *MODEL,
        array(b"tokenizer.ggml.tokens", ValueKind.STRING, 2000, tokens),
        array(b"tokenizer.ggml.scores", ValueKind.FLOAT32, 2000, bytes(8000)),
    ]

    header = read_header(io.BytesIO(gguf(entries)))

    assert header.metadata["tokenizer.ggml.tokens"] == GgufArray(ValueKind.STRING, 2000, ())
    assert header.metadata["tokenizer.ggml.scores"] == GgufArray(ValueKind.FLOAT32, 2000, ())
    assert header.facts().vocab_size == 2000


def test_the_start_of_a_file_is_enough_when_its_size_is_told(tiny_llama: Path) -> None:
    whole = tiny_llama.read_bytes()
    header = read_header(tiny_llama)

    start = io.BytesIO(whole[: header.data_offset])

    assert read_header(start, file_size=len(whole)) == header


def test_an_engine_without_attention_may_have_no_heads() -> None:
    entries = [
        text(b"general.architecture", b"mamba"),
        u32(b"mamba.block_count", 2),
        u32(b"mamba.attention.head_count", 0),
    ]

    assert read_header(io.BytesIO(gguf(entries))).facts().head_count == 0


@pytest.mark.parametrize(("data", "reason"), BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_a_bad_head_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnsafeModelFileError, match=r"^The model file") as refusal:
        read(data)

    assert reason in str(refusal.value)


@pytest.mark.parametrize(("bad", "reason"), BAD_ENTRIES.values(), ids=BAD_ENTRIES.keys())
def test_a_bad_metadata_entry_is_refused(bad: bytes, reason: str) -> None:
    with pytest.raises(UnsafeModelFileError) as refusal:
        read(gguf([*MODEL, bad]))

    assert reason in str(refusal.value)


@pytest.mark.parametrize(("tensors", "reason"), BAD_TENSORS.values(), ids=BAD_TENSORS.keys())
def test_a_bad_tensor_is_refused(tensors: list[bytes], reason: str) -> None:
    with pytest.raises(UnsafeModelFileError) as refusal:
        read(gguf(MODEL, tensors, data=EIGHT_FLOATS * 3))

    assert reason in str(refusal.value)


@pytest.mark.parametrize("blocks", [0, 513, 2**32 - 1])
def test_a_block_count_that_aborts_the_engine_is_refused(blocks: int) -> None:
    entries = [MODEL[0], u32(b"llama.block_count", blocks), MODEL[2]]

    with pytest.raises(UnsafeModelFileError, match=f"block_count is {blocks} and must be"):
        read(gguf(entries))


def test_a_model_without_heads_is_refused() -> None:
    entries = [*MODEL[:2], u32(b"llama.attention.head_count", 0)]

    with pytest.raises(UnsafeModelFileError, match="head_count is 0"):
        read(gguf(entries))


def test_bytes_after_the_last_tensor_are_refused() -> None:
    data = gguf(MODEL, [tensor(b"a", (8,))], data=EIGHT_FLOATS)
    read(data)

    with pytest.raises(UnsafeModelFileError, match="the file goes on to"):
        read(data + b"PK\x05\x06" + bytes(18))


def test_a_header_longer_than_its_limit_is_refused() -> None:
    skipped = 2**26
    data = gguf([*MODEL, array(b"a", ValueKind.UINT8, skipped)])

    with pytest.raises(UnsafeModelFileError, match="header is longer than 67108864 bytes"):
        read(data, file_size=2**40)


def test_too_many_texts_in_all_arrays_are_refused() -> None:
    half = array(b"a", ValueKind.STRING, 600_000, bytes(8 * 600_000))

    with pytest.raises(UnsafeModelFileError, match="more than 1000000 texts"):
        read(gguf([*MODEL, half, b"\x01" + bytes(7) + b"b" + half[9:]]))


def test_a_vocabulary_beyond_its_limit_is_refused() -> None:
    tokens = array(b"tokenizer.ggml.tokens", ValueKind.STRING, 524_289, bytes(8 * 524_289))

    with pytest.raises(UnsafeModelFileError, match="524289 tokens and the limit is 524288"):
        read(gguf([*MODEL, tokens]))


def test_a_file_cut_anywhere_is_refused(tiny_llama: Path) -> None:
    whole = tiny_llama.read_bytes()

    for cut in range(0, len(whole), 4096):
        with pytest.raises(UnsafeModelFileError):
            read(whole[:cut])


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissingError, match=r"'gone\.gguf'"):
        read_header(tmp_path / "gone.gguf")


def test_links_pipes_and_folders_are_not_opened(tmp_path: Path, tiny_llama: Path) -> None:
    link, pipe = tmp_path / "link.gguf", tmp_path / "pipe.gguf"
    link.symlink_to(tiny_llama)
    os.mkfifo(pipe)

    for path in (link, pipe, tmp_path):
        with pytest.raises(UnsafeModelFileError, match=r"cannot be opened|not a regular file"):
            read_header(path)


def test_a_sparse_terabyte_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    with path.open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(UnsafeModelFileError, match="does not begin with GGUF"):
        read_header(path)


def test_a_hostile_name_is_escaped_and_cut_in_the_sentence() -> None:
    name = "\u202e\n" + "x" * 60_000

    with pytest.raises(UnsafeModelFileError) as refusal:
        read(gguf([*MODEL, entry(name.encode(), 255, b"")]))

    assert "\n" not in str(refusal.value)
    assert "\u202e" not in str(refusal.value)
    assert len(str(refusal.value)) < 400
