"""What each method of the contract does in a runtime, found out by calling it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.exceptions import EngineError
from engines.runtimes.base import BaseModelEngine, ChatMessage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runtimes.md"
HEADING = "| method |"
NAMES = {
    "LlamaServerEngine": "llama_server",
    "LlamaCppEngine": "llama_cpp",
    "HuggingFaceEngine": "transformers",
    "OpenVinoEngine": "openvino",
    "OllamaEngine": "ollama",
    "OpenAICompatibleEngine": "openai",
    "BaseModelEngine": "a plugin's own four",
}
"""Columns of the page by class; an engine belongs to the first of its ancestors."""
WRITING = (
    *("generate", "generate from messages", "stream", "stream_pieces"),
    *("count_prompt_tokens", "format_prompt"),
)
TEXT = "The harbour, the river and the bridge."
CHAT: list[ChatMessage] = [{"role": "user", "content": "Why?"}]


def column_of(engine: BaseModelEngine) -> str:
    return next(NAMES[kind.__name__] for kind in type(engine).__mro__ if kind.__name__ in NAMES)


def documented(column: str) -> dict[str, str]:
    """The column of the page's table: method to cell."""
    table = PAGE.read_text(encoding="utf-8").split(HEADING)[1].split("\n\n")[0]
    lines = table.splitlines()
    place = [cell.strip() for cell in lines[0].strip("|").split("|")].index(column)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    rows = [row for row in cells if len(row) > place + 1]
    return {row[0].strip("`"): row[place + 1] for row in rows}


def measured(engine: BaseModelEngine) -> dict[str, str]:
    """The same column, by calling every method of a loaded engine; unloads and loads it."""
    batch = engine.embed_documents([TEXT, ""])
    info = engine.get_engine_info()
    found = {
        **_measure_writing(engine),
        "embed": _yes(len(engine.embed(TEXT)) > 0),
        "embed_query": _yes(len(engine.embed_query(TEXT)) > 0),
        "embed_many": _yes(engine.embed_many([TEXT]).shape[0] == 1),
        "embed_documents": "names what has no vector" if batch.errors else "yes",
        "count_tokens": "estimate" if _is_estimate(engine) else "exact",
        "get_status": str(engine.get_status()),
        "is_available": _yes(engine.is_available()),
        "get_engine_info": f"at least {len(info) // 6 * 6} facts",
        "list_models": _places(type(engine)),
    }
    return {
        **found,
        "unload_model": _yes(engine.unload_model() and not engine.is_available()),
        "load_model": _yes(engine.load_model() and engine.is_available()),
    }


def _measure_writing(engine: BaseModelEngine) -> dict[str, str]:
    """The rows of what only a model does that writes text."""
    try:
        pieces = list(engine.stream(TEXT, max_tokens=8, temperature=0))
    except EngineError:
        return dict.fromkeys(WRITING, "no") if _only_embeds(engine) else {}
    found = (
        _yes(engine.generate(TEXT, max_tokens=8, temperature=0)),
        _yes(_answers_messages(engine)),
        "piece by piece" if len(pieces) > 1 else "in one piece",
        "reasoning apart" if hasattr(engine, "stream_pieces") else "no",
        _prompt_count(engine),
        "the model's template" if _has_marks(engine) else "plain",
    )
    return dict(zip(WRITING, found, strict=True))


def _only_embeds(engine: BaseModelEngine) -> bool:
    """Whether each of those methods says so."""
    asked: Any = engine
    for ask in (
        lambda: asked.generate(TEXT),
        lambda: asked.complete(CHAT),
        lambda: list(asked.stream_pieces(TEXT)),
        lambda: asked.count_prompt_tokens(CHAT),
        lambda: asked.format_prompt(CHAT),
    ):
        with pytest.raises(EngineError, match="only embeds text"):
            ask()
    return True


def _answers_messages(engine: Any) -> bool:
    # A plugin's engine takes what its author wrote it for: text, by the contract.
    return hasattr(engine, "complete") and bool(engine.complete(CHAT, max_tokens=4).text)


def _is_estimate(engine: BaseModelEngine) -> bool:
    texts = ("a", TEXT, "e" * 64)
    return all(engine.count_tokens(t) == BaseModelEngine.count_tokens(engine, t) for t in texts)


def _prompt_count(engine: BaseModelEngine) -> str:
    """Whether a prompt is counted as the engine reads it, or as any text."""
    plain = engine.count_tokens(engine.format_prompt(CHAT))
    return "that of its text" if engine.count_prompt_tokens(CHAT) == plain else "as it is read"


def _has_marks(engine: BaseModelEngine) -> bool:
    return "<|" in engine.format_prompt(CHAT)


def _places(kind: type[BaseModelEngine]) -> str:
    if kind.list_models.__func__ is BaseModelEngine.list_models.__func__:  # type: ignore[attr-defined]
        return "no"
    return "of a server" if hasattr(kind, "default_endpoint") else "of a folder"


def _yes(holds: object) -> str:
    return "yes" if holds else "no"
