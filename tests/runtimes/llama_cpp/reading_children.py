"""A child of llama.cpp whose long texts are tokenized only once another request has ended."""

from __future__ import annotations

import threading

from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job
from engines.runtimes.llama_cpp.child import LlamaHandler
from engines.runtimes.llama_cpp.native import LoadedModel
from engines.runtimes.llama_cpp.parameters import LoadParameters
from engines.runtimes.llama_cpp.prompts import Prompt

LONG_CHARS = 100_000
PATIENCE_SECONDS = 120
NOBODY_ENDED = 7
"""A count that no text here has."""


class ReadsLongTextsLast(LlamaHandler):
    def __init__(self) -> None:
        super().__init__()
        self._ended = threading.Event()

    def _load(self, job: Job, given: LoadParameters) -> Frame:
        reply = super()._load(job, given)
        generator = self._need_generator()
        read = generator.read

        def read_late(text: str, *, from_template: bool = True) -> Prompt:
            if len(text) > LONG_CHARS and not self._ended.wait(PATIENCE_SECONDS):
                raise TimeoutError("no other request has ended")
            return read(text[-100:], from_template=from_template)

        generator.read = read_late  # type: ignore[method-assign]
        return reply

    def _tokens_of(self, model: LoadedModel, text: str) -> int:
        if len(text) > LONG_CHARS and not self._ended.wait(PATIENCE_SECONDS):
            return NOBODY_ENDED
        return super()._tokens_of(model, text[:100])

    def handle(self, job: Job) -> Frame | None:
        send = job.send

        def note(frame: Frame) -> None:
            send(frame)
            if "generation" in frame.header:
                self._ended.set()

        job.send = note
        return super().handle(job)
