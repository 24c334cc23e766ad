"""The first word of a prompt that was read before, by models that forget, with and without checkpoints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.specs import EngineSpec
from tests.runtimes.llama_cpp.forgetful_model import write_hybrid, write_recurrent, write_windowed

PROMPT = "the light by the water and the stone of the old market " * 110
"""Half of the context, so that one that is read anew pushes nothing out."""
ROUNDS = 7


def run(console: Console) -> None:
    """Print the time to the first word of one prompt: read anew, and gone on from a checkpoint."""
    table = Table("model", "prompt tokens", "reused", "anew", "from a checkpoint")
    with TemporaryDirectory() as folder:
        for write in (write_windowed, write_recurrent, write_hybrid):
            table.add_row(write.__name__.removeprefix("write_"), *_measure(write, Path(folder)))
    console.print(table)


def _measure(write: Callable[[Path], Path], folder: Path) -> tuple[str, ...]:
    path = write(folder / f"{write.__name__}.gguf")
    with LlamaCppEngine.from_spec(EngineSpec("c", "C", str(path), context_length=4096)) as engine:
        engine.load_model()
        kept = engine.complete(PROMPT, max_tokens=1, owner="one")
        seconds: dict[str, list[float]] = {"": [], "one": []}
        # In turn, so that what else the machine does slows both.
        for _ in range(ROUNDS):
            for owner, taken in seconds.items():
                started = time.perf_counter()
                kept = engine.complete(PROMPT, max_tokens=1, owner=owner)
                taken.append(time.perf_counter() - started)
    anew, again = (f"{statistics.median(taken) * 1000:.0f} ms" for taken in seconds.values())
    return str(kept.prompt_tokens), str(kept.reused_tokens), anew, again
