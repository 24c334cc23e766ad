"""The runtimes there are, and what is known of each before anything of it is imported.

Every list of runtimes is made of this one: the registry's, the catalog's rules, the command line's.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from engines.specs import ModelSource

GROUP = "sam.runtimes"
"""Entry point group of plugins: the runtime's name, and a BaseModelEngine class."""
GPU_FIELDS = frozenset({"device", "gpu_layers", "split_mode", "main_gpu", "tensor_split"})
FLASH_ATTENTION = "use_flash_attention"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A runtime that SAM brings."""

    kind: str
    """Its class, as an entry point would name it."""
    source: ModelSource
    """Where its models may be in a catalog."""
    uses: frozenset[str] = frozenset()
    """Fields of ``ComputeSettings``, as a catalog entry names them, that it makes use of."""
    extra: str = ""
    """Of SAM's package, which has what it imports."""
    embeds_only: bool = False
    """Whether its models write no text."""
    server_decides: bool = False
    """Whether tools and answer formats are sent on, and what is done with them is its server's affair."""


BUILT_IN = {
    "llama_cpp": BuiltIn(
        "engines.runtimes.llama_cpp.engine:LlamaCppEngine",
        ModelSource.FILE,
        uses=GPU_FIELDS | {FLASH_ATTENTION, "batch_invariant"},
    ),
    "llama_server": BuiltIn(
        "engines.runtimes.programs.llama_server:LlamaServerEngine",
        ModelSource.FILE,
        uses=GPU_FIELDS | {FLASH_ATTENTION},
    ),
    "transformers": BuiltIn(
        "engines.runtimes.hugging_face.engine:HuggingFaceEngine",
        ModelSource.FOLDER,
        uses=frozenset({"device", "load_quantization", FLASH_ATTENTION}),
        extra="transformers",
    ),
    "openvino": BuiltIn(
        "engines.runtimes.openvino.engine:OpenVinoEngine",
        ModelSource.FOLDER,
        embeds_only=True,
    ),
    "vllm": BuiltIn(
        "engines.runtimes.programs.vllm:VllmEngine",
        ModelSource.FOLDER,
        extra="openai",
        server_decides=True,
    ),
    "ollama": BuiltIn(
        "engines.runtimes.servers.ollama:OllamaEngine",
        ModelSource.SERVER,
        uses=frozenset({"device", "gpu_layers", "main_gpu"}),
        extra="ollama",
        server_decides=True,
    ),
    "openai": BuiltIn(
        "engines.runtimes.servers.openai:OpenAICompatibleEngine",
        ModelSource.SERVER,
        extra="openai",
        server_decides=True,
    ),
}
ALIASES = {"gguf": "llama_cpp", "huggingface": "transformers"}
"""What people also call a runtime when they ask for a model by its type."""


def built_in_of(source: ModelSource) -> tuple[str, ...]:
    """Return the built-in runtimes of models in such a place."""
    return tuple(name for name, runtime in BUILT_IN.items() if runtime.source is source)


GGUF_RUNTIMES = frozenset(built_in_of(ModelSource.FILE))
"""Runtimes of GGUF files: how much memory a model takes is known from its header."""


def installed_plugins() -> list[EntryPoint]:
    """Return the runtimes that other packages announce; whether one can be used shows when it is loaded."""
    return list(entry_points(group=GROUP))


def list_runtimes() -> list[str]:
    """Return the runtimes that are built in and those that packages announce, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in installed_plugins())})


def list_model_types() -> list[str]:
    """Return every name by which a model's runtime can be asked for, sorted."""
    return sorted({*ALIASES, *list_runtimes()})
