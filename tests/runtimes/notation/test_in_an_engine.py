"""An engine of no known family reads its model's answers by the template in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engines.exceptions import InvalidRequestError
from engines.gguf.parts import read_model_header
from engines.runtimes.base import ChatMessage
from engines.runtimes.child.chat_template import ChatTemplate
from engines.runtimes.child.template_reading import read_abilities
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.notation.families import notation_of
from engines.services.catalog.shapes import abilities_in
from engines.specs import EngineSpec
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted

CHAT: list[ChatMessage] = [{"role": "user", "content": "Why?"}]
MARKS = ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>")
SPOKEN = words(5)
THOUGHT, SAID = SPOKEN[:3], SPOKEN[3:]


def test_marks_that_are_control_tokens_are_read_and_stop_words_are_the_answers(
    real_templates: Mapping[str, str], tmp_path: Path
) -> None:
    template = real_templates["CohereForAI-c4ai-command-r7b-12-2024-tool_use"] + "{{ '\\n' }}"
    script = [MARKS[0], *THOUGHT, MARKS[1], MARKS[2], *SAID, MARKS[3]]
    path = write_scripted(tmp_path / "m.gguf", script, template=template, marks=MARKS, context=2048)
    with LlamaCppEngine.from_spec(EngineSpec("e", "E", str(path), family="command-r")) as engine:
        engine.load_model()
        answer = engine.complete(CHAT, temperature=0)
        silent = engine.format_prompt(CHAT)
        stopped = engine.complete(CHAT, temperature=0, stop=[THOUGHT[1], SAID[1]])
        told = notation_of(engine.get_engine_info())

        assert answer.reasoning == "".join(THOUGHT).strip()
        assert answer.text == "".join(SAID).strip()
        assert (stopped.reasoning, stopped.text) == (answer.reasoning, SAID[0].strip())
        assert silent.rstrip().endswith("<|START_THINKING|><|END_THINKING|>")
        assert told.reasoning == MARKS[:2]
        assert told.switch is not None
        assert engine.complete(CHAT, temperature=0, thinking=False).text == answer.text
        with pytest.raises(InvalidRequestError, match="thinking must be true or false"):
            engine.complete(CHAT, thinking="yes")


def test_a_switch_in_words_stands_in_the_system_text(
    real_templates: Mapping[str, str], tmp_path: Path
) -> None:
    template = real_templates["NVIDIA-Nemotron-Nano-v2"] + "{{ '\\n' }}"
    path = write_scripted(tmp_path / "m.gguf", SAID, template=template, context=2048)
    ruled: list[ChatMessage] = [{"role": "system", "content": "Be brief."}, *CHAT]
    with LlamaCppEngine.from_spec(EngineSpec("e", "E", str(path))) as engine:
        engine.load_model()

        for messages in (CHAT, ruled):
            unasked, on, off = (
                engine.complete(messages, temperature=0, thinking=thinking)
                for thinking in (None, True, False)
            )
            thought = "".join(SAID).strip()
            assert (on.reasoning, on.text) == (unasked.reasoning, unasked.text) == (thought, "")
            assert (off.reasoning, off.text.strip()) == ("", thought)


def test_a_switch_in_words_that_the_template_does_not_know_reaches_the_model(
    tmp_path: Path,
) -> None:
    path = write_scripted(tmp_path / "m.gguf", SAID, template=PLAIN)
    with LlamaCppEngine.from_spec(
        EngineSpec("e", "E", str(path), family="llama-nemotron")
    ) as engine:
        engine.load_model()
        asked = [
            engine.complete(CHAT, max_tokens=1, thinking=thinking).prompt_tokens
            for thinking in (None, True, False)
        ]
        told = [
            engine.count_prompt_tokens(f"{system}[user]Why?")
            for system in ("", "[system]detailed thinking on", "[system]detailed thinking off")
        ]

    assert asked == told


def test_a_switch_that_nobody_asked_for_is_left_out_where_the_template_refuses_it(
    tmp_path: Path,
) -> None:
    template = (
        "{% if thinking is defined and not thinking and messages|length > 2 %}"
        "{{ raise_exception('it must think') }}{% endif %}"
        "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] }}{% endfor %}"
        "{% if thinking is defined and not thinking %}{{ '<think></think>' }}{% endif %}{{ '\\n' }}"
    )
    path = write_scripted(tmp_path / "m.gguf", SAID, template=template)
    talk: list[ChatMessage] = [*CHAT, {"role": "assistant", "content": "So."}, *CHAT]
    form = {"response_format": {"type": "json_object"}, "max_tokens": 4}
    with LlamaCppEngine.from_spec(EngineSpec("e", "E", str(path))) as engine:
        engine.load_model()

        assert engine.complete(talk, temperature=0, **form).text.startswith("{")
        with pytest.raises(InvalidRequestError, match="it must think"):
            engine.complete(talk, thinking=False)


PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


def test_a_file_with_a_template_for_tools_uses_it_for_tools(
    real_templates: Mapping[str, str], tmp_path: Path
) -> None:
    with_tools = real_templates["CohereForAI-c4ai-command-r7b-12-2024-tool_use"]
    path = write_scripted(
        tmp_path / "m.gguf", SAID, template=PLAIN, tool_template=with_tools, context=8192
    )
    tool = {"type": "function", "function": {"name": "moo", "parameters": {"type": "object"}}}
    with LlamaCppEngine.from_spec(EngineSpec("e", "E", str(path))) as engine:
        engine.load_model()
        told = notation_of(engine.get_engine_info())

        assert engine.format_prompt(CHAT) == "[user]Why?"
        rendered = ChatTemplate(with_tools, bos_token="", eos_token="").render(CHAT, [tool])
        asked = engine.complete(CHAT, tools=[tool], max_tokens=1)
        assert asked.prompt_tokens == engine.count_prompt_tokens(rendered)
        assert told.describes_tools
        assert told.calls.section == ("<|START_ACTION|>", "<|END_ACTION|>")
    assert not read_abilities(PLAIN).tools
    assert abilities_in(read_model_header(path))["tools"]


def test_the_name_of_a_template_is_none(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", SAID, template="mistral-v7-tekken")
    with LlamaCppEngine.from_spec(EngineSpec("e", "E", str(path))) as engine:
        engine.load_model()

        assert engine.get_engine_info()["chat_template"] is False
        with pytest.raises(InvalidRequestError, match="has no chat template"):
            engine.format_prompt(CHAT)
