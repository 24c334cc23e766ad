"""What was read of a conversation is not read again, by its owner only, and says the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.models.tiny_models import write_llama_chat, write_lora_for
from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.runtimes.text.generation import Generation
from engines.specs import AdapterSpec, EngineSpec
from tests.runtimes.llama_cpp.forgetful_model import write_recurrent, write_windowed
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted

PROMPT_BATCH = 128
LEAST = 512
WORDS = ("harbour", "stone", "bread", "market", "water", "light")
Say = Callable[..., Generation]


def text(seed: int, length: int) -> str:
    return " ".join(WORDS[(seed + number * number) % len(WORDS)] for number in range(length))


@dataclass
class Conversation:
    """One that goes on with the same words whoever answers it."""

    number: int
    messages: list[ChatMessage] = field(default_factory=list)

    def next(self, length: int = 60) -> list[ChatMessage]:
        turn = len(self.messages)
        if self.messages:
            self.messages.append({"role": "assistant", "content": text(turn, 30)})
        self.messages.append(
            {"role": "user", "content": f"{self.number} {text(turn + self.number, length)}"}
        )
        return list(self.messages)


@pytest.fixture(scope="module")
def long_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama_chat(tmp_path_factory.mktemp("models") / "l.gguf", context_length=4096)


def exact(path: Path, parallel: int = 4) -> LlamaCppEngine:
    """An engine whose bits depend on nobody else, so that answers can be compared."""
    spec = EngineSpec("exact", "Exact", str(path), context_length=2048, batch_invariant=True)
    engine = LlamaCppEngine.from_spec(spec, LlamaOptions(parallel=parallel))
    engine.load_model()
    return engine


@pytest.fixture(scope="module")
def engine(long_llama: Path) -> Iterator[LlamaCppEngine]:
    with exact(long_llama) as engine:
        yield engine


@pytest.fixture(scope="module")
def say(engine: LlamaCppEngine) -> Say:
    return lambda messages, **how: engine.complete(messages, max_tokens=24, temperature=0, **how)


def test_a_conversation_goes_on_where_it_was_and_says_the_same(say: Say) -> None:
    conversation = Conversation(1)
    before = 0
    for turn in range(6):
        messages = conversation.next(300 if turn == 0 else 60)
        fresh = say(messages)

        answer = say(messages, owner="ada")

        assert (fresh.reused_tokens, answer.reused_tokens) == (0, before)
        assert (answer.tokens, answer.prompt_tokens) == (fresh.tokens, fresh.prompt_tokens)
        whole = answer.prompt_tokens // PROMPT_BATCH * PROMPT_BATCH
        before = whole if whole >= LEAST else 0
    assert before > LEAST


def test_conversations_side_by_side_are_told_apart(say: Say) -> None:
    conversations = {name: Conversation(number) for number, name in enumerate("abc", 10)}
    for name, conversation in conversations.items():
        say(conversation.next(500), owner=name)
    for _ in range(2):
        for name, conversation in conversations.items():
            messages = conversation.next()

            answer = say(messages, owner=name)

            assert answer.reused_tokens >= LEAST
            assert answer.tokens == say(messages).tokens


def test_what_one_owner_asked_is_not_there_for_another_or_for_nobody(say: Say) -> None:
    messages = Conversation(20).next(500)
    say(messages, owner="ada")

    assert say(messages, owner="eve").reused_tokens == 0
    assert say(messages).reused_tokens == 0
    assert say(messages).reused_tokens == 0
    assert say(messages, owner="ada").reused_tokens >= LEAST


def test_only_what_begins_alike_is_used_and_one_token_is_always_computed(say: Say) -> None:
    messages = Conversation(30).next(700)
    first = say(messages, owner="ada")
    content = messages[0]["content"]
    other: list[ChatMessage] = [
        {"role": "user", "content": content[: len(content) // 2] + text(4, 200)}
    ]

    half = say(other, owner="ada")
    again = say(other, owner="ada")

    assert 0 < half.reused_tokens < first.prompt_tokens - PROMPT_BATCH
    assert half.reused_tokens % PROMPT_BATCH == 0
    assert half.reused_tokens < again.reused_tokens < again.prompt_tokens
    assert half.tokens == again.tokens == say(other).tokens


def test_a_short_prompt_and_one_that_was_left_early_keep_nothing(
    say: Say, engine: LlamaCppEngine
) -> None:
    short = Conversation(40).next(100)
    assert say(short, owner="ada").prompt_tokens < LEAST
    assert say(short, owner="ada").reused_tokens == 0

    left = threading.Event()
    left.set()
    long = Conversation(41).next(700)
    assert not list(engine.stream_pieces(long, cancelled=left, owner="ada"))
    assert say(long, owner="ada").reused_tokens == 0


def test_adapters_have_beginnings_of_their_own(
    tmp_path: Path, long_llama: Path, engine: LlamaCppEngine
) -> None:
    path = write_lora_for(tmp_path / "lora.gguf", long_llama)
    adapted: Any = engine.with_adapters((AdapterSpec(str(path)),))
    messages = Conversation(50).next(500)
    how = {"max_tokens": 24, "temperature": 0, "owner": "ada"}

    plain = engine.complete(messages, **how)
    first = adapted.complete(messages, **how)
    second = adapted.complete(messages, **how)

    assert (plain.reused_tokens, first.reused_tokens) == (0, 0)
    assert second.reused_tokens >= LEAST
    assert second.tokens == first.tokens != plain.tokens


def test_beginnings_that_nobody_uses_make_way(tmp_path: Path) -> None:
    script = words(50)
    path = write_scripted(tmp_path / "sure.gguf", script, context=1024)
    spec = EngineSpec("small", "Small", str(path), context_length=1024)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()

        def said(prompt: str, owner: str) -> Generation:
            return engine.complete(prompt, temperature=0, max_tokens=40, owner=owner)

        prompts = {f"p{number}": "water " * (180 + number) + script[number] for number in range(8)}
        alone = {name: said(prompt, "").tokens for name, prompt in prompts.items()}
        for _ in range(2):
            with ThreadPoolExecutor(8) as pool:
                answers = dict(zip(prompts, pool.map(said, prompts.values(), prompts), strict=True))
            assert {name: answer.tokens for name, answer in answers.items()} == alone
        assert said(prompts["p0"], "p0").tokens == alone["p0"]
        assert said(prompts["p0"], "p0").reused_tokens >= LEAST


def test_more_owners_than_places_push_the_longest_unused_out(long_llama: Path) -> None:
    with exact(long_llama, parallel=2) as engine:
        asked = {name: Conversation(number).next(500) for number, name in enumerate("abc")}

        def reused(name: str) -> int:
            answer = engine.complete(asked[name], max_tokens=2, temperature=0, owner=name)
            return answer.reused_tokens

        assert [reused(name) >= LEAST for name in "aaba"] == [False, True, False, True]
        assert reused("c") == 0
        assert (reused("a") >= LEAST, reused("b")) == (True, 0)


@pytest.mark.parametrize("write", [write_windowed, write_recurrent])
def test_a_model_that_does_not_keep_every_token_reads_all_again(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    spec = EngineSpec("f", "F", str(write(tmp_path / "f.gguf")), context_length=2048)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        messages = Conversation(60).next(500)
        answers = [
            engine.complete(messages, max_tokens=24, temperature=0, owner=owner)
            for owner in ("", "ada", "ada")
        ]

    assert answers[0].prompt_tokens > LEAST
    assert [answer.reused_tokens for answer in answers] == [0, 0, 0]
    assert answers[0].tokens == answers[1].tokens == answers[2].tokens


def test_an_owner_is_a_text(say: Say) -> None:
    with pytest.raises(InvalidRequestError, match="owner must be a text"):
        say("Hello", owner=7)
