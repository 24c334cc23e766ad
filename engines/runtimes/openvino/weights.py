"""The numbers of a model's tensors, by the names of GGUF, whatever file they are in."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.gguf.parts import read_model_header
from engines.gguf.tensors import load_floats
from engines.runtimes.openvino.bert import BertShape


class Weights(Protocol):
    """A model whose shape was checked against all its tensors."""

    @property
    def shape(self) -> BertShape: ...

    @property
    def names(self) -> AbstractSet[str]:
        """Its tensors."""

    def floats(self, name: str) -> NDArray[np.float32]:
        """One of them, the slowest axis first."""


class GgufWeights:
    """The tensors of a GGUF file."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidRequestError for a file that is left to llama.cpp, and what reading it raises."""
        self._path = path
        self._header = read_model_header(path)
        self._tensors = {each.name: each for each in self._header.tensors}
        self.shape = BertShape.from_header(self._header)

    @property
    def names(self) -> AbstractSet[str]:
        return self._tensors.keys()

    def floats(self, name: str) -> NDArray[np.float32]:
        return load_floats(self._path, self._header, self._tensors[name])
