from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from deploy.demo.models.tiny_models import LORA_ALPHA, LORA_RANK, write_lora_for
from engines.exceptions import (
    AdapterMismatchError,
    ArtifactMissingError,
    InvalidRequestError,
    SamError,
    UnsafeModelFileError,
)
from engines.gguf.header import GgufHeader
from engines.gguf.peft import convert_peft
from engines.gguf.reader import read_header
from engines.gguf.safetensors import load_tensor, read_safetensors
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.specs import AdapterSpec, EngineSpec

CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "org/base",
    "r": LORA_RANK,
    "lora_alpha": LORA_ALPHA,
    "lora_dropout": 0.05,
    "target_modules": ["q_proj", "o_proj"],
    "bias": "none",
    "init_lora_weights": True,
    "inference_mode": True,
    "use_dora": False,
    "use_rslora": False,
    "fan_in_fan_out": False,
    "lora_bias": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "loftq_config": {},
    "modules_to_save": None,
    "layers_to_transform": None,
    "layer_replication": None,
    "trainable_token_indices": None,
}
"""As PEFT writes it."""
MODULES = {"attn_q": "self_attn.q_proj", "attn_output": "self_attn.o_proj"}
PREFIX = "base_model.model.model.layers."
TABLE = "base_model.model.model.embed_tokens"
QUERY_A, QUERY_B = (f"{PREFIX}0.self_attn.q_proj.lora_{side}.weight" for side in "AB")


def config(**changes: Any) -> bytes:
    return json.dumps({**CONFIG, **changes}).encode()


