"""A llama.cpp process that loads a file, computes one batch and tells its resident memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from llama_cpp import llama_cpp as api

from engines.fit.memory import Load
from tests.fit.llama_says import GGML_TYPES


class Resident(NamedTuple):
    """Bytes: before the file was opened, and after the first batch."""

    before: int
    after: int


def resident(path: Path, load: Load) -> Resident:
    command = [sys.executable, "-m", "tests.fit.llama_process", str(path)]
    command.append(json.dumps([load.cells, load.cache_type]))
    # An allocator that keeps freed memory would hide what is used now.
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Resident(*json.loads(done.stdout))


def main() -> None:
    path, asked = sys.argv[1:]
    cells, cache_type = json.loads(asked)
    api.llama_backend_init()
    before = _resident_bytes()
    model_parameters = api.llama_model_default_params()
    model_parameters.load_mode = api.LLAMA_LOAD_MODE_MMAP
    model = api.llama_model_load_from_file(path.encode(), model_parameters)
    parameters = api.llama_context_default_params()
    parameters.n_ctx = cells
    parameters.n_batch = parameters.n_ubatch = 512
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.type_k = parameters.type_v = GGML_TYPES[cache_type]
    parameters.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_ENABLED
    parameters.swa_full = False
    context = api.llama_init_from_model(model, parameters)
    tokens = (api.llama_token * 512)(*np.random.default_rng(1).integers(0, 8000, 512).tolist())
    if api.llama_decode(context, api.llama_batch_get_one(tokens, 512)):
        sys.exit("llama.cpp could not compute the batch")
    sys.stdout.write(json.dumps([before, _resident_bytes()]))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
