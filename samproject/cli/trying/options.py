"""What the commands about one model share: which model, on what, and how long a context."""

from __future__ import annotations

import importlib
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from engines.runtime_names import ALIASES, BUILT_IN, list_model_types
from samproject.cli.completion import complete_model_types

STDIN = "-"
DomainName = Literal["code", "general", "math", "writing"]
CacheName = Literal["f16", "q8_0", "q4_0"]
"""Written here so that help and completion load no engine; tests hold them to the engines' own."""
CONTEXT = 8192


def _read_type(name: str) -> str:
    known = list_model_types()
    if name not in known:
        raise typer.BadParameter(f"There is no type {name!r}; there are {', '.join(known)}.")
    return name


Model = Annotated[str, typer.Option(help="A GGUF file, or a model's name.")]
Type = Annotated[
    str,
    typer.Option(
        "--type",
        parser=_read_type,
        metavar=f"[{'|'.join(sorted({*ALIASES, *BUILT_IN}))}]",
        help="What runs it; also the name of an installed plugin.",
        autocompletion=complete_model_types,
    ),
]
Size = Annotated[str, typer.Option(help="A size of Qwen 3, such as qwen3_medium.")]
Domain = Annotated[DomainName, typer.Option()]
Folder = Annotated[str, typer.Option(help="Where a file of this size is looked for.")]
Server = Annotated[str, typer.Option(help="Address of an Ollama or OpenAI server.")]
Family = Annotated[str, typer.Option(help="Such as qwen, llama or deepseek.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Context = Annotated[int, typer.Option(help="Tokens.")]
Threads = Annotated[int, typer.Option(min=0, help="0 means all cores.")]
Prompt = Annotated[str, typer.Argument(help="What to ask; - reads it from the standard input.")]
MaxTokens = Annotated[
    int | None, typer.Option(help="0 means as many as there is room for.", show_default=False)
]
Temperature = Annotated[
    float | None, typer.Option(help="0 means always the same answer.", show_default=False)
]
Seed = Annotated[int | None, typer.Option(show_default=False)]
Parallel = Annotated[int, typer.Option(help="Requests at the same time.")]
CacheType = Annotated[CacheName, typer.Option()]
Host = Annotated[str | None, typer.Option(help="A host of SAM instead of this machine.")]


@dataclass(frozen=True, slots=True)
class ModelWish:
    """Which model to use in this process, and where; the names are those of ``ModelManager``."""

    model: str
    type: str
    size: str
    domain: str
    folder: str
    server: str
    family: str
    device: str
    context: int
    threads: int


def loaded(module: str) -> AbstractContextManager[Any]:
    """Lend a module that works with engines, loaded only where it is needed: that takes a second."""
    loading = importlib.import_module("samproject.cli.trying.loading")
    lent: AbstractContextManager[Any] = loading.lend(module)
    return lent


def text_of(argument: str) -> str:
    """Return an argument, or the standard input where it is ``-``."""
    return sys.stdin.read() if argument == STDIN else argument
