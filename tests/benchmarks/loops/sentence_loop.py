"""sentence-transformers over torch, without SAM: a process that is told how often to run.

``PYTHON -m tests.benchmarks.loops.sentence_loop FOLDER TEXTS THREADS`` loads the model and answers each line with
the seconds that all texts took. Run by a Python that has ``sentence_transformers``, so nothing of SAM is imported.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer until standard input ends."""
    folder, source, threads = sys.argv[1:]
    # Neither is among SAM's packages, so their types are not known.
    torch: Any = import_module("torch")
    package: Any = import_module("sentence_transformers")
    torch.set_num_threads(int(threads))
    model = package.SentenceTransformer(folder, device="cpu")
    model.max_seq_length = 512
    texts: list[str] = json.loads(Path(source).read_text())
    for line in sys.stdin:
        chosen: Sequence[str] = texts[: json.loads(line)["texts"] or None]
        begun = time.perf_counter()
        model.encode(chosen, normalize_embeddings=True, show_progress_bar=False)
        sys.stdout.write(json.dumps({"seconds": time.perf_counter() - begun}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
