"""How architectures differ in what their layers remember, as llama.cpp (July 2026) runs them.

Source: llama.cpp, ``src/models/*.cpp`` (the hyperparameters of each architecture) and
``llama_model::create_memory`` in ``src/llama-model.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sliding:
    """Layers that look back on a window: all but one of ``period``, unless the file lists them.

    ``period`` 0 means that the file must list them, 1 that it may. ``window`` is in tokens.
    """

    period: int
    dense_first: bool = False
    window: int = 0
    """Used when the file names none."""
    forced: bool = False
    """The file only says whether there is a window; how wide it is, llama.cpp decides."""
    everywhere: bool = False
    """Every layer with a cache, whatever the file lists."""


SLIDING: dict[str, Sliding] = {
    "afmoe": Sliding(4),
    "cohere2": Sliding(4),
    "cohere2moe": Sliding(4, dense_first=True),
    "exaone-moe": Sliding(4, window=128),
    "gemma2": Sliding(2, window=4096),
    "gemma3": Sliding(6),
    "gemma3n": Sliding(5),
    "gemma4": Sliding(0),
    "gpt-oss": Sliding(2),
    "granite_swa": Sliding(0),
    "laguna": Sliding(4, dense_first=True),
    "lfm2": Sliding(1, everywhere=True),
    "llama4": Sliding(4, window=8192, forced=True),
    "maple": Sliding(0),
    "mellum": Sliding(4),
    "mimo2": Sliding(0),
    "muse-glimmer": Sliding(4),
    "olmo2": Sliding(4),
    "plamo3": Sliding(8),
    "smallthinker": Sliding(4, dense_first=True, window=4096, forced=True),
    "spark2_5": Sliding(0),
    "step35": Sliding(0),
}
"""Other architectures keep the whole context even where their files name a window (Phi 3, Qwen 2)."""

EXAONE4_LAYERS_WITH_WINDOW = 64
EXAONE4 = Sliding(4, window=4096)
"""Only the model of 64 layers has a window."""

RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
"""All layers keep a state and none a cache."""

HYBRID_BY_HEADS = frozenset(
    {"bailingmoe3", "granitehybrid", "jamba", "kimi-linear", "lfm2", "lfm2moe", "plamo2"}
)
"""A layer without key/value heads keeps a state."""

HYBRID_BY_HEADS_AND_WIDTH = frozenset({"nemotron_h", "nemotron_h_moe"})
"""A layer has either heads, or a feed-forward width, or a state."""

HYBRID_BY_INTERVAL = {"minimax-01": 8, "qwen35": 4, "qwen35moe": 4, "qwen3next": 4}
"""One layer of so many attends to everything, unless the file says otherwise; the others keep a state."""

HYBRID_BOTH = frozenset({"falcon-h1"})
"""Each layer has a cache and a state."""

SHARED_FROM_LAYER = {"gemma3n": 20}
"""Layers from this one on read the cache of an earlier layer."""
SHARED_AS_THE_FILE_SAYS = frozenset({"gemma4"})

WITHOUT_CACHE = frozenset(
    {
        "bert",
        "dream",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llada",
        "llada-moe",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "rnd1",
    }
)
"""Encoders and diffusion models see a text at once and remember nothing."""

WITH_HEAD = frozenset({"dream", "llada", "llada-moe", "rnd1"})
"""Of those without a cache, the ones that write: the others have no output matrix to compute."""

ENCODERS_WITH_CACHE = frozenset({"t5encoder"})
"""Encoders for which llama.cpp sets a cache aside that nothing reads."""


def sees_texts_whole(architecture: str) -> bool:
    """Whether a token sees the tokens behind it as well."""
    return architecture in WITHOUT_CACHE | ENCODERS_WITH_CACHE


def writes(architecture: str) -> bool:
    """Whether each batch ends in the output matrix."""
    return architecture in WITH_HEAD or not sees_texts_whole(architecture)


SLIDING_ENCODERS = frozenset({"gemma-embedding", "modern-bert"})
"""Encoders of which some layers look at a window only."""

UPPER_BOUND_ONLY = frozenset(
    {
        "deepseek32",
        "deepseek4",
        "dflash",
        "dots3note",
        "glm-dsa",
        "glm5-next",
        "hy_v4",
        "kimi-k3",
        "minimax-m3",
        "qwen4exp",
    }
)
"""Their caches are of kinds not counted here; as if every layer kept keys, values and an index."""
