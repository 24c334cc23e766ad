"""A tiny chat model in several GGUF files, as llama.cpp's gguf-split lays them out."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np

from deploy.demo.models import tiny_models
from engines.gguf.writer import Metadata, Tensors, write_gguf


def write_llama_in_parts(folder: Path, count: int = 3, stem: str = "tiny-Q4_K_M") -> list[Path]:
    """Write ``tiny_llama``'s model in parts of about as many tensors each; return their paths."""
    paths: list[Path] = []

    def write(path: Path, metadata: Metadata, tensors: Tensors) -> Path:
        paths.extend(write_parts(folder, metadata, tensors, count=count, stem=stem))
        return path

    with patch.object(tiny_models, "write_gguf", write):
        tiny_models.write_llama_chat(folder / stem)
    return paths


def write_parts(
    folder: Path, metadata: Metadata, tensors: Tensors, *, count: int, stem: str
) -> list[Path]:
    """Write parts: the first has all metadata, each says which part of how many it is."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.array_split(list(tensors), count)
    return [
        write_gguf(
            folder / f"{stem}-{number + 1:05}-of-{count:05}.gguf",
            {
                **({} if number else metadata),
                "split.no": np.uint16(number),
                "split.count": np.uint16(count),
                "split.tensors.count": np.int32(len(tensors)),
            },
            {str(name): tensors[str(name)] for name in chosen},
        )
        for number, chosen in enumerate(names)
    ]
