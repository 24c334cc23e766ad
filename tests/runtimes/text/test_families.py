from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.models.tiny_models import LLAMA_TEMPLATE
from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import (
    DeepSeekEngine,
    LlamaCppEngine,
    LlamaEngine,
    QwenEngine,
)
from engines.runtimes.notation.description import THINK
from engines.runtimes.notation.families import FAMILIES, family_of
from engines.runtimes.text.generation import Piece
from engines.specs import EngineSpec
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted

CHAT: list[ChatMessage] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why?"},
]
SWITCH = LLAMA_TEMPLATE + (
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>' }}"
    "{% endif %}"
)
STRICT = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ '[' + message['role'] + ']' + message['content'] + '\\n' }}{% endfor %}"
)
SPOKEN = words(5)
THOUGHT, SAID = SPOKEN[:3], SPOKEN[3:]


@contextmanager
def _running(engine: LlamaCppEngine) -> Iterator[LlamaCppEngine]:
    with engine:
        engine.load_model()
        yield engine


def _reasoner(path: Path, marks: tuple[str, str] = THINK, template: str | None = None) -> str:
    script = [marks[0], *THOUGHT, marks[1], *SAID]
    return str(write_scripted(path / "m.gguf", script, marks=marks, template=template))


def test_deepseeks_reasoning_is_no_part_of_its_answer(tmp_path: Path) -> None:
    with _running(DeepSeekEngine("e", "E", _reasoner(tmp_path))) as engine:
        answer = engine.complete(CHAT, temperature=0)

        assert answer.text == "".join(SAID).lstrip()
        assert answer.reasoning == "".join(THOUGHT).lstrip()
        assert (len(answer.tokens), answer.finish_reason) == (7, "stop")
        assert engine.generate(CHAT, temperature=0) == answer.text
        assert "".join(engine.stream(CHAT, temperature=0)) == answer.text


def test_reasoning_streams_before_the_answer(tmp_path: Path) -> None:
    with _running(DeepSeekEngine("e", "E", _reasoner(tmp_path))) as engine:
        pieces = list(engine.stream_pieces(CHAT, temperature=0))

    thought = [Piece(word, is_reasoning=True) for word in THOUGHT]
    said = [Piece(word) for word in SAID]
    thought[0] = Piece(THOUGHT[0].lstrip(), is_reasoning=True)
    said[0] = Piece(SAID[0].lstrip())
    assert pieces == thought + said


def test_reasoning_that_the_template_opens_is_reasoning(tmp_path: Path) -> None:
    template = LLAMA_TEMPLATE + "{{ '<think>\\n' }}"
    script = [*THOUGHT, THINK[1], *SAID]
    path = write_scripted(tmp_path / "m.gguf", script, marks=THINK, template=template)

    with _running(DeepSeekEngine("e", "E", str(path))) as engine:
        answer = engine.complete(CHAT, temperature=0)

    assert answer.reasoning == "".join(THOUGHT).lstrip()
    assert answer.text == "".join(SAID).lstrip()


def test_answer_cut_while_thinking_has_reasoning_only(tmp_path: Path) -> None:
    with _running(DeepSeekEngine("e", "E", _reasoner(tmp_path))) as engine:
        answer = engine.complete(CHAT, temperature=0, max_tokens=3)

    assert (answer.text, answer.finish_reason) == ("", "length")
    assert answer.reasoning == "".join(THOUGHT[:2]).lstrip()


def test_qwens_thinking_can_be_switched_off(tmp_path: Path) -> None:
    with _running(QwenEngine("e", "E", _reasoner(tmp_path, template=SWITCH))) as engine:
        thinking = engine.complete(CHAT, temperature=0, thinking=True)
        silent = engine.complete(CHAT, temperature=0, thinking=False)

        assert thinking.reasoning == "".join(THOUGHT).lstrip()
        assert thinking.text == "".join(SAID).lstrip()
        assert (silent.reasoning, silent.text) == ("", "".join(SAID))
        with pytest.raises(InvalidRequestError, match="thinking must be true or false"):
            engine.complete(CHAT, thinking="yes")


@pytest.mark.parametrize("thinking", [True, False])
def test_a_model_that_always_reasons_does_so_whatever_is_asked(
    tmp_path: Path, *, thinking: bool
) -> None:
    with _running(DeepSeekEngine("e", "E", _reasoner(tmp_path))) as engine:
        answer = engine.complete(CHAT, temperature=0, thinking=thinking)

    assert answer.reasoning == "".join(THOUGHT).lstrip()


@pytest.mark.parametrize("thinking", [True, False])
def test_a_family_without_a_switch_answers_whatever_is_asked(
    tiny_llama: Path, *, thinking: bool
) -> None:
    with LlamaEngine("e", "E", str(tiny_llama)) as engine:
        engine.load_model()
        how: dict[str, Any] = {"temperature": 0, "max_tokens": 8}

        assert engine.generate(CHAT, thinking=thinking, **how) == engine.generate(CHAT, **how)


def test_family_without_reasoning_keeps_the_marks_as_text(tmp_path: Path) -> None:
    marks = ("<", ">")
    script = ["<", *THOUGHT, ">", *SAID]
    path = write_scripted(tmp_path / "m.gguf", script)

    with _running(LlamaEngine("e", "E", str(path))) as engine:
        assert engine.generate(CHAT, temperature=0) == "".join(
            [marks[0], *THOUGHT, marks[1], *SAID]
        )


def test_mistrals_marks_are_control_tokens_and_seen_all_the_same(tmp_path: Path) -> None:
    path = _reasoner(tmp_path, FAMILIES["mistral"].reasoning)
    spec = EngineSpec("e", "E", path, family="mistral")

    with _running(LlamaCppEngine.from_spec(spec)) as engine:
        answer = engine.complete(CHAT, temperature=0)

    assert answer.reasoning == "".join(THOUGHT).lstrip()
    assert answer.text == "".join(SAID).lstrip()


def test_any_family_gets_a_refused_system_message_with_the_users_first(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", SAID, template=STRICT)
    for family in ("gemma", "llama"):
        spec = EngineSpec("e", "E", str(path), family=family)
        with _running(LlamaCppEngine.from_spec(spec)) as engine:
            assert engine.format_prompt(CHAT) == "[user]Be brief.\n\nWhy?\n"
            assert engine.generate(CHAT, temperature=0) == "".join(SAID)
            assert engine.find_losses() == []


@pytest.mark.parametrize(
    ("name", "family"),
    [("qwen3", "qwen"), ("DeepSeek-R1", "deepseek"), ("phi4", "phi"), ("Mistral", "mistral")],
)
def test_family_is_known_by_the_beginning_of_its_name(name: str, family: str) -> None:
    assert family_of(name) is FAMILIES[family]


def test_unknown_family_has_no_peculiarities() -> None:
    family = family_of("abacus")

    assert (family.reasons, family.switch) == (False, None)
