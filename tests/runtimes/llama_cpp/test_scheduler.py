from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

import pytest

from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import EngineError
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Cancellation, FrameSink, Job
from engines.runtimes.llama_cpp.batch import Part
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.runtimes.llama_cpp.generator import ContextLayout, Generator
from engines.runtimes.llama_cpp.native import ABORTED, ContextShape, NativeContext, load_model
from engines.runtimes.llama_cpp.prompts import Prompt
from engines.runtimes.notation.reader import PromptEnd
from engines.runtimes.offload import Offload
from engines.runtimes.text.generation import Generation, GenerationOptions
from engines.specs import EngineSpec
from tests.runtimes.llama_cpp.scripted_model import words, write_scripted

WORDS = words(50)
PROMPTS = ["by the water" * (number % 5) + WORDS[number] for number in range(16)]
MANY = len(PROMPTS)
LONG_CONTEXT = 8192
LONG = 8000
"""Tokens."""


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that never hesitates: each word leads to the next, however numbers are rounded."""
    return write_scripted(tmp_path_factory.mktemp("models") / "sure.gguf", WORDS)


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    with LlamaCppEngine("lanes", "Lanes", str(tiny_llama)) as engine:
        engine.load_model()
        yield engine


@pytest.fixture(scope="module")
def talkative_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its answers go on for many seconds: nothing that a test does meanwhile can come too late."""
    folder = tmp_path_factory.mktemp("models")
    return write_llama_chat(folder / "talkative.gguf", context_length=LONG_CONTEXT)


@pytest.fixture(scope="module")
def talkative(talkative_model: Path) -> Iterator[LlamaCppEngine]:
    spec = EngineSpec("long", "L", str(talkative_model), context_length=LONG_CONTEXT)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        yield engine


def _said(engine: LlamaCppEngine, prompt: str, length: int) -> Generation:
    return engine.complete(prompt, temperature=0, max_tokens=length)


def _all_at_once(
    engine: LlamaCppEngine, length: int, prompts: Sequence[str] = PROMPTS
) -> list[tuple[int, ...]]:
    together = threading.Barrier(MANY)

    def say(prompt: str) -> tuple[int, ...]:
        together.wait()
        return _said(engine, prompt, length).tokens

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(say, prompts))


def test_sixteen_answers_at_once_are_those_of_each_alone(sure: Path) -> None:
    with LlamaCppEngine("many", "Many", str(sure)) as engine:
        engine.load_model()
        alone = [_said(engine, prompt, 24).tokens for prompt in PROMPTS]
        assert len(set(alone)) == MANY

        assert _all_at_once(engine, 24) == alone


def test_answers_at_once_differ_at_most_where_two_words_nearly_tie(llama: LlamaCppEngine) -> None:
    alone = [_said(llama, prompt, 12).tokens for prompt in PROMPTS]

    together = _all_at_once(llama, 12)

    assert len(set(alone)) == MANY
    assert sum(one == other for one, other in zip(together, alone, strict=True)) >= MANY // 2


def test_batch_invariant_answers_are_equal_also_where_words_nearly_tie(tiny_llama: Path) -> None:
    spec = EngineSpec("apart", "Apart", str(tiny_llama), context_length=512, batch_invariant=True)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        info = engine.get_engine_info()
        assert (info["batch_invariant"], info["context_length"]) == (True, 512)
        long = [prompt * 4 for prompt in PROMPTS]
        alone = [_said(engine, prompt, 96).tokens for prompt in long]
        assert len(set(alone)) == MANY

        assert _all_at_once(engine, 96, long) == alone


def test_batch_invariant_answers_have_a_whole_context_each(sure: Path) -> None:
    spec = EngineSpec("whole", "Whole", str(sure), context_length=256, batch_invariant=True)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        filling = "water " * 40
        alone = [_said(engine, prompt + filling, 0) for prompt in PROMPTS]
        assert all(answer.prompt_tokens > 96 for answer in alone)

        together = _all_at_once(engine, 0, [prompt + filling for prompt in PROMPTS])

    assert together == [answer.tokens for answer in alone]


def test_answers_that_outgrow_the_context_together_are_all_completed(sure: Path) -> None:
    spec = EngineSpec("small", "Small", str(sure), context_length=256)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        alone = [_said(engine, prompt, 0).tokens for prompt in PROMPTS]

        assert sum(map(len, alone)) > 2 * 256
        assert _all_at_once(engine, 0) == alone


def test_more_answers_than_lanes_wait_for_each_other(sure: Path) -> None:
    options = LlamaOptions(parallel=2)
    with LlamaCppEngine("two", "Two", str(sure), options=options) as engine:
        engine.load_model()
        alone = [_said(engine, prompt, 10).tokens for prompt in PROMPTS]

        assert _all_at_once(engine, 10) == alone


def test_short_answers_and_vectors_do_not_wait_for_a_long_answer(
    talkative: LlamaCppEngine,
) -> None:
    enough = threading.Event()
    long = talkative.stream_pieces("Stones", temperature=0, max_tokens=LONG, cancelled=enough)
    first = next(long).text
    finished = threading.Event()
    rest: list[str] = []

    def read() -> None:
        rest.extend(piece.text for piece in long)
        finished.set()

    reader = threading.Thread(target=read)
    reader.start()
    vector = talkative.embed("stone")
    short = _said(talkative, "Water", 3)
    was_finished = finished.is_set()
    enough.set()
    reader.join()

    assert vector
    assert short.finish_reason == "length"
    assert not was_finished
    assert len(first + "".join(rest)) > len(short.text)


