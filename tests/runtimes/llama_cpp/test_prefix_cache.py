"""What was read of a conversation is not read again, by its owner only, and says the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.demo.models.tiny_models import write_llama_chat, write_lora_for
from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.checkpoints import Checkpoints
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.runtimes.text.generation import Generation
from engines.specs import AdapterSpec, EngineSpec
from tests.runtimes.llama_cpp.forgetful_model import (
    write_hybrid,
    write_recurrent,
    write_windowed,
)
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted

PROMPT_PIECE = 64
LEAST = 512
CHANGED_END = 16
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
        whole = answer.prompt_tokens // PROMPT_PIECE * PROMPT_PIECE
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

    assert 0 < half.reused_tokens < first.prompt_tokens - PROMPT_PIECE
    assert half.reused_tokens % PROMPT_PIECE == 0
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


@pytest.fixture(
    scope="module",
    params=[write_windowed, write_recurrent, write_hybrid],
    ids=lambda write: write.__name__,
)
def forgetful(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LlamaCppEngine]:
    """An engine of a model that cannot be cut back, each kind with the bits it can keep."""
    path = request.param(tmp_path_factory.mktemp("models") / "f.gguf")
    spec = EngineSpec(
        "f",
        "F",
        str(path),
        context_length=4096,
        # A restored window has its cells in another order; half precision would let words that tie swap.
        use_flash_attention=False,
        batch_invariant=request.param is not write_windowed,
    )
    # The more places, the longer a window's cells stay although they are not needed any more.
    with LlamaCppEngine.from_spec(spec, LlamaOptions(parallel=2)) as engine:
        engine.load_model()
        yield engine


def test_a_model_that_forgets_goes_on_from_where_a_prompt_nearly_ended(
    forgetful: LlamaCppEngine,
) -> None:
    def say(messages: Sequence[ChatMessage], owner: str = "", max_tokens: int = 12) -> Generation:
        return forgetful.complete(messages, max_tokens=max_tokens, temperature=0, owner=owner)

    conversation = Conversation(60)
    before = 0
    for turn in range(3):
        # The first one ends shortly behind its checkpoint, so that its answer depends on what was there.
        messages = conversation.next(335 if turn == 0 else 40)
        fresh = say(messages)

        # Longer than what stays of a window in cells that nobody has needed yet.
        answer = say(messages, owner="ada", max_tokens=400 if turn == 0 else 12)

        assert (fresh.reused_tokens, answer.reused_tokens) == (0, before)
        assert answer.tokens[:12] == fresh.tokens
        before = (answer.prompt_tokens - CHANGED_END) // PROMPT_PIECE * PROMPT_PIECE
        assert before >= LEAST
        again = say(messages, owner="ada")
        assert (again.reused_tokens, again.tokens) == (before, fresh.tokens)
        # And once more, given up after the first words.
        leave = threading.Event()
        pieces = forgetful.stream_pieces(messages, cancelled=leave, temperature=0, owner="ada")
        next(pieces)
        leave.set()
        list(pieces)
    assert say(conversation.messages, owner="eve").reused_tokens == 0


def test_a_model_that_forgets_goes_on_from_where_prompts_part(forgetful: LlamaCppEngine) -> None:
    say = partial(forgetful.complete, max_tokens=12, temperature=0)
    instructions = text(3, 330)
    asked: list[list[ChatMessage]] = [
        [
            {"role": "system", "content": instructions},
            {"role": "user", "content": text(number, 90 + 5 * number)},
        ]
        for number in range(3)
    ]

    answers = [say(messages, owner="bob") for messages in asked]

    assert answers[2].tokens == say(asked[2]).tokens
    assert [answer.reused_tokens >= LEAST for answer in answers] == [False, False, True]


@pytest.mark.parametrize("forgetful", [write_windowed, write_hybrid], indirect=True)
def test_a_model_that_forgets_has_checkpoints_for_each_set_of_adapters(
    forgetful: LlamaCppEngine, tmp_path: Path
) -> None:
    path = write_lora_for(tmp_path / "lora.gguf", Path(forgetful.model_path))
    adapted: Any = forgetful.with_adapters((AdapterSpec(str(path)),))
    messages = Conversation(70).next(350)
    how = {"max_tokens": 12, "temperature": 0, "owner": "cleo"}

    plain, first, second = (
        each.complete(messages, **how) for each in (forgetful, adapted, adapted)
    )

    assert (plain.reused_tokens, first.reused_tokens) == (0, 0)
    assert second.reused_tokens >= LEAST
    assert second.tokens == first.tokens != plain.tokens


def test_a_window_of_an_engine_that_promises_its_bits_is_read_again(tmp_path: Path) -> None:
    with exact(write_windowed(tmp_path / "w.gguf")) as engine:
        messages = Conversation(80).next(350)
        answers = [engine.complete(messages, max_tokens=2, owner="ada") for _ in range(2)]

    assert [answer.reused_tokens for answer in answers] == [0, 0]


class Memory:
    """A context whose sequences are remembered by numbers; nothing is computed."""

    def __init__(self) -> None:
        self.sizes = {0: 10, 1: 10, 2: 10}
        self.set: list[tuple[int, int]] = []

    def state_size(self, sequence: int) -> int:
        return self.sizes[sequence]

    def state(self, sequence: int, size: int) -> NDArray[np.uint8]:
        return np.full(size, sequence, np.uint8)

    def set_state(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        assert set(state) == {sequence}
        return True

    def forget(self, sequence: int, start: int) -> bool:
        self.set.append((sequence, start))
        return True


def test_checkpoints_exceed_neither_their_number_nor_their_bytes() -> None:
    memory = Memory()
    kept = Checkpoints(cast(Any, memory), most=3, most_bytes=35)
    for sequence, length in ((0, 512), (1, 512), (0, 1024)):
        kept.save(sequence, length)
    assert kept.restore(1, 512)
    kept.save(1, 640)
    # The longest unused one went.
    assert [kept.longest(0, 4096), kept.longest(0, 1023), kept.longest(1, 639)] == [1024, 0, 512]

    memory.sizes[2] = 30
    kept.save(2, 512)
    assert (kept.size, kept.longest(2, 512), kept.longest(1, 4096)) == (30, 512, 0)
    memory.sizes[0] = 36
    kept.save(0, 512)
    assert (kept.size, kept.longest(0, 512)) == (30, 0)

    memory.sizes[2] = 2
    kept.save(2, 640)
    assert kept.restore(2, 512)
    assert (kept.longest(2, 4096), memory.set) == (512, [(1, 512), (2, 512)])
    kept.drop(2)
    assert kept.size == 0


def test_an_owner_is_a_text(say: Say) -> None:
    with pytest.raises(InvalidRequestError, match="owner must be a text"):
        say("Hello", owner=7)
