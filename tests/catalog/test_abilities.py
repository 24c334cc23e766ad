"""What a file's chat template shows is what the catalog says of its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.demo.models import tiny_models
from engines.exceptions import EngineError
from engines.gguf.reader import read_header
from engines.models import CatalogModel, ModelRevision
from engines.runtimes.child.template_reading import (
    NOTHING,
    TemplateAbilities,
    derive_abilities,
    read_abilities,
)
from engines.services.catalog.capabilities import (
    Ability,
    ToolUse,
    ability_filter,
    capabilities_of,
)
from engines.services.catalog.shapes import abilities_in

WITHOUT_TOOLS = {
    "HuggingFaceTB-SmolLM3-3B",
    "google-gemma-2-2b-it",
    "llama-cpp-deepseek-r1",
    "llama-cpp-rwkv-world",
    "microsoft-Phi-3.5-mini-instruct",
}
AT_ONCE = {
    *("CohereForAI-c4ai-command-r-plus-tool_use", "GigaChat3-10B-A1.8B", "GigaChat3.1-10B-A1.8B"),
    *("Kimi-K2-Instruct", "moonshotai-Kimi-K2", "LFM2-8B-A1B", "LFM2.5-Instruct", "MiMo-VL"),
    *("MiniMax-M1", "Mistral-Small-3.2-24B-Instruct-2506", "mistralai-Mistral-Nemo-Instruct-2407"),
    *("NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "Qwen3-Coder", "Qwen-Qwen2.5-7B-Instruct"),
    *("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "fireworks-ai-llama-3-firefunction-v2"),
    *("google-gemma-2-2b-it", "ibm-granite-granite-4.0", "ibm-granite-granite-4.1"),
    *("meetkai-functionary-medium-v3.1", "meetkai-functionary-medium-v3.2"),
    *("meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.2-3B-Instruct"),
    *("meta-llama-Llama-3.3-70B-Instruct", "microsoft-Phi-3.5-mini-instruct"),
    "unsloth-mistral-Devstral-Small-2507",
}
"""Templates that show no reasoning; MiMo-VL and MiniMax-M1 are read all the same when they write one."""
ABLE = {"tools": True, "thinks": True, "switches": True}


def test_real_templates_show_what_their_models_can(real_templates: Mapping[str, str]) -> None:
    found = {name: derive_abilities(source) for name, source in real_templates.items()}

    assert {name for name, shown in found.items() if not shown.tools} == WITHOUT_TOOLS
    assert {name for name, shown in found.items() if not shown.thinks} == AT_ONCE
    named = "{% for tool in xml_tools or [] %}{{ tool.function.name }}{% endfor %}{{ messages[0].content }}"
    assert derive_abilities(named) == TemplateAbilities(tools=True, thinks=False, switches=False)
    assert found["Qwen-Qwen3-0.6B"] == TemplateAbilities(**ABLE)
    assert [name for name, shown in found.items() if shown.switches and not shown.thinks] == []


def test_a_template_is_rendered_in_a_process_of_its_own(tmp_path: Path) -> None:
    header = read_header(tiny_models.write_llama_chat(tmp_path / "m.gguf"))

    assert abilities_in(header) == {"tools": False, "thinks": False, "switches": False}
    assert read_abilities("") == NOTHING
    with pytest.raises(EngineError, match="not valid"):
        read_abilities("{% for %}")


@pytest.mark.parametrize(
    ("family", "abilities", "tools", "thinks"),
    [
        ("qwen", {}, True, True),
        ("qwen", {**ABLE, "thinks": False, "switches": False}, True, False),
        ("smollm", {}, True, False),
        ("smollm", ABLE, True, True),
        ("gemma", {}, False, False),
        ("gemma", ABLE, True, True),
    ],
)
def test_the_template_is_believed_before_the_family(
    db: None, family: str, abilities: dict[str, bool], tools: bool, thinks: bool
) -> None:
    model = CatalogModel.objects.create(model_id="m", display_name="M", model_family=family)
    model.current_revision = ModelRevision.objects.create(
        model=model, commit="a" * 40, file_size=1, abilities=abilities
    )
    model.save()

    can = capabilities_of(model)

    assert (can.tools is ToolUse.TRAINED, can.thinks) == (tools, thinks)
    assert CatalogModel.objects.filter(ability_filter(Ability.TOOLS)).exists() == tools
    assert CatalogModel.objects.filter(ability_filter(Ability.THINKING)).exists() == thinks
