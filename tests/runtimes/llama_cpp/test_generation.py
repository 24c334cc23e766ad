from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_cpp import Llama

from engines.exceptions import (
    AdapterMismatchError,
    ArtifactMissingError,
    EngineError,
    InvalidRequestError,
    UnsafeModelFileError,
)
from engines.runtimes.base import ChatMessage, ModelStatus
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.specs import AdapterSpec, EmbeddingSpec, EngineSpec

PROMPTS = ["The harbour at night", "Why is bread salted?", "1 2 3 4", "Grüße 👋 <|eot_id|> x", " "]
CHAT: list[ChatMessage] = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "Where does the river end?"},
]


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    spec = EngineSpec("llama", "Tiny llama", str(tiny_llama), threads=1)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        yield engine


def _direct(path: Path, **options: Any) -> Llama:
    # With flash attention, as the engine: without it two logits that nearly tie change places.
    return Llama(str(path), n_ctx=0, verbose=False, n_threads=1, flash_attn=True, **options)


def _with_adapter(base: Path, adapter: Path, scale: float = 1.0) -> LlamaCppEngine:
    adapters = (AdapterSpec(str(adapter), scale),)
    return LlamaCppEngine.from_spec(EngineSpec("a", "A", str(base), adapters=adapters))


@pytest.mark.parametrize("model", ["tiny_llama", "tiny_qwen"])
def test_greedy_answers_equal_llama_cpp_python_called_directly(
    model: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(model)
    direct = _direct(path)

    with LlamaCppEngine("e", "E", str(path)) as engine:
        engine.load_model()
        for prompt in PROMPTS:
            expected: Any = direct.create_completion(prompt, temperature=0, max_tokens=40)
            assert (
                engine.generate(prompt, temperature=0, max_tokens=40)
                == (expected["choices"][0]["text"])
            )
        messages: list[Any] = list(CHAT)
        chat: Any = direct.create_chat_completion(messages, temperature=0, max_tokens=40)
        assert (
            engine.generate(CHAT, temperature=0, max_tokens=40)
            == (chat["choices"][0]["message"]["content"])
        )


def test_greedy_tokens_equal_llama_cpp_python_called_directly(
    llama: LlamaCppEngine, tiny_llama: Path
) -> None:
    direct = _direct(tiny_llama)
    prompt = direct.tokenize(b"The harbour at night", add_bos=True, special=True)
    expected = []
    for token in direct.generate(prompt, temp=0):
        expected.append(token)
        if len(expected) == 64:
            break

    answer = llama.complete("The harbour at night", temperature=0, max_tokens=64)

    assert list(answer.tokens) == expected
    assert answer.prompt_tokens == len(prompt)
    assert answer.finish_reason == "length"


def test_empty_prompt_is_refused_where_the_model_has_no_beginning_token(tiny_qwen: Path) -> None:
    with LlamaCppEngine("e", "E", str(tiny_qwen)) as engine:
        engine.load_model()
        with pytest.raises(InvalidRequestError, match="prompt is empty"):
            engine.generate("")
        assert engine.generate("Stones", temperature=0, max_tokens=2)


def test_same_seed_same_answer_and_another_seed_another(llama: LlamaCppEngine) -> None:
    first, again, other = (
        llama.generate("Stones", temperature=1.0, seed=seed, max_tokens=30) for seed in (7, 7, 8)
    )

    assert first == again
    assert first != other


def test_stop_word_ends_the_answer_before_it_and_never_shows_part_of_it(
    llama: LlamaCppEngine,
) -> None:
    whole = llama.generate("Stones", temperature=0, max_tokens=40)
    word = whole[len(whole) // 2 : len(whole) // 2 + 9]

    stream = list(llama.stream("Stones", temperature=0, max_tokens=40, stop=[word]))
    answer = llama.complete("Stones", temperature=0, max_tokens=40, stop=word)

    assert "".join(stream) == answer.text == whole[: whole.index(word)]
    assert answer.finish_reason == "stop"


def test_adapter_changes_the_answer_as_it_does_directly(
    llama: LlamaCppEngine, tiny_llama: Path, tiny_lora: Path
) -> None:
    expected: Any = _direct(tiny_llama, lora_path=str(tiny_lora)).create_completion(
        "Stones", temperature=0, max_tokens=30
    )

    with _with_adapter(tiny_llama, tiny_lora) as adapted:
        adapted.load_model()
        answer = adapted.generate("Stones", temperature=0, max_tokens=30)

    assert answer == expected["choices"][0]["text"]
    assert answer != llama.generate("Stones", temperature=0, max_tokens=30)


def test_adapter_with_scale_zero_changes_nothing(
    llama: LlamaCppEngine, tiny_llama: Path, tiny_lora: Path
) -> None:
    with _with_adapter(tiny_llama, tiny_lora, scale=0.0) as adapted:
        adapted.load_model()
        answer = adapted.generate("Stones", temperature=0, max_tokens=30)

    assert answer == llama.generate("Stones", temperature=0, max_tokens=30)


def test_adapter_is_refused_on_another_base(tiny_qwen: Path, tiny_lora: Path) -> None:
    engine = _with_adapter(tiny_qwen, tiny_lora)

    with pytest.raises(AdapterMismatchError, match="does not fit this model"):
        engine.load_model()

    assert engine.get_status() is ModelStatus.ERROR
    assert engine.is_loaded is False


def test_adapter_file_is_refused_as_a_model(tiny_lora: Path) -> None:
    with pytest.raises(UnsafeModelFileError, match="is an adapter"):
        LlamaCppEngine("e", "E", str(tiny_lora)).load_model()


def test_embedding_model_is_refused_as_a_chat_engine(minilm: Path) -> None:
    engine = LlamaCppEngine("e", "E", str(minilm))

    with pytest.raises(EngineError, match="only embeds text"):
        engine.load_model()

    assert engine.get_status() is ModelStatus.ERROR


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissingError, match=r"gone\.gguf"):
        LlamaCppEngine("e", "E", str(tmp_path / "gone.gguf")).load_model()


def test_prompt_longer_than_the_context_is_refused_with_the_numbers(llama: LlamaCppEngine) -> None:
    with pytest.raises(InvalidRequestError, match=r"> 512 maximum of the context"):
        llama.generate("word " * 2000)

    assert llama.generate("Stones", temperature=0, max_tokens=2)


def test_answer_ends_where_the_context_does(tiny_llama: Path) -> None:
    spec = EngineSpec("short", "Short", str(tiny_llama), context_length=256)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        answer = engine.complete("Stones", temperature=0)
        context = engine.get_engine_info()["context_length"]

    assert context == 256
    assert answer.finish_reason == "stop" or (answer.prompt_tokens + len(answer.tokens) == context)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": -1}, "temperature must be a number from 0.0 to 10.0, not -1"),
        ({"max_tokens": 2.5}, "max_tokens must be a whole number"),
        ({"top_p": float("nan")}, "top_p must be a number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"stop": 3}, "stop must be a text"),
        ({"colour": 1}, "no generation option 'colour'"),
    ],
)
def test_bad_option_is_named_with_its_range(
    llama: LlamaCppEngine, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        llama.generate("Stones", **options)


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [([], "no message"), ([{"role": "user"}], "Message 0"), ([{"role": 1, "content": "x"}], "0")],
)
def test_bad_messages_are_refused(
    llama: LlamaCppEngine, messages: list[Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        llama.generate(messages)


def test_client_that_leaves_stops_the_answer_and_the_next_request_is_served(
    llama: LlamaCppEngine,
) -> None:
    expected = llama.generate("Stones", temperature=0, max_tokens=20)
    pid = llama.get_engine_info()["pid"]

    stream = llama.stream("The harbour at night", temperature=1.5, seed=3)
    next(stream)
    stream.close()

    assert llama.generate("Stones", temperature=0, max_tokens=20) == expected
    assert llama.get_engine_info()["pid"] == pid


def test_unloading_lets_a_stream_in_flight_end(tiny_llama: Path) -> None:
    engine = LlamaCppEngine("e", "E", str(tiny_llama))
    engine.load_model()
    expected = engine.generate("Stones", temperature=0, max_tokens=60)
    stream = engine.stream("Stones", temperature=0, max_tokens=60)
    begun = next(stream)

    unloading = threading.Thread(target=engine.unload_model)
    unloading.start()
    answer = begun + "".join(stream)
    unloading.join()

    assert answer == expected
    assert engine.get_status() is ModelStatus.UNAVAILABLE


def test_chat_engine_with_an_embedding_spec_only_embeds(tiny_llama: Path) -> None:
    spec = EngineSpec("e", "E", str(tiny_llama), embedding=EmbeddingSpec(128, 256))
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        with pytest.raises(EngineError, match="only embeds text"):
            engine.generate("Stones")
        assert len(engine.embed("Stones")) == 128
