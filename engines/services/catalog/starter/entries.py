"""The catalog that SAM ships with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from engines.models import ModelRole
from engines.services.catalog.exchange import FORMAT_VERSION, Entry
from engines.services.catalog.instructions import find_instructions

STARTER = Path(__file__).resolve().parents[3] / "data" / "starter_catalog.jsonl"
STARTER_COMPANION = "granite-embedding-107m-multilingual"
"""Small, multilingual and under Apache-2.0: a sound embedder for engines that chat."""
FAMILIES = ("deepseek", "qwen", "llama", "mistral", "gemma", "smollm", "nomic", "granite")

_WRITTEN = {
    "deepseek": "DeepSeek",
    "smollm2": "SmolLM2",
    "embeddinggemma": "EmbeddingGemma",
    "it": "Instruct",
}
"""Words that are not written with one capital letter."""
_SIZE = re.compile(r"a?[0-9.]+[bm]")
_VERSION = re.compile(r"v[0-9.]+")


class StarterCatalog(TypedDict):
    """A catalog file without a date: it is as old as this version of SAM."""

    version: str
    models: list[Entry]


def starter_catalog() -> StarterCatalog:
    """Return the catalog SAM ships: real files by digest, sizes and commits resolved at first use.

    Models in several parts are left out: the list names one file and one digest each.
    """
    facts = [json.loads(line) for line in STARTER.read_text().splitlines()]
    facts.sort(key=lambda fact: "embed" not in fact["name"])
    return {"version": FORMAT_VERSION, "models": [_starter_entry(fact) for fact in facts]}


def _title_of(name: str) -> str:
    """Return a file's name as people write it: ``qwen3-0.6b`` is Qwen3 0.6B."""
    plain = name.partition(":")[0].rpartition("_")[2]
    return " ".join(_WRITTEN.get(word) or _capitalise(word) for word in plain.split("-"))


def _capitalise(word: str) -> str:
    if _SIZE.fullmatch(word):
        return word.upper()
    return word if _VERSION.fullmatch(word) else word[:1].upper() + word[1:]


def _starter_entry(fact: Mapping[str, str]) -> Entry:
    name = fact["name"]
    is_embedder = "embed" in name
    family = next((f for f in FAMILIES if f in name), "other")
    asked = find_instructions([fact["hf_repo"]]) if is_embedder else None
    return {
        "model_id": name.replace("_", "-"),
        "display_name": f"{_title_of(name)} ({fact['quant']})",
        "description": f"{fact['filename']} from {fact['hf_repo']}.",
        "model_family": family,
        "role": ModelRole.EMBEDDING if is_embedder else ModelRole.CHAT,
        "huggingface_repo": fact["hf_repo"],
        "filename": fact["filename"],
        "sha256": fact["sha256"],
        "quantization": fact["quant"],
        "licence": fact["license"] or "",
        "tags": ["starter", family],
        "query_prefix": asked.query_prefix if asked else "",
        "document_prefix": asked.document_prefix if asked else "",
        "embedding_model": None if is_embedder else STARTER_COMPANION,
    }
