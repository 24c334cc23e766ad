"""How a folder's texts become vectors, as sentence-transformers reads it from the files beside the weights.

Source: sentence-transformers, ``models/Transformer.py``, ``models/Pooling.py`` and ``SentenceTransformer.py``.
What is not understood is refused: a vector that was pooled in another way looks like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.files.names import check_name
from engines.gguf.header import shown
from engines.runtimes.model_files import read_config, read_list
from engines.runtimes.openvino.bert import POOLINGS, refuse
from engines.runtimes.text.response_format import Json

MODULES = "modules.json"
POOLING_FLAG = "pooling_mode_"
POOLING_FLAGS = {"mean_tokens": "mean", "cls_token": "cls"}
STEPS = ("Transformer", "Pooling", "Normalize")
MAX_PROMPT_CHARS = 200
"""As many as a catalog entry holds."""
TOKENIZER_LIMIT = 2**20
"""A tokenizer that says more says nothing."""


@dataclass(frozen=True, slots=True)
class SentenceRules:
    """What is said beside the weights."""

    pooling: str = ""
    """``mean`` or ``cls``; empty where nothing is said."""
    max_tokens: int = 0
    """Of a text; 0 where nothing is said."""
    query_prompt: str = ""
    document_prompt: str = ""


def read_rules(folder: Path, width: int) -> SentenceRules:
    """Return the rules of a folder whose network has this width; InvalidRequestError, UnsafeModelFileError."""
    query, document = _read_prompts(folder)
    return SentenceRules(_read_pooling(folder, width), _read_limit(folder), query, document)


def _read_pooling(folder: Path, width: int) -> str:
    if not (folder / MODULES).exists():
        return ""
    modules = read_list(folder / MODULES)
    kinds = [str(each.get("type")).rpartition(".")[2] for each in modules]
    if tuple(kinds) not in (STEPS, STEPS[:2]):
        refuse(f"its {MODULES} names {shown(', '.join(kinds)) or 'nothing'}")
    if modules[0].get("path"):
        refuse(f"its {MODULES} has the weights in another folder")
    place = str(modules[1].get("path"))
    check_name(place)
    return _pooling_of(read_config(folder / place / "config.json"), width)


def _pooling_of(config: Json, width: int) -> str:
    if config.get("word_embedding_dimension", width) != width:
        refuse("its pooling is for vectors of another width")
    if config.get("include_prompt", True) is not True:
        refuse("its pooling leaves the prompt out")
    stated = config.get("pooling_mode")
    flags = [
        key.removeprefix(POOLING_FLAG)
        for key, value in config.items()
        if key.startswith(POOLING_FLAG) and value
    ]
    found = [stated] if stated is not None else [POOLING_FLAGS.get(flag, flag) for flag in flags]
    if len(found) != 1 or found[0] not in POOLINGS:
        names = ", ".join(map(str, found))
        refuse(f"it pools by {shown(names) or 'nothing that its files name'}")
    return str(found[0])


def _read_limit(folder: Path) -> int:
    """The longest text in tokens that its publisher lets it read."""
    found = _config(folder / "sentence_bert_config.json")
    if found.get("do_lower_case"):
        refuse("its texts are to be in lower case, which its tokenizer does not do")
    limit = found.get("max_seq_length") or _config(folder / "tokenizer_config.json").get(
        "model_max_length"
    )
    return limit if type(limit) is int and 0 < limit < TOKENIZER_LIMIT else 0


def _read_prompts(folder: Path) -> tuple[str, str]:
    """What is put before questions and before passages."""
    found = _config(folder / "config_sentence_transformers.json")
    prompts = found.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(each, str) for each in prompts.values()):
        refuse("its prompts are not texts with names")
    if any(len(each) > MAX_PROMPT_CHARS for each in prompts.values()):
        refuse(f"one of its prompts has more than {MAX_PROMPT_CHARS} characters")
    usual = str(prompts.get(str(found.get("default_prompt_name")), ""))
    passages = [str(prompts[name]) for name in ("document", "passage") if name in prompts]
    return str(prompts.get("query", usual)), next(iter(passages), usual)


def _config(path: Path) -> Json:
    return read_config(path) if path.exists() else {}
