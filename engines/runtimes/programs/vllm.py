"""The runtime of safetensors folders that the host's ``vllm`` computes, one process for each engine.

It speaks OpenAI's API, and applies the model's template itself; marks in what people wrote are broken.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2

from engines.exceptions import (
    EngineCrashed,
    EngineKilled,
    HostUnavailableError,
    InvalidRequestError,
)
from engines.runtimes.base import ChatMessage, Facts, ModelStatus
from engines.runtimes.child.process import RESTART_HINT
from engines.runtimes.child.start import ProgramSpec
from engines.runtimes.hugging_face.engine import HuggingFaceEngine
from engines.runtimes.llama_cpp.adapter_folder import AdapterFolder
from engines.runtimes.programs.finding import VLLM, find_program
from engines.runtimes.programs.options import VllmOptions
from engines.runtimes.programs.plain_text import MarkBreaker
from engines.runtimes.programs.process import CrashCounter, ServedProgram, listens
from engines.runtimes.servers.base import ServerEnding
from engines.runtimes.servers.openai import OpenAICompatibleEngine
from engines.runtimes.text.generation import GenerationOptions, Piece

SOCKET = "vllm.sock"
OK = 200
HEALTH_SECONDS = 2.0
KEY_BYTES = 32
PASSED = (
    *("PATH", "HOME", "TMPDIR", "CUDA_HOME", "HIP_VISIBLE_DEVICES", "VLLM_CACHE_ROOT"),
    "TRITON_CACHE_DIR",
)
"""Where it finds compilers, drivers and its caches. Nothing else of SAM's environment is passed on."""
ALONE = (
    ("HF_HUB_OFFLINE", "1"),
    ("VLLM_NO_USAGE_STATS", "1"),
    ("DO_NOT_TRACK", "1"),
    ("VLLM_DO_NOT_TRACK", "1"),
)
"""It fetches nothing and reports to nobody."""


class VllmEngine(OpenAICompatibleEngine):
    """A folder of safetensors in a server of its own; thread-safe, and as parallel as vLLM is."""

    default_endpoint = "http://vllm/v1"
    """A name that is never looked up: the way is a Unix socket."""
    is_ours = True
    options_kind = VllmOptions
    reads_literals = True
    options: VllmOptions

    _program: ServedProgram | None = None
    _folder: AdapterFolder | None = None
    _folder_number = -1
    _wanted = False

    def _prepare(self) -> None:
        super()._prepare()
        # Others of this machine cannot enter the folder of the socket; nor do they know this.
        self.options = replace(self.options, api_key=secrets.token_urlsafe(KEY_BYTES))
        self._crashes = CrashCounter()
        self._breaker = MarkBreaker(())

    @classmethod
    def list_models(cls, place: str, options: object = None) -> list[str]:
        """Return the sub-folders that hold a model, sorted."""
        return HuggingFaceEngine.list_models(place)

    def check(self) -> None:
        """Refuse contradictory settings and a folder that is not a model; nothing is loaded."""
        find_program(VLLM, self.options.program)
        if self.spec.adapters:
            raise InvalidRequestError(
                "The runtime vllm takes no GGUF adapters; use llama_cpp, or answer without them. "
                f"Correct the entry of {self.engine_id}."
            )
        # What it refuses, it refuses of a folder: no safetensors, or code that would have to be run.
        folder = replace(self.spec, runtime="transformers", embedding_model="")
        HuggingFaceEngine.from_spec(folder).check()

    def load_model(self) -> bool:
        """Start the program and wait until it answers; True when ready.

        Raises ArtifactMissingError, UnsafeModelFileError, EngineCrashed or EngineError with a sentence.
        """
        with self._lifecycle:
            if not (self.is_loaded and self._is_running()):
                self._crashes.require_hope(self.engine_id)
                super().load_model()
            self._wanted = True
            return True

    def unload_model(self) -> bool:
        """End the program, which frees all its memory."""
        with self._lifecycle:
            self._wanted = False
            return super().unload_model()

    def get_status(self) -> ModelStatus:
        """Return the status now: a program that ended while idle is an error until the next request."""
        if self.status is ModelStatus.READY and not self._is_running():
            return ModelStatus.ERROR
        return self.status

    def _is_running(self) -> bool:
        program = self._program
        return program is not None and program.is_alive()

    def _need_loaded(self) -> None:
        with self._lifecycle:
            if self._wanted and not self._is_running():
                self.load_model()
        super()._need_loaded()

    def _connect(self) -> Facts:
        self._disconnect()
        self.check()
        self._breaker = MarkBreaker.of_folder(Path(self.model_path))
        self._program = self._start()
        self._program.wait_ready(self._is_ready, self.options.load_seconds)
        return {**super()._connect(), "program": VLLM.name, "program_pid": self._program.pid}

    def _disconnect(self) -> None:
        super()._disconnect()
        program, self._program = self._program, None
        if program is not None:
            program.stop()
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(self._folder_number)
            folder.close()

    def _start(self) -> ServedProgram:
        self._folder = AdapterFolder(self.options.folders)
        self._folder_number = os.open(self._folder.path, os.O_PATH | os.O_DIRECTORY)
        length = self.spec.context_length
        arguments = [
            *(find_program(VLLM, self.options.program), "serve", self.model_path, "--uds", SOCKET),
            *(("--max-model-len", str(length)) if length else ()),
            *(("--runner", "pooling") if self.spec.embedding else ()),
            *self.options.arguments,
        ]
        return ServedProgram(
            ProgramSpec(
                name=self.engine_id,
                command=tuple(arguments),
                folder=str(self._folder.path),
                # It starts processes of its own, compiles, and opens sockets between them.
                boxed=False,
                threads=self.spec.threads or len(os.sched_getaffinity(0)),
                environment=(*ALONE, ("VLLM_API_KEY", self.options.api_key)),
                passed=PASSED,
            )
        )

    def _is_ready(self) -> bool:
        if not listens(self._socket()):
            return False
        with httpx2.Client(transport=self._new_transport(), timeout=HEALTH_SECONDS) as client:
            try:
                return client.get("http://vllm/health").status_code == OK
            except httpx2.TransportError:
                return False

    def _new_transport(self) -> httpx2.BaseTransport:
        return httpx2.HTTPTransport(uds=self._socket())

    def _socket(self) -> str:
        # By a descriptor of the folder: the path of a socket has 107 bytes at most.
        return f"/proc/self/fd/{self._folder_number}/{SOCKET}"

    def _answer(
        self, prompt: str | list[ChatMessage], options: GenerationOptions, given: frozenset[str]
    ) -> Generator[Piece, None, ServerEnding]:
        told = replace(options, tools=self._breaker.break_tools(options.tools))
        return (yield from super()._answer(self._broken(prompt), told, given))

    def count_prompt_tokens(self, prompt: str | Sequence[ChatMessage]) -> int:
        """Tokens of a prompt as the program reads it."""
        return super().count_prompt_tokens(self._broken(prompt))

    def _broken(self, prompt: str | Sequence[ChatMessage]) -> str | list[ChatMessage]:
        # A raw prompt is its caller's own; of one that a person's chat format wrote, the contents are not.
        if isinstance(prompt, str):
            return self._breaker.break_literals(prompt)
        return self._breaker.break_all(prompt)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            with super()._translate_errors():
                yield
        except HostUnavailableError:
            program = self._program
            why = program.explain_break() if program is not None and self.is_loaded else None
            if why is None:
                raise
            if isinstance(why, EngineCrashed) and not isinstance(why, EngineKilled):
                self._crashes.add()
            raise type(why)(f"{why}{RESTART_HINT}") from None
