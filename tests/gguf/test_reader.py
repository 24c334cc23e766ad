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
from tests.gguf.raw import EIGHT_FLOATS, MODEL, array, counted, entry, gguf, tensor, text, u32

HUGE = 2**63


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


BAD_HEADS = {
    "empty": (b"", "magic number"),
    "magic only": (b"GGUF", "version"),
    "wrong magic": (gguf(MODEL, magic=b"GGML"), "does not begin with GGUF"),
    "zip": (b"PK\x03\x04" + bytes(200), "does not begin with GGUF"),
    "version 0": (gguf(MODEL, version=0), "version is 0"),
    "version 1": (gguf(MODEL, version=1), "version is 1"),
    "version 99": (gguf(MODEL, version=99), "version is 99"),
    "big endian": (gguf(MODEL, version=0x03000000), "big endian"),
    "2^63 entries": (gguf(MODEL, counts=(0, HUGE)), f"{HUGE} metadata entries"),
    "65537 entries": (gguf(MODEL, counts=(0, 65_537)), "limit is 65536"),
    "2^63 tensors": (gguf(MODEL, counts=(HUGE, 0)), f"{HUGE} tensors"),
    "65537 tensors": (gguf(MODEL, counts=(65_537, 0)), "limit is 65536"),
    "cut after the counts": (gguf([], counts=(0, 1)), "a metadata key"),
    "no architecture": (gguf([]), "general.architecture is missing"),
}

BAD_ENTRIES = {
    "key of 2^63 bytes": (struct.pack("<Q", HUGE), "a metadata key is 9223372036854775808"),
    "empty key": (u32(b"", 1), "a metadata key is empty"),
    "duplicate key": (u32(b"llama.block_count", 3), "'llama.block_count' appears twice"),
    "key that is no text": (u32(b"\xff\xfe", 1), "not UTF-8"),
    "value that is no text": (text(b"a", b"\xc3"), "'a' is not UTF-8"),
    "kind 255": (entry(b"a", 255, b""), "unknown kind 255"),
    "kind 13": (entry(b"a", 13, b""), "unknown kind 13"),
    "string of 2^63 bytes": (entry(b"a", 8, struct.pack("<Q", HUGE)), "limit is 65536"),
    "string of 65537 bytes": (text(b"a", b"x" * 65_537), "65537 bytes long"),
    "template too long": (text(b"tokenizer.chat_template", b"x" * 2**20 + b"x"), "1048577 bytes"),
    "array of 2^63 texts": (array(b"a", 8, HUGE), "'a' ends at byte"),
    "array of 2^63 numbers": (array(b"a", 4, HUGE), "'a' ends at byte"),
    "array of arrays": (array(b"a", 9, 1, array(b"", 4, 0)), "array of arrays"),
    "5000 arrays deep": (entry(b"a", 9, struct.pack("<IQ", 9, 1) * 5000), "array of arrays"),
    "array of kind 255": (array(b"a", 255, 1), "unknown kind 255"),
    "long text in an array": (
        array(b"a", 8, 1, struct.pack("<Q", 65_537) + bytes(65_537)),
        "a text in 'a' is 65537 bytes",
    ),
    "token twice": (
        array(b"tokenizer.ggml.tokens", 8, 2, counted(b"x") * 2),
        "same token twice",
    ),
    "byte token without a byte": (
        array(b"tokenizer.ggml.tokens", 8, 1, counted(b"<0x-1>")),
        "names no byte",
    ),
    "alignment 0": (u32(b"general.alignment", 0), "general.alignment is 0"),
    "alignment 3": (u32(b"general.alignment", 3), "general.alignment is 3"),
    "alignment 8192": (u32(b"general.alignment", 8192), "up to 4096"),
    "alignment 2^31": (u32(b"general.alignment", 2**31), "up to 4096"),
    "alignment as text": (text(b"general.alignment", b"32"), "not a whole number"),
    "context as text": (text(b"llama.context_length", b"512"), "should be a whole number"),
    "name as number": (u32(b"general.name", 1), "'general.name' should be text"),
    "template as number": (u32(b"tokenizer.chat_template", 1), "should be text"),
    "no kv head per layer": (
        array(b"llama.attention.head_count_kv", 4, 0),
        "one whole number per layer",
    ),
}

BAD_TENSORS = {
    "0 dimensions": ([tensor(b"a", ())], "0 dimensions"),
    "5 dimensions": ([tensor(b"a", (1,) * 5)], "5 dimensions"),
    "2^32-1 dimensions": ([counted(b"a") + b"\xff" * 4], "4294967295 dimensions"),
    "product overflows": ([tensor(b"a", (2**32, 2**32))], "product is zero or overflows"),
    "product wraps to 32": ([tensor(b"a", (2**63, 2, 32))], "product is zero or overflows"),
    "extent 0": ([tensor(b"a", (0,))], "product is zero"),
    "type 9999": ([tensor(b"a", (8,), kind=9999)], "unknown type 9999"),
    "half a block": ([tensor(b"a", (33,), kind=2)], "blocks of 32"),
    "unaligned": ([tensor(b"a", (8,), offset=8)], "multiple of 32"),
    "offset past the end": ([tensor(b"a", (8,), offset=2**62)], "and the file has"),
    "overlap": ([tensor(b"a", (16,)), tensor(b"b", (8,), offset=32)], "'b' overlaps"),
    "same name": ([tensor(b"a", (8,)), tensor(b"a", (8,), offset=32)], "same name"),
    "no name": ([tensor(b"", (8,))], "no name"),
    "name of 64 bytes": ([tensor(b"n" * 64, (8,))], "limit is 63"),
}


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
