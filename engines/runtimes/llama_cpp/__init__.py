"""GGUF models through llama.cpp; programs that use an engine import it from here."""

from __future__ import annotations

from engines.runtimes.llama_cpp.engine import (
    DeepSeekEngine,
    LlamaCppEngine,
    LlamaEngine,
    LlamaOptions,
    QwenEngine,
)

__all__ = ["DeepSeekEngine", "LlamaCppEngine", "LlamaEngine", "LlamaOptions", "QwenEngine"]
