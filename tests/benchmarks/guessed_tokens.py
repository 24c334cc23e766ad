"""What guessing an answer's next tokens from the text before them would win on this host.

An answer is written token by token; afterwards it is known which guesses would have come true, and what a
batch of so many tokens costs is measured. So this is the most that speculative decoding by n-grams
could win, without the time to guess. The cost is measured twice: of one core in processor time, which other work
disturbs little, and of all cores by the clock, for a machine that has nothing else to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as api
from numpy import ctypeslib
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from deploy.demo.models.tiny_models import write_llama_chat
from deploy.demo.models.weights import SMOLLM2, ensure_weights
from engines.runtimes.llama_cpp.batch import Part
from engines.runtimes.llama_cpp.native import ContextShape, LoadedModel, NativeContext, load_model
from engines.runtimes.offload import Offload
from tests.fixtures_models import models_cache

PASSAGE = (
    "The harbour office opens at seven in the morning. Boats longer than twelve metres pay forty "
    "crowns a night, shorter ones twenty-five. Water and electricity are included from April to "
    "September; in winter the taps are closed because of frost. Dogs are welcome on the long pier."
)
ABOUT_A_PASSAGE = (
    f"{PASSAGE}\n\nRepeat word for word the two sentences about prices and about water."
)
OF_ITS_OWN = "Write a short story about a lighthouse keeper who learns to bake bread."
ANSWER_TOKENS = 96
LONGEST_GUESS = 8
NGRAMS = (2, 3, 4)
ROUNDS = 5


@dataclass
class Written:
    """An answer, and the prompt it was written to."""

    prompt: list[int]
    answer: list[int]
    swapped: int
    """Words that would have been others if it had been computed four tokens at a time."""


def run(console: Console) -> None:
    """Print what a batch costs, and the most that guesses win in some answers."""
    cores = os.cpu_count() or 1
    path = ensure_weights(SMOLLM2, models_cache()) / SMOLLM2.file
    model = load_model(str(path), Offload())
    context = NativeContext(model, ContextShape(context=1024, batch=64))
    asked = {"repeats a passage": ABOUT_A_PASSAGE, "text of its own": OF_ITS_OWN}
    written = {name: _write(model, context, text) for name, text in asked.items()}
    tokens = written["text of its own"].prompt
    costs = {"one core": _measure_costs(context, tokens, time.process_time)}
    context.use_threads(cores)
    costs[f"{cores} cores"] = _measure_costs(context, tokens, time.perf_counter)
    table = Table(
        "answer", "tokens", "best guess", "come true", "times as fast", "swapped in batches"
    )
    for on, cost in costs.items():
        ratios = {size: round(each / cost[1], 2) for size, each in cost.items()}
        console.print(f"cost of a batch by its tokens, {on}: {ratios}")
        for name, each in written.items():
            row = *_best(each, cost), str(each.swapped)
            table.add_row(f"{name}, {on}", str(len(each.answer)), *row)
    console.print(table)
    with TemporaryDirectory() as folder:
        tiny = load_model(str(write_llama_chat(Path(folder) / "tiny.gguf")), Offload())
        found = _write(tiny, NativeContext(tiny, ContextShape(context=512, batch=64)), OF_ITS_OWN)
    console.print(
        f"half-precision random weights: {found.swapped} of {len(found.answer)} words are others in batches"
    )


def _write(model: LoadedModel, context: NativeContext, text: str) -> Written:
    prompt = model.tokenize(
        f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n",
        add_special=False,
        parse_special=True,
    )
    context.clear()
    tokens = list(prompt)
    logits = _read(context, tokens, 0)[-1]
    while len(tokens) < len(prompt) + ANSWER_TOKENS:
        token = int(logits.argmax())
        if api.llama_vocab_is_eog(model.vocab, token):
            break
        tokens.append(token)
        logits = _read(context, tokens, len(tokens) - 1)[0]
    answer = tokens[len(prompt) :]
    context.forget(0, len(prompt))
    swapped = 0
    for at in range(0, len(answer) - 4, 4):
        rows = _read(context, tokens[: len(prompt) + at + 4], len(prompt) + at)
        following = answer[at + 1 : at + 5]
        swapped += sum(
            int(row.argmax()) != token for row, token in zip(rows, following, strict=True)
        )
    return Written(prompt, answer, swapped)


def _read(context: NativeContext, tokens: Sequence[int], start: int) -> list[NDArray[np.float32]]:
    """The logits behind each token from ``start`` on; of a long text those of the last batch."""
    rows: list[NDArray[np.float32]] = []
    size = int(api.llama_vocab_n_tokens(context.model.vocab))
    for at in range(start, len(tokens), context.shape.batch):
        parts = [
            Part([token], at + number, 0)
            for number, token in enumerate(tokens[at : at + context.shape.batch])
        ]
        assert context.decode(parts) == 0
        pointers: list[Any] = [
            api.llama_get_logits_ith(context.handle, row) for row in range(len(parts))
        ]
        rows = [ctypeslib.as_array(pointer, shape=(size,)).copy() for pointer in pointers]
    return rows


def _measure_costs(
    context: NativeContext, tokens: Sequence[int], clock: Callable[[], float]
) -> dict[int, float]:
    """Seconds of a batch of so many tokens, the shortest of some."""
    context.clear()
    taken: dict[int, list[float]] = {size: [] for size in range(1, LONGEST_GUESS + 2)}
    for _ in range(ROUNDS):
        for size, each in taken.items():
            context.forget(0, 0)
            started = clock()
            _read(context, tokens[:size], 0)
            each.append(clock() - started)
    return {size: min(each) for size, each in taken.items()}


def _best(written: Written, cost: dict[int, float]) -> tuple[str, str, str]:
    tried = [
        (*_simulate(written, cost, ngram, most), ngram, most)
        for ngram in NGRAMS
        for most in range(1, LONGEST_GUESS + 1)
    ]
    gain, share, ngram, most = max(tried)
    return f"{most} tokens behind {ngram}", f"{share:.0%}", f"{gain:.2f}"


def _simulate(
    written: Written, cost: dict[int, float], ngram: int, most: int
) -> tuple[float, float]:
    """How many times as fast with such guesses, and the share of them that come true."""
    whole = [*written.prompt, *written.answer]
    at, seconds, guessed, right = len(written.prompt), 0.0, 0, 0
    while at < len(whole):
        guess = _guess(whole[:at], ngram, most)
        following = whole[at : at + len(guess)]
        # The first token needs no guess: it is what the batch is computed for.
        true = next(
            (n for n, (a, b) in enumerate(zip(guess, following, strict=False)) if a != b),
            len(following),
        )
        seconds += cost[1 + len(guess)]
        guessed, right = guessed + len(guess), right + true
        at += 1 + true
    return len(written.answer) * cost[1] / seconds, right / max(guessed, 1)


def _guess(tokens: Sequence[int], ngram: int, most: int) -> Sequence[int]:
    """What followed the last tokens when they were there before."""
    last = tokens[-ngram:]
    for at in range(len(tokens) - ngram - 1, -1, -1):
        if tokens[at : at + ngram] == last:
            return tokens[at + ngram : at + ngram + most]
    return ()
