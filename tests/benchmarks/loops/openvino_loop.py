"""The fastest loop over OpenVINO that we know, without SAM: a process that is told how often to run.

``python -m tests.benchmarks.loops.openvino_loop MODEL TEXTS PRECISION`` compiles the model and answers each
line with the seconds that all texts took, reading tokens included.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from llama_cpp import llama_cpp as api

from engines.machine import cores
from engines.runtimes.llama_cpp.native import load_model
from engines.runtimes.offload import Offload
from engines.runtimes.openvino.network import Network
from engines.runtimes.openvino.weights import GgufWeights

LIMIT = 512


def main() -> None:
    """Answer until standard input ends."""
    path, source, precision = sys.argv[1:]
    silent = api.llama_log_callback(lambda _level, _text, _data: None)
    api.llama_log_set(silent, ctypes.c_void_p(0))
    model = load_model(path, Offload())
    network = Network(GgufWeights(Path(path)), precision, "mean", threads=cores())
    texts: list[str] = json.loads(Path(source).read_text())
    for line in sys.stdin:
        chosen: Sequence[str] = texts[: json.loads(line)["texts"] or None]
        begun = time.perf_counter()
        network.vectors(
            [model.tokenize(text, add_special=True, parse_special=False)[:LIMIT] for text in chosen]
        )
        sys.stdout.write(json.dumps({"seconds": time.perf_counter() - begun}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