def test_reader_who_leaves_while_the_prompt_is_read_ends_the_answer(llama: LlamaCppEngine) -> None:
    cancelled = threading.Event()
    cancelled.set()

    pieces = llama.stream_pieces("by the water " * 70, cancelled=cancelled, max_tokens=500)
    with pytest.raises(StopIteration) as end:
        next(pieces)

    generation: Generation = end.value.value
    assert generation.finish_reason == "cancelled"
    assert generation.tokens == ()
    assert generation.prompt_tokens > 200


def test_a_computation_is_given_up_once_its_reader_has_left(tiny_llama: Path) -> None:
    shape = ContextShape(context=256, batch=128)
    context = NativeContext(load_model(str(tiny_llama), Offload()), shape)
    prompt = [Part(list(range(1, 100)), 0, 0)]
    cancelled = Cancellation()

    context.abort_by(cancelled.text)
    before = context.decode(prompt)
    context.clear()
    cancelled.set()
    after = context.decode(prompt)
    context.clear()
    context.abort_by(None)

    assert (before, after, context.decode(prompt)) == (0, ABORTED, 0)


def test_one_of_many_readers_leaves_and_the_others_hear_the_end(
    talkative: LlamaCppEngine,
) -> None:
    left = threading.Event()
    leaving = talkative.stream_pieces(PROMPTS[0], temperature=0, max_tokens=LONG, cancelled=left)
    next(leaving)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(_said, talkative, PROMPTS[1], 60)
        left.set()
        while True:
            try:
                next(leaving)
            except StopIteration as end:
                generation: Generation = end.value
                break

        assert len(other.result().tokens) == 60
    assert generation.finish_reason == "cancelled"
    assert 0 < len(generation.tokens) < LONG


def test_request_that_waits_too_long_says_the_engine_is_busy_and_the_answers_go_on(
    talkative_model: Path,
) -> None:
    options = LlamaOptions(parallel=1, wait_seconds=0.05)
    spec = EngineSpec("busy", "B", str(talkative_model), context_length=LONG_CONTEXT)
    with LlamaCppEngine.from_spec(spec, options) as engine:
        engine.load_model()
        stream = engine.stream("Stones", temperature=0, max_tokens=LONG)
        begun = next(stream)
        with pytest.raises(EngineError, match=r"busy with other requests for 0 s; try again"):
            engine.generate("Water", max_tokens=1)
        answer = begun + "".join(islice(stream, 50))
        stream.close()

    with LlamaCppEngine.from_spec(spec) as alone:
        alone.load_model()
        assert _said(alone, "Stones", 1000).text.startswith(answer)


def _ask_many(engine: LlamaCppEngine, count: int, owner: str, left: threading.Event) -> list[str]:
    """Begin long answers for one person until all slots are taken; returns where each writes its end."""
    ended: list[str] = []

    def read(number: int) -> None:
        for _ in engine.stream_pieces(
            f"{WORDS[number % 50]} {number}",
            temperature=0,
            max_tokens=LONG,
            cancelled=left,
            owner=owner,
        ):
            said.put(number)
        ended.append(f"{owner} {number}")

    said: SimpleQueue[int] = SimpleQueue()
    for number in range(count):
        threading.Thread(target=read, args=(number,), daemon=True).start()
    speaking: set[int] = set()
    while len(speaking) < MANY:
        speaking.add(said.get())
    return ended


def test_eighty_streams_of_one_person_do_not_keep_another_waiting(
    talkative: LlamaCppEngine,
) -> None:
    left = threading.Event()
    ended = _ask_many(talkative, 80, "one", left)
    try:
        for other in ("two", "three"):
            short = talkative.complete("Water", temperature=0, max_tokens=5, owner=other)
            assert len(short.tokens) == 5

        # Each got a slot although all were taken and nobody had finished.
        assert ended == []
    finally:
        left.set()


def test_who_gave_a_slot_up_says_the_same_as_alone(sure: Path) -> None:
    options = LlamaOptions(parallel=4)
    with LlamaCppEngine("turns", "Turns", str(sure), options=options) as engine:
        engine.load_model()
        alone = [_said(engine, prompt, 40).tokens for prompt in PROMPTS]
        owners = ["one"] * 10 + ["two", "three", "two", "four", "five", "one"]

        def say(number: int) -> tuple[int, ...]:
            return engine.complete(
                PROMPTS[number], temperature=0, max_tokens=40, owner=owners[number]
            ).tokens

        with ThreadPoolExecutor(MANY) as pool:
            assert list(pool.map(say, range(MANY))) == alone


@pytest.mark.parametrize(
    ("length", "on_gpu", "read"),
    [
        (1, False, [1]),
        (64, False, [64]),
        (100, False, [100]),
        (128, False, [128]),
        (129, False, [64, 64, 1]),
        (300, False, [64, 64, 64, 64, 44]),
        (300, True, [300]),
    ],
)
def test_a_prompt_of_one_batch_is_read_at_once_and_a_longer_one_by_pieces(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, length: int, on_gpu: bool, read: list[int]
) -> None:
    model = load_model(str(tiny_llama), Offload())
    generator = Generator(model, ContextLayout(512, parallel=2, on_gpu=on_gpu), threads=1)
    sizes: list[int] = []
    decode = generator._context.decode

    def note_size(parts: Sequence[Part]) -> int:
        sizes.append(sum(len(part.tokens) for part in parts))
        return decode(parts)

    monkeypatch.setattr(generator._context, "decode", note_size)
    sink = FrameSink(io.BufferedWriter(io.BytesIO()))
    job = Job(Frame({"id": 1, "op": "generate"}), sink.send, sink, lambda _job: None)
    prompt = Prompt([5 + number % 100 for number in range(length)], PromptEnd())

    generator.begin(job, prompt, GenerationOptions(max_tokens=1), [])
    while generator.proceed():
        pass

    assert sizes == read
