"""The catalog that SAM ships with."""

from __future__ import annotations

import json
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


def _starter_entry(fact: Mapping[str, str]) -> Entry:
    name = fact["name"]
    is_embedder = "embed" in name
    family = next((f for f in FAMILIES if f in name), "other")
    asked = find_instructions([fact["hf_repo"]]) if is_embedder else None
    return {
        "model_id": name.replace("_", "-"),
        "display_name": f"{name} ({fact['quant']})",
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
