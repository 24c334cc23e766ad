"""What a model thought before it called stands in the prompt of its next step, where its template shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from engines.runtimes.base import ChatMessage
from engines.runtimes.templates.shapes import TOOL
from tests.runtimes.templates.page import Tried

SHOWN = {
    *("Bielik-11B-v3.0-Instruct", "ByteDance-Seed-OSS", "Cohere2MoE", "GLM-4.6", "GLM-4.7-Flash"),
    *("CohereForAI-c4ai-command-r7b-12-2024-tool_use", "Kimi-K2-Thinking", "Kimi-K3"),
    *("LFM2.5-8B-A1B", "MiniMax-M2", "MiniMax-M3", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"),
    *("Qwen-Qwen3-0.6B", "Qwen3.5-4B", "Spark2.5", "StepFun3.5-Flash", "google-gemma-4-31B-it"),
    *("google-gemma-4-31B-it-interleaved", "inclusionai-ling-3.0-flash", "muse-glimmer"),
    *("mistralai-Ministral-3-14B-Reasoning-2512", "openai-gpt-oss-120b", "openbmb-MiniCPM5-1B"),
    *("poolside-Laguna-S-2.1", "poolside-Laguna-XS-2.1", "poolside-Laguna-XS.2", "tencent-Hy3"),
    "upstage-Solar-Open-100B",
}
"""Templates that show thoughts between the steps of one turn; the publishers of the others leave them out."""
ONLY_WHILE_THINKING = {
    "Reka-Edge",
    "deepseek-ai-DeepSeek-V3.2",
    "deepseek-ai-DeepSeek-V4",
    "deepseek-ai-DeepSeek-V4-Flash-0731",
}
"""Those that show them when they are asked to think."""


def step(number: int) -> Sequence[ChatMessage]:
    key = f"call_{number:024}"
    function = TOOL["function"]["name"]
    return [
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": f"THOUGHT{number}",
            "tool_calls": [
                {
                    "id": key,
                    "type": "function",
                    "function": {"name": function, "arguments": f'{{"number": {number}}}'},
                }
            ],
        },
        {"role": "tool", "content": f"RESULT{number}", "tool_call_id": key},
    ]


STEPS: Sequence[ChatMessage] = [{"role": "user", "content": "Hello."}, *step(1), *step(2)]


def shows(prompt: str) -> bool:
    """Whether both thoughts stand there, each once and before its result."""
    words = ("THOUGHT1", "RESULT1", "THOUGHT2", "RESULT2")
    places = [prompt.find(word) for word in words]
    assert prompt.count("THOUGHT1") <= 1
    return -1 not in places and places == sorted(places)


def test_thoughts_between_calls_are_given_as_each_template_reads_them(
    real_templates: Mapping[str, str],
) -> None:
    every = [Tried(name, source) for name, source in real_templates.items()]
    shown = {tried.name for tried in every if shows(tried.render(STEPS, [TOOL]))}

    assert shown == SHOWN
    thinking = {
        tried.name
        for tried in every
        if tried.name not in shown
        and tried.notation.switch
        and shows(
            tried.conversations.render(
                STEPS, [TOOL], tried.notation.switch_variables(thinking=True)
            )
        )
    }
    assert thinking == ONLY_WHILE_THINKING


@pytest.mark.parametrize("said", ["", "Let me look."])
def test_a_text_beside_a_thought_is_not_lost(real_templates: Mapping[str, str], said: str) -> None:
    """gpt-oss' template takes one of both, and says so."""
    (first, *rest) = step(1)
    for name in SHOWN:
        prompt = Tried(name, real_templates[name]).render(
            [STEPS[0], {**first, "content": said}, *rest], [TOOL]
        )
        assert said in prompt, name
        assert "RESULT1" in prompt, name
