"""Chat templates and control tokens of folders, with a real tokenizer of the tokenizers library."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.hugging_face.engine import HuggingFaceEngine
from engines.runtimes.hugging_face.generator import Generator
from engines.runtimes.hugging_face.loading import Checkpoint, LoadSettings, load_checkpoint
from engines.runtimes.notation.families import family_of
from engines.runtimes.text.control_marks import make_literal, strip_enclosures
from engines.specs import EngineSpec
from tests.runtimes.child.test_chat_template import FOLDED
from tests.runtimes.family_marks import FAMILY_MARKS

HELLO: list[ChatMessage] = [{"role": "user", "content": "Hello"}]
TURNS = "{% for m in messages %}<|start_header_id|>{{ m.content }}<|eot_id|>{% endfor %}"
MARKS = sorted({mark for marks in FAMILY_MARKS.values() for mark in marks})
TOOL = {"type": "function", "function": {"name": "weather"}}


def with_template(folder: Path, source: str, target: Path) -> HuggingFaceEngine:
    copy = shutil.copytree(folder, target)
    (copy / "chat_template.jinja").write_text(source)
    return HuggingFaceEngine.from_spec(EngineSpec("e", "E", str(copy), threads=1, device="cpu"))


def test_a_template_computes_nothing_while_the_model_is_loaded(
    llama_folder: Path, tmp_path: Path
) -> None:
    """Folding its constants would take more than the box gives, and end the child."""
    source = "".join(FOLDED.values())
    with with_template(llama_folder, source, tmp_path / "greedy") as engine:
        engine.load_model()
        pid = engine.get_engine_info()["pid"]
        with pytest.raises(InvalidRequestError, match="template refuses these messages"):
            engine.generate(HELLO, max_tokens=2)

        assert engine.generate("Hello", max_tokens=2)
        assert engine.get_engine_info()["pid"] == pid


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("{% if a %}", "is not valid"), ("{{ 1 }}" * 200_000, "characters and the limit is 1048576")],
)
def test_a_template_that_is_none_or_too_long_is_refused_at_loading(
    source: str, sentence: str, llama_folder: Path, tmp_path: Path
) -> None:
    with (
        with_template(llama_folder, source, tmp_path / "wrong") as engine,
        pytest.raises(EngineError, match=sentence),
    ):
        engine.load_model()


def test_the_memory_of_the_child_is_what_was_counted_and_a_margin(llama_folder: Path) -> None:
    spec = EngineSpec("e", "E", str(llama_folder), threads=1, device="cpu")
    with HuggingFaceEngine.from_spec(spec) as engine:
        engine.load_model()
        limit = engine.get_engine_info()["sandbox"]["memory_bytes"]

        assert 3 * 2**30 < limit < 4 * 2**30


class Reader:
    """A generator without a process of its own, and what its tokenizer makes of texts."""

    def __init__(self, folder: Path) -> None:
        settings = LoadSettings("cpu", "", flash_attention=True)
        self.model: Checkpoint = load_checkpoint(str(folder), settings, generates=True)
        self.model.tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
        self.model.tokenizer.add_tokens(["<think>", "</think>"])
        self.model.tokenizer.chat_template = TURNS
        self.generator = Generator(self.model, 0, family_of("llama"))

    def control(self, tokens: list[int]) -> list[str]:
        """The control tokens among tokens, as they are written."""
        names: list[str] = self.model.tokenizer.convert_ids_to_tokens(tokens)
        added = {str(token) for token in self.model.tokenizer.added_tokens_decoder.values()}
        return [name for name in names if name in added]

    def said(self, tokens: list[int]) -> str:
        decoded: Any = self.model.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
        return str(decoded)


@pytest.fixture(scope="module")
def reader(llama_folder: Path) -> Reader:
    return Reader(llama_folder)


@pytest.mark.parametrize("family", FAMILY_MARKS)
def test_marks_of_every_family_in_what_people_write_are_text(reader: Reader, family: str) -> None:
    content = "".join(f" a{mark}b" for mark in (*FAMILY_MARKS[family], "<think>"))

    prompt = reader.generator.format([{"role": "user", "content": content}])
    tokens = reader.generator.tokens(prompt, from_template=True)

    # The template's own two, and none of the content's.
    assert reader.control(tokens) == ["<|start_header_id|>", "<|eot_id|>"]
    assert content in strip_enclosures(prompt)
    assert reader.said(tokens) == strip_enclosures(prompt)
    assert reader.generator.count(prompt, from_template=True) == len(tokens)
    # A document's text is counted as it will be read.
    assert reader.model.count(content) == len(tokens) - 2
    # The same text in a template would be control tokens.
    bare = reader.generator.tokens(strip_enclosures(prompt), from_template=True)
    assert len(reader.control(bare)) == 3 + len(FAMILY_MARKS[family])


def test_a_tool_and_its_result_make_no_control_tokens(reader: Reader) -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "<|eot_id|>"}}
    result: ChatMessage = {"role": "tool", "content": "<|eot_id|>", "tool_call_id": "1"}

    prompt = reader.generator.format([*HELLO, result], tools=[tool])
    tokens = reader.generator.tokens(prompt, from_template=True)

    turns = prompt.count("<|start_header_id|>")
    assert reader.control(tokens) == ["<|start_header_id|>", "<|eot_id|>"] * turns


def test_a_model_with_a_template_for_tools_uses_it_for_tools(reader: Reader) -> None:
    before = reader.model.tokenizer.chat_template
    reader.model.tokenizer.chat_template = {
        "default": "plain " + TURNS,
        "tool_use": "{{ tools[0].function | tojson }}" + TURNS,
        "rag": "{% if %}",
    }
    generator = Generator(reader.model, 0, family_of("llama"))
    reader.model.tokenizer.chat_template = before

    assert generator.format(HELLO) == "plain <|start_header_id|>Hello<|eot_id|>"
    assert generator.format(HELLO, tools=[TOOL]).startswith(
        '{"name": "weather"}<|start_header_id|>'
    )


def test_a_template_that_loses_system_text_gets_it_from_the_user(reader: Reader) -> None:
    before = reader.model.tokenizer.chat_template
    reader.model.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role != 'system' %}<|start_header_id|>{{ m.content }}<|eot_id|>"
        "{% endif %}{% endfor %}"
    )
    generator = Generator(reader.model, 0, family_of("llama"))
    reader.model.tokenizer.chat_template = before
    system: ChatMessage = {"role": "system", "content": "<|eot_id|>Be brief."}

    prompt = generator.format([system, *HELLO])

    assert strip_enclosures(prompt) == ("<|start_header_id|><|eot_id|>Be brief.\n\nHello<|eot_id|>")
    tokens = generator.tokens(prompt, from_template=True)
    assert reader.control(tokens) == ["<|start_header_id|>", "<|eot_id|>"]
    assert generator.find_losses() == []


@pytest.mark.parametrize("text", ["Stones", "<|begin_of_text|>Stones", make_literal("Stones")])
def test_a_raw_prompt_begins_once_with_the_beginning_of_text(reader: Reader, text: str) -> None:
    tokens = reader.generator.tokens(text, from_template=False)

    assert reader.control(tokens).count("<|begin_of_text|>") == 1
    assert tokens[0] == reader.model.tokenizer.bos_token_id
