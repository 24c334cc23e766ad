"""The Qwen 3 table against the published facts, and what machines are told to run."""

from __future__ import annotations

import pytest

from engines.exceptions import NotFoundError
from engines.fit.memory import Load
from engines.fit.qwen3 import qwen3_model, qwen3_models
from engines.fit.recommend import Candidate, hardware_tiers, recommend
from engines.machine import Gpu, Machine
from tests.fit.shapes import QWEN3_8B

GIB = 1024**3
CANDIDATES = [Candidate(model.model_id, model.shape()) for model in qwen3_models()]


@pytest.mark.parametrize(
    ("model_id", "billions", "file_bytes"),
    [
        ("qwen3-0.6b", 0.596, 396_705_472),
        ("qwen3-4b", 4.022, 2_497_280_256),
        ("qwen3-8b", 8.191, 5_027_783_488),
        ("qwen3-14b", 14.768, 9_001_752_960),
        ("qwen3-32b", 32.762, 19_762_149_024),
        ("qwen3-30b-a3b", 30.532, 18_556_685_824),
        ("qwen3-235b-a22b", 235.094, None),
    ],
)
def test_computed_sizes_are_those_of_the_published_files(
    model_id: str, billions: float, file_bytes: int | None
) -> None:
    model = qwen3_model(model_id)

    assert round(model.parameters() / 1e9, 3) == billions
    if file_bytes is not None:
        header = file_bytes - model.shape().weights_bytes
        assert 5e6 < header < 7e6, "vocabulary and merges are all that differs"


def test_names_are_the_publishers_and_contexts_say_what_needs_yarn() -> None:
    names = [(m.huggingface, m.native_context, m.extended_context) for m in qwen3_models()]

    assert names == [
        ("Qwen/Qwen3-0.6B", 32_768, 32_768),
        ("Qwen/Qwen3-1.7B", 32_768, 32_768),
        ("Qwen/Qwen3-4B", 32_768, 131_072),
        ("Qwen/Qwen3-8B", 32_768, 131_072),
        ("Qwen/Qwen3-14B", 32_768, 131_072),
        ("Qwen/Qwen3-32B", 32_768, 131_072),
        ("Qwen/Qwen3-30B-A3B", 32_768, 131_072),
        ("Qwen/Qwen3-235B-A22B", 32_768, 131_072),
    ]


@pytest.mark.parametrize("name", ["qwen3_xl", "qwen3-8b", "Qwen/Qwen3-8B", "qwen3:8b"])
def test_a_size_is_found_by_each_of_its_names(name: str) -> None:
    model = qwen3_model(name)

    assert model.size == "qwen3_xl"
    assert (model.layers, model.width) == (QWEN3_8B.layers, QWEN3_8B.width)


def test_an_unknown_size_is_refused_with_the_sizes_there_are() -> None:
    with pytest.raises(NotFoundError, match="qwen3_small, qwen3_medium"):
        qwen3_model("qwen3_giant")


def test_each_tier_runs_what_really_fits() -> None:
    tiers = {name: [r.model_id for r in found] for name, found in hardware_tiers().items()}

    assert [found[0] for found in tiers.values()] == [
        "qwen3-4b",
        "qwen3-8b",
        "qwen3-30b-a3b",
        "qwen3-30b-a3b",
        "qwen3-32b",
        "qwen3-32b",
    ]
    assert all(r.placement.fits for found in hardware_tiers().values() for r in found)


def test_those_left_out_are_told_why() -> None:
    found = recommend(CANDIDATES, Machine(2, 15 * GIB), Load(8192))
    judged = {answer.model_id: answer for answer in found}

    assert [answer.recommended for answer in found] == [True] * 3 + [False] * 5
    assert found[0].model_id == "qwen3-4b"
    assert judged["qwen3-32b"].reason == (
        "It needs 20.8 GiB and this host has 13.5 GiB of memory and 0.0 GiB on GPUs for engines."
    )
    assert judged["qwen3-14b"].placement.fits
    assert judged["qwen3-14b"].reason.endswith(
        "Each token reads 8.0 GiB of weights from memory, so expect fewer than 5 tokens a second."
    )
    assert judged["qwen3-235b-a22b"].longest_context == 0


def test_a_mixture_is_judged_by_the_experts_it_uses() -> None:
    roomy = Machine(16, 64 * GIB)
    judged = {r.model_id: r for r in recommend(CANDIDATES, roomy, Load(8192))}

    assert judged["qwen3-30b-a3b"].recommended
    assert judged["qwen3-32b"].placement.fits
    assert not judged["qwen3-32b"].recommended


def test_more_requests_at_once_need_more() -> None:
    host = Machine(16, 64 * GIB, (Gpu("24 GB", 24 * GIB),))
    candidates = [candidate for candidate in CANDIDATES if candidate.model_id == "qwen3-32b"]

    (one,) = recommend(candidates, host, Load(4096))
    (many,) = recommend(candidates, host, Load(4096, parallel=16))
    (quantised,) = recommend(candidates, host, Load(4096, parallel=16, cache_type="q4_0"))
    assert str(one.placement.where) == "gpu"
    assert str(many.placement.where) == "gpu_and_memory"
    assert one.placement.gpu_layers == 65 > quantised.placement.gpu_layers
    assert quantised.placement.gpu_layers > many.placement.gpu_layers
    assert many.longest_context < quantised.longest_context


def test_a_file_must_have_room_on_the_disk() -> None:
    host = Machine(8, 64 * GIB, disk_free_bytes=2 * GIB)
    judged = {answer.model_id: answer for answer in recommend(CANDIDATES, host, Load(8192))}

    assert judged["qwen3-1.7b"].recommended
    assert not judged["qwen3-4b"].recommended
    assert judged["qwen3-4b"].reason.endswith("Its file has 2.3 GiB and the disk 2.0 GiB free.")
