"""Children of llama.cpp that die of one adapter, or have little room for adapters."""

from __future__ import annotations

import os
from pathlib import Path

from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job
from engines.runtimes.llama_cpp import lora as llama_lora
from engines.runtimes.llama_cpp.child import LlamaHandler
from engines.runtimes.llama_cpp.parameters import AdaptParameters

DEADLY = b"SAM Dead LoRA"
"""In the bytes of an adapter: its name is not its own in a child."""


class DiesOfAnAdapter(LlamaHandler):
    def _adapt(self, job: Job, given: AdaptParameters) -> Frame:
        if any(DEADLY in Path(path).read_bytes() for _, path, _ in given["adapters"]):
            os.abort()
        return super()._adapt(job, given)


class HasLittleRoom(LlamaHandler):
    """In its own process, so the limit changes nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        llama_lora.MAX_ADAPTER_BYTES = 30_000
