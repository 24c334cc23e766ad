"""In how many batches a prompt is read: others wait for each, and each is rounded by its size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import FrameSink, Job
from engines.runtimes.llama_cpp.batch import Part
from engines.runtimes.llama_cpp.generator import ContextLayout, Generator
from engines.runtimes.llama_cpp.native import load_model
from engines.runtimes.llama_cpp.prompts import Prompt
from engines.runtimes.notation.reader import PromptEnd
from engines.runtimes.offload import Offload
from engines.runtimes.text.generation import GenerationOptions


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
