"""How much to think: found by rendering, and told in the words or numbers that a template takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.notation.description import Switch
from engines.runtimes.notation.families import notation_of, takes_effort
from engines.runtimes.text.efforts import EffortForm, Efforts
from engines.specs import EngineSpec
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted
from tests.runtimes.notation.outputs import GPT, QWEN
from tests.runtimes.notation.test_outputs import derived

CHAT: list[ChatMessage] = [{"role": "user", "content": "Why?"}]
NEMOTRON = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% if loop.last and low_effort %}{{ '\\n\\n{reasoning effort: low}' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{{ '<think></think>' if enable_thinking is false else '<think>' }}"
    "{% endif %}"
)
SHOUTED = "{{ messages[0].content }}[{{ (reasoning_effort or 'medium') | upper }}]"
DEAF = "{{ messages[0].content }}{# reasoning_effort #}"
TURNS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
QWEN38 = (
    "{% set effort = reasoning_effort | default('xhigh') %}"
    "{% if effort in ['xhigh', 'high'] %}Think hard.{% elif effort == 'low' %}Think little.{% endif %}"
    "{# 'medium' #}"
) + TURNS
"""As Qwen 3.8's: unasked it thinks most, and what it does not know is its medium level."""
GLM52 = (
    "{% set e = 'high' if reasoning_effort == 'high' else 'max' %}Effort: {{ e | title }}" + TURNS
)
"""As GLM 5.2's: whatever is not high is its most."""
MISTRAL4 = (
    "{% set effort = reasoning_effort or 'none' %}{% if effort not in ['none', 'high'] %}"
    "{{ raise_exception('reasoning_effort must be none or high') }}{% endif %}"
    '[MODEL_SETTINGS]{"reasoning_effort": "{{ effort }}"}[/MODEL_SETTINGS]'
    "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}{# [THINK] [/THINK] #}"
)
"""As Mistral Small 4's: the settings stand before the user's turn, and nothing else is known."""
BROKEN = "{{ messages[0].content }}{{ 1 // 0 if reasoning_effort else '' }}"

FOUND: dict[str, Efforts | None] = {
    GPT: Efforts("reasoning_effort", EffortForm.NEAREST, ("low", "medium", "high")),
    "Kimi-K3": Efforts("thinking_effort", EffortForm.NEAREST, ("low", "high", "max")),
    "tencent-Hy3": Efforts("reasoning_effort", EffortForm.NEAREST, ("low", "high")),
    "deepseek-ai-DeepSeek-V4": Efforts("reasoning_effort", EffortForm.LISTED, ("max",)),
    "deepseek-ai-DeepSeek-V4-Flash-0731": Efforts(
        "reasoning_effort", EffortForm.LISTED, ("high", "max")
    ),
    "upstage-Solar-Open-100B": Efforts(
        "reasoning_effort", EffortForm.NEAREST, ("minimal", "low", "high")
    ),
    "ByteDance-Seed-OSS": Efforts("thinking_budget", EffortForm.NUMBER),
    "Cohere2MoE": None,
    "muse-glimmer": Efforts("reasoning_strength", EffortForm.NEAREST, ("low", "medium", "high")),
    QWEN: None,
}


def test_what_a_template_knows_of_efforts_is_found(real_templates: Mapping[str, str]) -> None:
    assert {name: derived(real_templates[name], "").efforts for name in FOUND} == FOUND


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (NEMOTRON, Efforts("low_effort", EffortForm.FLAG, ("low",))),
        (SHOUTED, Efforts("reasoning_effort", EffortForm.NEAREST, ("low", "medium", "high"))),
        (
            QWEN38,
            Efforts("reasoning_effort", EffortForm.NEAREST, ("low", "medium", "high", "xhigh")),
        ),
        (GLM52, Efforts("reasoning_effort", EffortForm.NEAREST, ("high", "max"))),
        (MISTRAL4, Efforts("reasoning_effort", EffortForm.NEAREST, ("high",))),
        (DEAF, None),
        (BROKEN, None),
    ],
)
def test_a_variable_counts_where_it_changes_the_prompt(source: str, found: Efforts | None) -> None:
    assert derived(source, "").efforts == found


TOLD: list[tuple[str, Any, dict[str, Any]]] = [
    (GPT, "high", {"reasoning_effort": "high"}),
    (GPT, "minimal", {"reasoning_effort": "low"}),
    (GPT, "xhigh", {"reasoning_effort": "high"}),
    (GPT, 31_999, {"reasoning_effort": "high"}),
    (GPT, 4096, {"reasoning_effort": "medium"}),
    (GPT, 1, {"reasoning_effort": "low"}),
    ("Kimi-K3", "medium", {"thinking_effort": "high"}),
    ("tencent-Hy3", "medium", {"reasoning_effort": "high"}),
    ("tencent-Hy3", "max", {"reasoning_effort": "high"}),
    ("deepseek-ai-DeepSeek-V4", "xhigh", {"reasoning_effort": "max"}),
    ("deepseek-ai-DeepSeek-V4", "medium", {}),
    ("deepseek-ai-DeepSeek-V4-Flash-0731", "xhigh", {"reasoning_effort": "max"}),
    ("deepseek-ai-DeepSeek-V4-Flash-0731", "low", {}),
    ("upstage-Solar-Open-100B", "medium", {"reasoning_effort": "high"}),
    ("ByteDance-Seed-OSS", "low", {"thinking_budget": 1024}),
    ("ByteDance-Seed-OSS", 700, {"thinking_budget": 700}),
    ("ByteDance-Seed-OSS", "max", {"thinking_budget": -1}),
    (QWEN, "high", {}),
]


