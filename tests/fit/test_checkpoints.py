"""What an engine keeps of prompts that a model with windows or states has read is part of its need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engines.fit.memory import CHECKPOINT_BYTES, Load, estimate
from tests.fit import shapes
from tests.fit.test_memory import of_metadata, shape_of


def test_what_models_that_forget_keep_for_the_next_request_is_counted(tmp_path: Path) -> None:
    kept = Load(131_072, parallel=16, shared=True, has_checkpoints=True)
    apart = replace(kept, shared=False)

    windows = shape_of(shapes.gemma3(tmp_path))
    one = 52 * 1024 * 16 * 2 * 128 * 2
    none = estimate(windows, replace(kept, has_checkpoints=False))
    found = estimate(windows, kept)
    assert found.checkpoints == found.total - none.total == CHECKPOINT_BYTES > one
    assert estimate(windows, apart).checkpoints == 0

    states = shape_of(shapes.qwen3_next(tmp_path))
    one = sum(layer.state_bytes for layer in states.layers)
    assert estimate(states, kept).checkpoints == min(32 * one, CHECKPOINT_BYTES)
    assert estimate(states, apart).checkpoints == estimate(states, kept).checkpoints > one
    small = of_metadata(
        tmp_path,
        "gemma2",
        **{"block_count": 4, "embedding_length": 64, "attention.head_count": 1},
        **{"attention.sliding_window": 512},
    )
    assert estimate(small, kept).checkpoints == 32 * 2 * 512 * 2 * 64 * 2
    assert (
        estimate(small, replace(kept, context_length=256)).checkpoints == 32 * 2 * 256 * 2 * 64 * 2
    )
    whole = shape_of(shapes.deepseek_v2_lite(tmp_path))
    assert estimate(whole, kept).checkpoints == 0
