"""What llama.cpp itself reserves for a model and a load, without reading or holding any weight."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llama_cpp import llama_cpp as api

from engines.fit.memory import Load

GGML_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}
POOLINGS = {
    "none": api.LLAMA_POOLING_TYPE_NONE,
    "mean": api.LLAMA_POOLING_TYPE_MEAN,
    "cls": api.LLAMA_POOLING_TYPE_CLS,
}
_FIGURES = {
    "kv_cache": r"llama_kv_cache: size = *([0-9.]+) MiB",
    "states": r"llama_memory_recurrent: size = *([0-9.]+) MiB",
    "compute": r"compute buffer size = *([0-9.]+) MiB",
    "output": r"output buffer size = *([0-9.]+) MiB",
}


class Reserved(NamedTuple):
    """MiB, as llama.cpp prints them."""

    kv_cache: float
    states: float
    compute: float
    output: float


def reserved(path: Path, loads: Sequence[Load], pooling: str = "") -> list[Reserved]:
    """Ask a process of its own, so that native code cannot touch the tests.

    ``pooling`` is that of contexts that embed. Of several contexts side by side it is for one.
    """
    asked = [
        [
            load.cells * load.caches,
            load.parallel,
            load.cache_type,
            load.flash_attention,
            load.batch,
            load.shared,
        ]
        for load in loads
    ]
    command = [sys.executable, "-m", "tests.fit.llama_says", str(path), json.dumps(asked)]
    command.append(pooling)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [Reserved(**figures) for figures in json.loads(done.stdout)]


def main() -> None:
    path, asked, pooling = sys.argv[1:]
    lines: list[str] = []

    @api.llama_log_callback  # type: ignore[untyped-decorator]
    def keep(_level: int, text: bytes, _data: Any) -> None:
        lines.append(text.decode("utf-8", "replace"))

    api.llama_log_set(keep, None)
    api.llama_backend_init()
    model_parameters = api.llama_model_default_params()
    model_parameters.no_alloc = True
    model_parameters.load_mode = api.LLAMA_LOAD_MODE_NONE
    model = api.llama_model_load_from_file(path.encode(), model_parameters)
    answers = []
    for cells, sequences, cache_type, flash_attention, batch, shared in json.loads(asked):
        lines.clear()
        parameters = api.llama_context_default_params()
        parameters.n_ctx, parameters.n_seq_max = cells, sequences
        parameters.n_batch = parameters.n_ubatch = batch
        parameters.kv_unified = shared
        parameters.embeddings = bool(pooling)
        if pooling:
            parameters.pooling_type = POOLINGS[pooling]
        parameters.type_k = parameters.type_v = GGML_TYPES[cache_type]
        parameters.flash_attn_type = int(flash_attention)
        parameters.swa_full = False
        api.llama_free(api.llama_init_from_model(model, parameters))
        said = "".join(lines)
        answers.append({name: _sum(pattern, said) for name, pattern in _FIGURES.items()})
    sys.stdout.write(json.dumps(answers))


def _sum(pattern: str, said: str) -> float:
    return sum(float(figure) for figure in re.findall(pattern, said))


if __name__ == "__main__":
    main()