@pytest.mark.parametrize(("template", "effort", "told"), TOLD)
def test_an_effort_is_told_as_the_template_takes_it(
    real_templates: Mapping[str, str], template: str, effort: Any, told: dict[str, Any]
) -> None:
    notation = derived(real_templates[template], "")

    assert notation.switch_variables(thinking=None, effort=effort) == told
    assert notation.takes_effort(effort) == (bool(told) or notation.is_quiet)
    off = notation.switch_variables(thinking=False, effort=effort)
    assert notation.switch is None or off == notation.switch_variables(thinking=False)


@pytest.mark.parametrize(
    ("source", "effort", "level"),
    [
        (QWEN38, "max", "xhigh"),
        (QWEN38, "minimal", "low"),
        (QWEN38, "medium", "medium"),
        (GLM52, "low", "high"),
        (GLM52, "xhigh", "max"),
    ],
)
def test_what_a_template_takes_for_another_level_is_the_nearest(
    source: str, effort: Any, level: str
) -> None:
    told = derived(source, "").switch_variables(thinking=None, effort=effort)

    assert told == {"reasoning_effort": level}


def test_an_effort_that_can_be_none_is_a_switch() -> None:
    notation = derived(MISTRAL4, "mistral")

    assert notation.switch == Switch("reasoning_effort", on="high", off="none")
    assert notation.switch_variables(thinking=False, effort="minimal") == {
        "reasoning_effort": "none"
    }
    assert notation.switch_variables(thinking=True, effort="low") == {"reasoning_effort": "high"}
    assert Efforts("e", EffortForm.NEAREST, ("high", "max")).variables("minimal") == {}


def test_a_flag_is_set_for_its_level_alone() -> None:
    notation = derived(NEMOTRON, "")

    assert notation.switch_variables(thinking=True, effort="minimal") == {
        "enable_thinking": True,
        "low_effort": True,
    }
    assert notation.switch_variables(thinking=None, effort="medium") == {}


SPOKEN = "{{ messages[-1].content }}{% if reasoning_effort is defined %} {{ reasoning_effort }}{% endif %}"


def test_an_engine_reads_the_effort_in_its_prompt(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", words(2), template=SPOKEN)
    with LlamaCppEngine.from_spec(EngineSpec("e", "E", str(path))) as engine:
        engine.load_model()

        def count(**options: Any) -> int:
            return engine.complete(CHAT, max_tokens=1, **options).prompt_tokens

        def count_text(text: str) -> int:
            return engine.count_prompt_tokens(f"Why?{text}")

        assert count() == count_text("")
        assert count(effort="high") == count_text(" high")
        assert count(effort="minimal") == count(thinking=False) == count_text(" low")
        assert count(effort=5000) == count_text(" medium")
        assert count(thinking=True) == count_text("")
        facts = engine.get_engine_info()
        assert takes_effort(facts, "high")
        assert notation_of(facts).ignores_thinking(thinking=True)
        assert not notation_of(facts).ignores_thinking(thinking=False)


def test_an_effort_switches_on_what_is_off_by_itself(
    real_templates: Mapping[str, str], tmp_path: Path
) -> None:
    template = real_templates["ibm-granite-granite-3.3-2B-Instruct"]
    path = write_scripted(tmp_path / "m.gguf", words(2), template=template, context=2048)
    form = {"response_format": {"type": "json_object"}}
    with LlamaCppEngine.from_spec(EngineSpec("e", "E", str(path))) as engine:
        engine.load_model()

        def count(**options: Any) -> int:
            return engine.complete(CHAT, max_tokens=1, **options).prompt_tokens

        assert count(effort="low") == count(thinking=True) > count()
        assert count(effort="low", thinking=False) == count(thinking=False)
        assert count(effort="low", **form) == count(thinking=False)
        assert takes_effort(engine.get_engine_info(), "low")


def test_an_effort_changes_something_where_no_reasoning_comes_unasked(
    real_templates: Mapping[str, str],
) -> None:
    quiet = {name for name, source in real_templates.items() if derived(source, "").is_quiet}

    assert {"ibm-granite-granite-3.3-2B-Instruct", "tencent-Hy3"} < quiet
    assert not quiet & {QWEN, "GLM-4.6", GPT, "ByteDance-Seed-OSS", "Kimi-K3"}
    assert not derived(real_templates[QWEN], "").takes_effort("low")
