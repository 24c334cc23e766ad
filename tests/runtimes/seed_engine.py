"""The specification's CustomEngine example, as printed but for its imports and its model."""

from __future__ import annotations

import hashlib
from typing import Any

from engines.runtimes.base import BaseModelEngine, ModelStatus


class LettersModel:
    """A small deterministic model that the example can load."""

    def generate(self, prompt: str, **_options: Any) -> str:
        return prompt[::-1]

    def embed(self, text: str) -> list[float]:
        return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]]


def load_custom_model(path: str) -> LettersModel:
    if not path:
        raise ValueError(path)
    return LettersModel()


class CustomEngine(BaseModelEngine):
    def __init__(self, engine_id: str, model_name: str, model_path: str) -> None:
        super().__init__(engine_id, model_name, model_path)
        self.custom_model: LettersModel | None = None

    def load_model(self) -> bool:
        try:
            self.custom_model = load_custom_model(self.model_path)
            self.status = ModelStatus.READY
            self.is_loaded = True
            return True
        except ValueError:
            self.status = ModelStatus.ERROR
            return False

    def generate(self, prompt: str, **kwargs: Any) -> str:
        if self.custom_model is None:
            raise RuntimeError("Model not loaded")
        return self.custom_model.generate(prompt, **kwargs)

    def embed(self, text: str) -> list[float]:
        if self.custom_model is None:
            raise RuntimeError("Model not loaded")
        return self.custom_model.embed(text)

    def unload_model(self) -> bool:
        self.custom_model = None
        self.status = ModelStatus.UNAVAILABLE
        self.is_loaded = False
        return True
