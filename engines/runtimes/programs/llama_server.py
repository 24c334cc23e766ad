"""The runtime of GGUF files that the host's ``llama-server`` computes, one process for each engine.

Prompts are written and read by SAM, in a child with the vocabulary alone; the server gets tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import (
    EngineCrashed,
    EngineError,
    EngineKilled,
    EngineNotLoadedError,
    InvalidRequestError,
    LoadCrashed,
)
from engines.fit.model_shape import ModelShape
from engines.gguf.parts import read_model_header
from engines.runtimes.adapters import AdapterRef
from engines.runtimes.base import ChatMessage, Facts
from engines.runtimes.child.engine import FIRST_QUESTION, blame_on_load
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.memory import count_resident_bytes
from engines.runtimes.child.messages import GenerateParameters, Header
from engines.runtimes.child.process import RESTART_HINT, ChildProcess
from engines.runtimes.child.readable import gpu_devices
from engines.runtimes.child.start import ProgramSpec
from engines.runtimes.llama_cpp.engine import NEVER, LlamaCppEngine, LlamaOptions
from engines.runtimes.notation.families import notation_of
from engines.runtimes.notation.reader import AnswerReader, PromptEnd
from engines.runtimes.offload import Offload
from engines.runtimes.programs.arguments import BATCH, GPU_BATCH, ServerWish, server_arguments
from engines.runtimes.programs.finding import LLAMA_SERVER, find_program
from engines.runtimes.programs.process import CrashCounter
from engines.runtimes.programs.server import SOCKET, Asked, LlamaServer, ServerLayout
from engines.runtimes.reading import join_windows
from engines.runtimes.streaming import require_free_form
from engines.runtimes.text.generation import (
    Generation,
    GenerationOptions,
    Piece,
    require_answer_room,
)
from engines.runtimes.vector_rules import NO_NUMBERS, to_usable_vector
from engines.specs import RANK_POOLING, AdapterSpec, EmbeddingSpec

RUNTIME = "llama_server"
TOKEN = np.dtype("<i4")
"""As the child sends them."""


@dataclass(frozen=True, slots=True)
class LlamaServerOptions(LlamaOptions):
    """Also which program it is."""

    program: str = ""
    """A name or a path; empty means ``llama-server`` on the PATH."""
    openvino: str = NEVER


class LlamaServerEngine(LlamaCppEngine):
    """A GGUF model in a server of its own; thread-safe."""

    handler = "engines.runtimes.programs.vocabulary:VocabularyHandler"
    options_kind = LlamaServerOptions
    options: LlamaServerOptions

    _server: LlamaServer | None = None
    _shape: ModelShape
    _lora: dict[str, int]
    """The server's number of each adapter, by its SHA-256."""

    def _prepare(self) -> None:
        super()._prepare()
        self._crashes = CrashCounter()
        self._lora = {}

    def check(self) -> None:
        """Refuse what cannot be used as it is now: the program is missing, or the file."""
        self._check_files()

    def get_engine_info(self) -> Facts:
        info = super().get_engine_info()
        server = self._server
        if server is not None and server.program.is_alive():
            info["program_sandbox"] = server.program.sandbox
            info["program_pid"] = server.program.pid
            own = count_resident_bytes(server.program.pid)
            info["resident_bytes"] = info.get("resident_bytes", 0) + own
        return info

    def _parse_request(
        self, prompt: str | Sequence[ChatMessage], given: Mapping[str, Any]
    ) -> GenerateParameters:
        # Its own grammars end the process where a schema is hostile.
        require_free_form(GenerationOptions.parse(given), RUNTIME)
        return super()._parse_request(prompt, given)

    def _check_files(self) -> None:
        find_program(LLAMA_SERVER, self.options.program)
        embedding = self.spec.embedding
        problems = {
            "The runtime llama_server ranks no texts; use llama_cpp.": embedding is not None
            and embedding.pooling == RANK_POOLING,
            "The runtime llama_server cannot keep answers apart (batch_invariant); use llama_cpp.": (
                self.spec.batch_invariant
            ),
            "A GPU was asked for, and this host has none.": Offload.of(self.spec).needs_gpu
            and not gpu_devices(),
        }
        for sentence, is_true in problems.items():
            if is_true:
                raise InvalidRequestError(f"{sentence} Correct the entry of {self.engine_id}.")
        super()._check_files()
        self._shape = ModelShape.from_header(read_model_header(Path(self.model_path)))

    def _is_running(self) -> bool:
        server = self._server
        return super()._is_running() and server is not None and server.program.is_alive()

    def _start(self) -> None:
        self._crashes.require_hope(self.engine_id)
        super()._start()

    def _drop_child(self, patience: float) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop(patience)
        super()._drop_child(patience)

    def _load(self, child: ChildProcess) -> Frame:
        name = Path(self.model_path).name
        with blame_on_load(LoadCrashed, name, "verify the file or choose another model"):
            reply = child.request("load", self.options.load_seconds, **self._load_parameters())
            self._info = reply.header["info"]
            self._server = self._serve()
            self._server.wait_ready(self.options.load_seconds)
            self._ask_first_question(child)
        program = find_program(LLAMA_SERVER, self.options.program)
        facts = {"program": program, "threads": self._threads(), "adapters": len(self._lora)}
        return Frame({"info": {**self._info, **facts}})

    def _serve(self) -> LlamaServer:
        """Start the program with the adapters of the spec: it takes no others later."""
        readable = self._readable()
        refs = self._place(self._gate.admit(self.spec.adapters))
        self._lora = {digest: number for number, (digest, _, _) in enumerate(refs)}
        wish = ServerWish(
            model=readable[0],
            layout=self._layout(),
            threads=self._threads(),
            batch=self._batch(),
            pooling=self._embedding().pooling,
            lora=tuple(path for _, path, _ in refs),
        )
        program = find_program(LLAMA_SERVER, self.options.program)
        spec = ProgramSpec(
            name=self.engine_id,
            command=(program, "--host", SOCKET, *server_arguments(self.spec, wish)),
            folder=readable[-1],
            threads=self._threads(),
            memory_bytes=self._memory_bytes(),
            readable=readable,
        )
        return LlamaServer(spec, wish.layout)

    def _layout(self) -> ServerLayout:
        own = self._embedding()
        parallel = 1 if self.spec.embedding else self.options.parallel
        context = own.max_tokens if self.spec.embedding else self._context_length()
        return ServerLayout(
            parallel, context, self.options.request_seconds, self.options.wait_seconds
        )

    def _context_length(self) -> int:
        own = self._shape.context_length
        return min(self.spec.context_length or own, own)

    def _batch(self) -> int:
        if self.spec.embedding:
            # A text is computed at once.
            return self._embedding().max_tokens
        uses_gpu = self.spec.device != "cpu" and self.spec.gpu_layers and gpu_devices()
        return min(GPU_BATCH if uses_gpu else BATCH, self._context_length())

    def _embedding(self) -> EmbeddingSpec:
        """How it embeds; one that answers is rarely asked to, and only reads what fits its batch."""
        if self.spec.embedding:
            return self.spec.embedding
        return EmbeddingSpec(dimension=self._shape.width, max_tokens=self._batch())

    def _load_parameters(self) -> Mapping[str, Any]:
        # The file's own limit holds for embedders, whatever the entry says.
        return {
            "path": str(Path(self.model_path).absolute()),
            "cpu_seconds": self.options.load_cpu_seconds,
            "family": self.spec.family,
            "context_length": self._context_length(),
            "training_context_length": self._shape.context_length,
            "dimension": self._shape.width,
            "embedding": asdict(self._embedding()),
            "answers": self.spec.embedding is None,
        }

    def _admit(self, _child: ChildProcess, adapters: Sequence[AdapterSpec]) -> list[AdapterRef]:
        refs = self._gate.admit(adapters)
        if any(digest not in self._lora for digest, _, _ in refs):
            raise InvalidRequestError(
                f"{self.engine_id} runs in llama-server, which loads adapters only when it starts, and "
                "this one was not among them; answer without it, or use the runtime llama_cpp."
            )
        return refs

    def _ask_first_question(self, child: ChildProcess) -> None:
        if self.spec.embedding:
            self._vectors(child.request("embed", 60, texts=[FIRST_QUESTION], query=False))
            return
        given = {"max_tokens": 1, "temperature": 0}
        for _piece in self._compute(child, {**self._parse_request(FIRST_QUESTION, given)}, None):
            pass

    def _stream(
        self, parameters: GenerateParameters, cancelled: threading.Event | None = None
    ) -> Generator[Piece, None, Generation]:
        with self._watch_child() as child:
            return (yield from self._compute(child, parameters, cancelled))

    def _compute(
        self,
        child: ChildProcess,
        parameters: GenerateParameters,
        cancelled: threading.Event | None,
    ) -> Generator[Piece, None, Generation]:
        prompt = child.request(
            "generate", self.options.request_seconds, **self._generate_parameters(parameters)
        )
        options = GenerationOptions(**parameters["options"])
        tokens = np.frombuffer(prompt.payload, TOKEN).tolist()
        scales = {digest: scale for digest, _, scale in parameters.get("adapters", ())}
        asked = Asked(
            tokens=tokens,
            room=require_answer_room(len(tokens), self._context_length(), options.max_tokens),
            options=options,
            marks=self._info["mark_texts"],
            # All of them: one that is not named is used as it was started.
            lora=[{"id": n, "scale": scales.get(digest, 0.0)} for digest, n in self._lora.items()],
        )
        end = PromptEnd(**prompt.header["info"])
        reader = AnswerReader.of(notation_of(self._info), options, end)
        with self._count_crashes():
            return (yield from self._require_server().answer(asked, reader, cancelled))

    def _require_server(self) -> LlamaServer:
        if self._server is None:
            raise EngineNotLoadedError(f"Engine {self.engine_id} was unloaded meanwhile.")
        return self._server

    @contextmanager
    def _count_crashes(self) -> Iterator[None]:
        try:
            yield
        except EngineCrashed as crash:
            if not isinstance(crash, EngineKilled):
                self._crashes.add()
            raise type(crash)(f"{crash}{RESTART_HINT}") from crash

    def _request(self, operation: str, **parameters: Any) -> Frame:
        with self._watch_child() as child:
            reply = child.request(operation, self.options.request_seconds, **parameters)
            return self._vectors(reply) if operation == "embed" else reply

    def _vectors(self, reply: Frame) -> Frame:
        """Return the child's reply with vectors in place of tokens."""
        info, errors = reply.header["info"], dict(reply.header["errors"])
        ends = np.cumsum(info["sizes"], dtype=int)
        windows = np.split(np.frombuffer(reply.payload, TOKEN), ends[:-1]) if len(ends) else []
        rows = self._rows([window.tolist() for window in windows])
        count = len(errors) + len(set(info["owners"]))
        vectors = np.full((count, self._shape.width), np.nan, np.float32)
        for number in sorted(set(info["owners"])):
            parts = [
                (row, size)
                for row, size, owner in zip(rows, info["sizes"], info["owners"], strict=True)
                if owner == number
            ]
            whole = join_windows(parts, normalise=self._embedding().normalise)
            if whole is None:
                errors[str(number)] = NO_NUMBERS
            else:
                vectors[number] = whole
        header: Header = {**reply.header, "dimension": self._shape.width, "errors": errors}
        return Frame(header, vectors.tobytes())

    def _rows(self, windows: Sequence[Sequence[int]]) -> list[NDArray[np.float32] | None]:
        if not windows:
            return []
        with self._count_crashes():
            given = self._require_server().embed(windows)
        try:
            rows = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError):
            rows = np.empty((0, 0), np.float32)
        if rows.shape != (len(windows), self._shape.width):
            raise EngineError(
                f"llama-server was asked for {len(windows)} vectors of {self._shape.width} numbers and "
                "sent something else; use the runtime llama_cpp for this model."
            )
        return [to_usable_vector(row, normalise=self._embedding().normalise) for row in rows]