def as_saved_by_peft(adapter: Path, heads: int, target: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a GGUF adapter under PEFT's names and in the order of its rows."""
    saved = {}
    header = read_header(adapter)
    for tensor in header.tensors:
        rows = np.fromfile(
            adapter,
            np.float16,
            int(np.prod(tensor.shape)),
            offset=header.data_offset + tensor.offset,
        ).reshape(tensor.shape[::-1])
        _, layer, part, _, side = tensor.name.split(".")
        if part == "attn_q" and side == "lora_b" and heads:
            rows = unpaired(rows, heads)
        name = f"{PREFIX}{layer}.{MODULES[part]}.lora_{side[-1].upper()}.weight"
        saved[name] = np.ascontiguousarray(rows)
    save_file(saved, str(target))
    return saved


def unpaired(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Row 2j of a head goes to place j, row 2j+1 to the place half a head further."""
    size = len(rows) // heads
    ordered = np.empty_like(rows)
    for head in range(heads):
        for j in range(size // 2):
            ordered[head * size + j] = rows[head * size + 2 * j]
            ordered[head * size + size // 2 + j] = rows[head * size + 2 * j + 1]
    return ordered


def tokens_with(model: Path, adapter: Path | None) -> tuple[int, ...]:
    adapters = (AdapterSpec(str(adapter)),) if adapter else ()
    spec = EngineSpec("e", "E", str(model), threads=1, adapters=adapters)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        return engine.complete("The harbour at night", temperature=0, max_tokens=24).tokens


@pytest.mark.parametrize(("model", "heads"), [("tiny_llama", 4), ("tiny_qwen", 0)])
def test_a_peft_adapter_has_the_effect_of_the_gguf_adapter_it_equals(
    model: str, heads: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base: Path = request.getfixturevalue(model)
    known = write_lora_for(tmp_path / "known.gguf", base)
    as_saved_by_peft(known, heads, tmp_path / "adapter_model.safetensors")

    changed = convert_peft(
        config(), tmp_path / "adapter_model.safetensors", read_header(base), tmp_path / "new.gguf"
    )

    assert changed == len(read_header(known).tensors) // 2
    assert read_header(tmp_path / "new.gguf").facts().adapter_alpha == LORA_ALPHA
    heard = tokens_with(base, tmp_path / "new.gguf")
    assert heard == tokens_with(base, known)
    assert heard != tokens_with(base, None)


def written(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    save_file(dict(tensors), str(path))
    return path


def pair(**changes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """One query pair that fits the tiny Llama."""
    generator = np.random.default_rng(5)
    return {
        QUERY_A: generator.standard_normal((LORA_RANK, 128)).astype(np.float32),
        QUERY_B: generator.standard_normal((128, LORA_RANK)).astype(np.float32),
        **changes,
    }


def test_bfloat16_becomes_the_same_numbers_in_float32(tmp_path: Path) -> None:
    numbers = np.array([[1.0, -2.5, 3.0e38, 1.0e-30]], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype("<u2")
    header = json.dumps({"x": {"dtype": "BF16", "shape": [1, 4], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "b.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + halves.tobytes())

    loaded = load_tensor(path, read_safetensors(path)["x"])

    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded.view(np.uint32) & 0xFFFF, 0)
    np.testing.assert_array_equal(loaded.view(np.uint32) >> 16, halves)


def test_rank_stabilised_scaling_is_kept(tiny_llama: Path, tmp_path: Path) -> None:
    weights = written(tmp_path / "a.safetensors", pair())

    convert_peft(config(use_rslora=True), weights, read_header(tiny_llama), tmp_path / "a.gguf")

    facts = read_header(tmp_path / "a.gguf").facts()
    assert facts.adapter_alpha == LORA_ALPHA * 2.0  # the root of rank 4


def test_our_reader_and_the_safetensors_library_see_the_same_tensors(tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors", pair(z=np.ones((2, 3), np.float16)))

    mine = {name: load_tensor(path, tensor) for name, tensor in read_safetensors(path).items()}

    with safe_open(str(path), framework="np") as theirs:
        assert sorted(theirs.keys()) == sorted(mine)
        for name, tensor in mine.items():
            np.testing.assert_array_equal(tensor, theirs.get_tensor(name))


UNUSABLE = {
    "no JSON": (b"{", "not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "nested deeply": (b"[" * 100_000, "not JSON"),
    "too large": (b" " * 1_100_000, "1100000 bytes"),
    "another method": (config(peft_type="IA3"), "peft_type is 'IA3'"),
    "no rank": (config(r=None), "rank r"),
    "rank zero": (config(r=0), "rank r"),
    "rank true": (config(r=True), "rank r"),
    "a text as alpha": (config(lora_alpha="8"), "lora_alpha is not a number"),
    "alpha NaN": (config(lora_alpha=float("nan")), "lora_alpha is zero or beyond"),
    "alpha zero": (config(lora_alpha=0), "lora_alpha is zero or beyond"),
    "alpha without end": (config(lora_alpha=10**400), "lora_alpha is zero or beyond"),
    "DoRA": (config(use_dora=True), "use_dora"),
    "a changed base": (config(init_lora_weights="pissa"), "init_lora_weights"),
    "whole modules": (config(modules_to_save=["lm_head"]), "modules_to_save"),
    "biases": (config(bias="all"), "bias"),
    "another rank": (config(r=8), "has rank 4 and the configuration says 8"),
    "another rank by name": (config(rank_pattern={"q_proj": 3}), "the configuration says 3"),
    "a rank of text": (config(rank_pattern={"q_proj": "3"}), "a rank of its rank_pattern"),
    "an alpha of zero": (config(alpha_pattern={"q_proj": 0}), "a value of its alpha_pattern"),
    "a list of alphas": (config(alpha_pattern=[["q_proj", 1]]), "not an object"),
    "a slow pattern": (config(alpha_pattern={"(a+)+$": 1}), "not a plain pattern. Merge it"),
    "no pattern": (config(rank_pattern={"(q_proj": 4}), "not a pattern"),
}


@pytest.mark.parametrize(("text", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_configuration_that_cannot_be_kept_is_refused(
    text: bytes, reason: str, tiny_llama: Path, tmp_path: Path
) -> None:
    weights = written(tmp_path / "a.safetensors", pair())

    with pytest.raises(InvalidRequestError) as refusal:
        convert_peft(text, weights, read_header(tiny_llama), tmp_path / "a.gguf")

    assert reason in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


F32 = np.float32
UNFIT: dict[str, tuple[Mapping[str, NDArray[Any]], type[SamError], str]] = {
    "an unknown name": (
        {"x": np.ones((4, 4), F32)},
        InvalidRequestError,
        "'x', which is not a LoRA",
    ),
    "half a pair": ({QUERY_A: pair()[QUERY_A]}, AdapterMismatchError, "half of its change"),
    "a layer too many": (
        {name.replace("layers.0", "layers.99"): rows for name, rows in pair().items()},
        AdapterMismatchError,
        "no tensor 'blk.99.attn_q.weight'",
    ),
    "another width": (pair(**{QUERY_A: np.ones((4, 96), F32)}), AdapterMismatchError, "shape"),
    "rows without heads": (
        pair(**{QUERY_B: np.ones((126, 4), F32)}),
        AdapterMismatchError,
        "heads",
    ),
    "more tokens": (
        {**pair(), f"{TABLE}.base_layer.weight": np.ones((9_000, 128), F32)},
        InvalidRequestError,
        "as after tokens were added. Merge it into its model",
    ),
    "a whole output": (
        {**pair(), "base_model.model.lm_head.weight": np.ones((4, 4), F32)},
        InvalidRequestError,
        "holds a whole",
    ),
    "a table as a projection": (
        {f"{TABLE}.lora_A.weight": np.ones((4, 4), F32)},
        InvalidRequestError,
        "Save it again",
    ),
    "the same twice": (
        {**pair(), QUERY_A.replace(".lora_", ".base_layer.lora_"): pair()[QUERY_A]},
        InvalidRequestError,
        "twice",
    ),
    "no matrix": (pair(**{QUERY_A: np.ones(4, F32)}), InvalidRequestError, "not a matrix"),
    "infinite": (
        pair(**{QUERY_B: np.full((128, 4), np.inf, F32)}),
        InvalidRequestError,
        "not finite numbers",
    ),
}


@pytest.mark.parametrize(("tensors", "kind", "reason"), UNFIT.values(), ids=UNFIT.keys())
def test_weights_that_do_not_fit_are_refused(
    tensors: Mapping[str, NDArray[Any]],
    kind: type[SamError],
    reason: str,
    tiny_llama: Path,
    tmp_path: Path,
) -> None:
    weights = written(tmp_path / "a.safetensors", tensors)

    with pytest.raises(kind) as refusal:
        convert_peft(config(), weights, read_header(tiny_llama), tmp_path / "a.gguf")

    assert reason in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_model_whose_names_are_not_known_is_refused(tmp_path: Path) -> None:
    weights = written(tmp_path / "a.safetensors", pair())
    base = GgufHeader(3, {"general.architecture": "mamba"}, (), 32, 0)

    with pytest.raises(InvalidRequestError, match="'mamba' models are not converted here") as plain:
        convert_peft(config(), weights, base, tmp_path / "a.gguf")
    # llama.cpp's converter knows one alpha and divides by the rank: of another it would make a wrong file.
    for changes in ({"use_rslora": True}, {"alpha_pattern": {"q_proj": 1}}):
        with pytest.raises(InvalidRequestError) as scaled:
            convert_peft(config(**changes), weights, base, tmp_path / "a.gguf")
        assert "convert_lora_to_gguf" not in str(scaled.value)
        assert "Merge it into its model" in str(scaled.value)
    assert "convert_lora_to_gguf" in str(plain.value)


def raw(header: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def described(**changes: Any) -> bytes:
    return json.dumps(
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}
    ).encode()


TWICE = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
OVERLAP = json.dumps(
    {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "xy"}
).encode()
HOLE = json.dumps(
    {
        "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "y": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
    }
).encode()
HOSTILE = {
    "empty": (b"", "ends before its header"),
    "only a length": (struct.pack("<Q", 2**63), "header would have 9223372036854775808 bytes"),
    "a header beyond the file": (raw(b"{}", length=3), "header would have 3 bytes"),
    "no JSON": (raw(b"\xff\xfe{}"), "not JSON"),
    "nested deeply": (raw(b"[" * 200_000), "not JSON"),
    "an endless number": (raw(b'{"x":' + b"9" * 10_000 + b"}"), "not JSON"),
    "a list": (raw(b"[]"), "not a JSON object"),
    "no tensor": (raw(b"{}"), "names 0 tensors"),
    "only metadata": (raw(b'{"__metadata__":{"a":"b"}}'), "names 0 tensors"),
    "a name twice": (raw(TWICE, bytes(4)), "names something twice"),
    "a number as tensor": (raw(b'{"x":1}'), "not described as a tensor"),
    "more fields": (raw(described(more=1), bytes(8)), "not described as a tensor"),
    "another kind": (raw(described(dtype="I64"), bytes(16)), "holds 'I64'"),
    "a list as kind": (raw(described(dtype=["F32"]), bytes(8)), "holds"),
    "negative shape": (raw(described(shape=[-2]), bytes(8)), "whole numbers"),
    "true as shape": (raw(described(shape=[True]), bytes(8)), "whole numbers"),
    "no shape": (raw(described(shape=[]), bytes(8)), "no shape"),
    "shape zero": (raw(described(shape=[0], data_offsets=[0, 0])), "shape no such tensor has"),
    "a giant": (raw(described(shape=[2**40, 2**40]), bytes(8)), "shape no such tensor has"),
    "five dimensions": (raw(described(shape=[1] * 5), bytes(8)), "shape no such tensor has"),
    "other bytes": (raw(described(shape=[3]), bytes(8)), "other bytes than its shape"),
    "offsets missing": (raw(described(data_offsets=[0]), bytes(8)), "other bytes than its shape"),
    "backwards": (raw(described(data_offsets=[8, 0]), bytes(8)), "other bytes than its shape"),
    "overlap": (raw(OVERLAP, bytes(8)), "overlap or leave holes"),
    "a hole": (raw(HOLE, bytes(12)), "overlap or leave holes"),
    "cut off": (raw(described(), bytes(4)), "end at byte"),
    "more behind": (raw(described(), bytes(9)), "end at byte"),
    "another format": (b"GGUF" + bytes(60), "header would have"),
    "a pickle in a zip": (b"PK\x03\x04" + bytes(60), "header would have"),
}


@pytest.mark.parametrize(("content", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_malformed_file_is_refused_with_the_reason(
    content: bytes, reason: str, tiny_llama: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "a.safetensors"
    weights.write_bytes(content)

    with pytest.raises(UnsafeModelFileError) as refusal:
        convert_peft(config(), weights, read_header(tiny_llama), tmp_path / "a.gguf")

    assert reason in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_what_the_library_refuses_is_refused_here_too(tmp_path: Path) -> None:
    """Random damage to a sound file: never read here when the library refuses it."""
    sound = written(tmp_path / "a.safetensors", pair()).read_bytes()
    generator = np.random.default_rng(11)
    path = tmp_path / "b.safetensors"
    accepted = 0
    for _ in range(300):
        damaged = bytearray(sound)
        damaged[int(generator.integers(0, 300))] = int(generator.integers(0, 256))
        path.write_bytes(damaged)
        try:
            read_safetensors(path)
        except UnsafeModelFileError:
            continue
        accepted += 1
        with safe_open(str(path), framework="np"):
            pass

    assert 0 < accepted < 300


def test_a_link_or_a_missing_file_is_not_read(tmp_path: Path) -> None:
    real = written(tmp_path / "a.safetensors", pair())
    (tmp_path / "link").symlink_to(real)

    for name in ("link", "gone"):
        with pytest.raises(ArtifactMissingError, match=f"{name} cannot be read"):
            read_safetensors(tmp_path / name)
