"""Headers that no honest writer would produce, each with what the refusal must say."""

from __future__ import annotations

import struct

from tests.gguf.raw import MODEL, array, counted, entry, gguf, tensor, text, u32

HUGE = 2**63

BAD_HEADS = {
    "empty": (b"", "it is empty"),
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
