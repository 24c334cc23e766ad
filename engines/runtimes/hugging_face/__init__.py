"""Folders of safetensors through transformers; programs that use an engine import it from here."""

from __future__ import annotations

from engines.runtimes.hugging_face.engine import HuggingFaceEngine, HuggingFaceOptions

__all__ = ["HuggingFaceEngine", "HuggingFaceOptions"]
