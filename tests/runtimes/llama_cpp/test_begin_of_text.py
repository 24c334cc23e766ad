"""A prompt begins with the model's beginning-of-text as often as llama-server has it for the same file: once or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from llama_cpp import Llama

from deploy.demo.models.tiny_models import _LLAMA, LLAMA_TEMPLATE, _write_chat
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.generator import ContextLayout, Generator
from engines.runtimes.llama_cpp.native import load_model
from engines.runtimes.offload import Offload
from engines.runtimes.text.control_marks import make_literal

BEGIN = _LLAMA.first
WITH, WITHOUT = LLAMA_TEMPLATE, LLAMA_TEMPLATE.removeprefix("{{ bos_token }}")
CHAT: list[ChatMessage] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": f"What is {BEGIN}?"},
]
CONTINUED: list[ChatMessage] = [*CHAT, {"role": "assistant", "content": "It begins"}]
FILES = {
    "the file and the template": (True, WITH),
    "the file alone": (True, WITHOUT),
    "the template alone": (False, WITH),
    "neither": (False, WITHOUT),
}


class Reading:
    """A model in this process, and llama.cpp's own tokenizer of the same file."""

    kept: ClassVar[list[Reading]] = []
    """llama.cpp calls the log of the last model that was loaded, as long as the process lives."""

    def __init__(self, path: Path, *, adds: bool, template: str) -> None:
        self.kept.append(self)
        self.adds = adds
        self.writes = template is WITH
        self.model = load_model(str(path), Offload())
        self.generator = Generator(self.model, ContextLayout(length=0, parallel=1), threads=1)
        self.direct = Llama(str(path), vocab_only=True, verbose=False)
        self.begin = self.direct.token_bos()

    def tokens(self, text: str) -> list[int]:
        return list(self.generator.read(text).tokens)

    def as_server(self, prompt: str) -> list[int]:
        """As llama-server reads a rendered prompt: without the mark it adds itself, then with it."""
        text = prompt.removeprefix(BEGIN) if self.adds else prompt
        tokens: list[int] = self.direct.tokenize(text.encode(), add_bos=True, special=True)
        return tokens


@pytest.fixture(scope="module", params=list(FILES.values()), ids=list(FILES))
def reading(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Reading:
    adds, template = request.param
    family = replace(_LLAMA, add_first=adds, template=template)
    path = _write_chat(tmp_path_factory.mktemp("models") / "m.gguf", family, 1, 512)
    return Reading(path, adds=adds, template=template)


@pytest.mark.parametrize("messages", [CHAT, CONTINUED], ids=["chat", "continued"])
def test_a_chat_begins_once_where_the_file_or_its_template_wants_it(
    reading: Reading, messages: list[ChatMessage]
) -> None:
    prompt = reading.generator.format(messages)
    tokens = reading.tokens(prompt)

    # What a person wrote of it stays text.
    assert tokens.count(reading.begin) == tokens[:1].count(reading.begin)
    assert (tokens[0] == reading.begin) is (reading.adds or reading.writes)
    assert reading.generator.count(prompt, from_template=True) == len(tokens)
    plain: list[ChatMessage] = [{**message, "content": "Why?"} for message in messages]
    rendered = reading.generator.format(plain)
    assert reading.tokens(rendered) == reading.as_server(rendered)


@pytest.mark.parametrize("text", ["Stones", f"{BEGIN}Stones", make_literal("Stones")])
def test_a_raw_prompt_begins_once_where_the_file_wants_it_or_it_says_so(
    reading: Reading, text: str
) -> None:
    tokens = reading.tokens(text)

    assert tokens.count(reading.begin) == (reading.adds or text.startswith(BEGIN))
    assert tokens == reading.as_server(text.strip("\ufdd2\ufdd3"))
    assert reading.generator.count(text, from_template=False) == len(tokens)


def test_a_mark_that_a_person_wrote_first_in_a_raw_prompt_is_text(reading: Reading) -> None:
    tokens = reading.tokens(make_literal(f"{BEGIN}Stones"))

    assert tokens.count(reading.begin) == reading.adds
