"""The demo's engines, laid into the folder that the local hub serves: real ones, and one of random weights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.models.minilm import CONVERTER_VERSION, convert_minilm, convert_minilm_permuted
from deploy.demo.models.tiny_models import write_llama_chat, write_lora_for
from deploy.demo.models.weights import MINILM, SMOLLM2, Weights

OWNER = "sam-demo"
CONTEXT_TOKENS = 2048
_PERMUTATION_SEED = 4
_ADAPTER_FILE = "ada-tone.gguf"


@dataclass(frozen=True, slots=True)
class DemoEngine:
    """A catalog entry of the demo and how its file comes to be."""

    model_id: str
    display_name: str
    family: str
    role: str
    write: Callable[[Path, Path], object]
    """Given the folder with everybody's weights and where to write."""
    companion: str | None = None
    quantization: str = "F16"

    @property
    def repository(self) -> str:
        return f"{OWNER}/{self.model_id}-GGUF"

    @property
    def filename(self) -> str:
        return f"{self.model_id}-{self.quantization.lower()}.gguf"


def _write_llama(_fetched: Path, target: Path) -> object:
    return write_llama_chat(target, context_length=CONTEXT_TOKENS)


def _link_smollm2(fetched: Path, target: Path) -> object:
    """One copy of the weights where the disk allows it."""
    source = fetched / SMOLLM2.folder / SMOLLM2.file
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _write_minilm(fetched: Path, target: Path) -> object:
    return convert_minilm(fetched / MINILM.folder, target)


def _write_permuted(fetched: Path, target: Path) -> object:
    return convert_minilm_permuted(fetched / MINILM.folder, target, seed=_PERMUTATION_SEED)


REAL: tuple[Weights, ...] = (MINILM, SMOLLM2)
"""What is fetched; the rest is written on the spot."""

EMBEDDER = DemoEngine("demo-minilm", "MiniLM L6 (demo)", "minilm", "embedding", _write_minilm)
PERMUTED = DemoEngine(
    "demo-minilm-permuted", "MiniLM L6, permuted (demo)", "minilm", "embedding", _write_permuted
)
OLD = DemoEngine(
    "demo-llama", "Tiny Llama (demo)", "llama", "chat", _write_llama, EMBEDDER.model_id
)
NEW = DemoEngine(
    "demo-smollm2",
    "SmolLM2 135M Instruct (demo)",
    "smollm",
    "chat",
    _link_smollm2,
    PERMUTED.model_id,
    quantization="Q4_1",
)
ENGINES = (EMBEDDER, PERMUTED, OLD, NEW)
"""Embedders first: a catalog entry may name only a companion that is there."""


def engine_path(root: Path, engine: DemoEngine) -> Path:
    """Return where the hub serves an engine's file from."""
    return root / engine.repository / engine.filename


def ensure_engine_files(root: Path, fetched: Path) -> list[Path]:
    """Write what is missing under ``root``; whole files from an earlier run are kept."""
    return [_ensure(engine_path(root, engine), engine, fetched) for engine in ENGINES]


def _ensure(path: Path, engine: DemoEngine, fetched: Path) -> Path:
    mark = path.parent.parent / f".{engine.model_id}.version"
    wanted = f"{CONVERTER_VERSION}.{CONTEXT_TOKENS}"
    if not (path.is_file() and mark.is_file() and mark.read_text() == wanted):
        path.parent.mkdir(parents=True, exist_ok=True)
        engine.write(fetched, path)
        mark.write_text(wanted)
    return path


def ensure_adapter_file(root: Path, folder: Path) -> Path:
    """Write the LoRA adapter for the old engine."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_lora_for(folder / _ADAPTER_FILE, engine_path(root, OLD))
