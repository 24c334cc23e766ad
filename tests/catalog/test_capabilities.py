from __future__ import annotations

import pytest

from engines.models import CatalogModel, ModelRevision
from engines.services.catalog.capabilities import (
    Capabilities,
    JsonUse,
    ToolUse,
    capabilities_of,
    lost_capabilities,
)
from engines.services.catalog.hub_search import suggest_entry

ABLE = Capabilities(ToolUse.TRAINED, JsonUse.HELD, thinks=True, can_switch_thinking=True, context=8)


def of(family: str, runtime: str = "llama_cpp", **fields: int) -> Capabilities:
    return capabilities_of(CatalogModel(model_family=family, runtime=runtime, **fields))


@pytest.mark.parametrize(
    ("family", "runtime", "expected"),
    [
        ("qwen3", "llama_cpp", (ToolUse.TRAINED, JsonUse.HELD, True, True)),
        ("gemma", "llama_cpp", (ToolUse.WRITTEN, JsonUse.HELD, False, False)),
        ("deepseek", "llama_cpp", (ToolUse.WRITTEN, JsonUse.HELD, True, False)),
        ("nemotron", "llama_cpp", (ToolUse.WRITTEN, JsonUse.HELD, False, False)),
        ("llama-nemotron", "llama_cpp", (ToolUse.TRAINED, JsonUse.HELD, True, True)),
        ("llama", "transformers", (ToolUse.TRAINED, JsonUse.NONE, False, False)),
        ("mistral", "llama_cpp", (ToolUse.TRAINED, JsonUse.HELD, False, False)),
        ("smollm2", "llama_cpp", (ToolUse.TRAINED, JsonUse.HELD, False, False)),
        ("qwen", "ollama", (ToolUse.SERVER, JsonUse.SERVER, True, True)),
        ("never-heard-of", "a-plugin", (ToolUse.WRITTEN, JsonUse.NONE, False, False)),
    ],
)
def test_family_and_runtime_say_what_it_can_do(
    family: str, runtime: str, expected: tuple[object, ...]
) -> None:
    found = of(family, runtime)

    assert (found.tools, found.json, found.thinks, found.can_switch_thinking) == expected


@pytest.mark.parametrize(
    ("stated", "facts", "shape", "context"),
    [(0, 0, 0, 0), (4096, 0, 0, 4096), (4096, 32768, 0, 4096), (0, 0, 2048, 2048), (9, 8, 7, 8)],
)
def test_the_context_is_the_models_own_or_what_a_curator_left_of_it(
    stated: int, facts: int, shape: int, context: int
) -> None:
    model = CatalogModel(model_family="llama", context_length=stated)
    revision = ModelRevision(
        facts={"context_length": facts} if facts else {},
        shape={"context_length": shape} if shape else {},
    )

    assert capabilities_of(model, revision).context == context


def test_who_loses_nothing_is_told_nothing() -> None:
    assert lost_capabilities(ABLE, ABLE) == []
    assert lost_capabilities(of("gemma"), ABLE) == []


def test_each_loss_is_a_sentence() -> None:
    lost = lost_capabilities(ABLE, of("gemma", "transformers"))

    assert len(lost) == 3
    assert "not trained to call tools" in lost[0]
    assert "refused" in lost[1]
    assert "does not reason" in lost[2]
    assert lost_capabilities(ABLE, of("deepseek"))[1:] == ["Its reasoning cannot be switched off."]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("nvidia/Llama-3.1-Nemotron-Nano-8B-v1-GGUF", "llama-nemotron"),
        ("x/Llama-3.1-Nemotron-Nano-4B-v1.1-GGUF", "llama-nemotron"),
        ("Llama-3_3-Nemotron-Super-49B-v1.Q4_K_M.gguf", "llama-nemotron"),
        ("x/nvidia_Llama-3_1-Nemotron-Ultra-253B-v1-GGUF", "llama-nemotron"),
        ("x/Llama-3_3-Nemotron-Super-49B-v1_5-GGUF", "llama"),
        ("x/Llama-3.1-Nemotron-70B-Instruct-HF-GGUF", "llama"),
        ("x/NVIDIA-Nemotron-Nano-9B-v2-GGUF", "nemotron"),
        ("x/Nemotron-Mini-4B-Instruct-GGUF", "nemotron"),
        ("unsloth/DeepSeek-R1-Distill-Llama-8B-GGUF", "deepseek"),
        ("x/Mixtral-8x7B-Instruct-v0.1-GGUF", "mistral"),
        ("x/Ministral-8B-Instruct-2410-GGUF", "mistral"),
        ("x/QwQ-32B-GGUF", "qwen"),
        ("x/Dolphin-X1-8B-GGUF", "dolphin"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama"),
    ],
)
def test_a_family_is_suggested_by_the_most_of_a_name(name: str, family: str) -> None:
    assert suggest_entry(name).model_family == family
