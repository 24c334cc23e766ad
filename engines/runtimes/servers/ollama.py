"""The runtime of an Ollama server: models it has, pulls, or creates from a file of this host.

Source: Ollama's API documentation (docs/api.md of its repository).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
from ollama import Client, ResponseError

from engines.exceptions import (
    ArtifactMissingError,
    EngineError,
    EngineNotLoadedError,
    HostUnavailableError,
    InvalidRequestError,
)
from engines.gguf.parts import IN_PARTS, part_paths, read_model_header
from engines.network.guard import address_guard
from engines.network.ollama_transport import OllamaTransport
from engines.runtimes.base import ChatMessage, Facts
from engines.runtimes.servers.base import (
    MAX_MODELS_SHOWN,
    RemoteEngine,
    RemoteOptions,
    ServerEnding,
    quote_text,
)
from engines.runtimes.servers.tool_formats import ollama_calls, ollama_form, ollama_messages
from engines.runtimes.text.efforts import SPOKEN_EFFORTS
from engines.runtimes.text.generation import GenerationOptions, Piece
from engines.specs import EngineSpec

TAKE_EFFORT = ("gptoss", "gpt-oss")
"""Families, as the server names them, whose ``think`` is a level."""
SAME_NAME = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
)
"""Options that mean the same there; all are sent, so that Ollama's different defaults do not apply."""
FILE = ".gguf"
NAME_DIGITS = 16
BUSY = frozenset({408, 429, 502, 503, 504})

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""


@dataclass(frozen=True, slots=True)
class OllamaOptions(RemoteOptions):
    """How an Ollama server is used."""

    pull: bool = False
    """Whether loading lets the server fetch a model it does not have."""
    keep_alive: str = "30m"
    """How long the server keeps an unused model in memory."""


class OllamaEngine(RemoteEngine[OllamaOptions]):
    """A model of an Ollama server.

    ``model_path`` is the server's name for it (``qwen3:0.6b``), or a GGUF file of this host: the
    server is then given the file's bytes, unless its blob store has them already, and makes a model
    named after their digest.
    """

    default_endpoint = "http://127.0.0.1:11434"
    options_kind = OllamaOptions

    _client: Client | None = None
    _name = ""

    def _prepare(self) -> None:
        super()._prepare()
        if self.spec.adapters:
            raise InvalidRequestError(
                "The Ollama runtime does not support adapters; use the llama_cpp runtime."
            )

    @classmethod
    def list_models(cls, place: str, options: OllamaOptions | None = None) -> list[str]:
        spec = EngineSpec("list", "list", "", endpoint=place)
        engine = cls.from_spec(spec, options)
        with engine._lend_client() as client:
            return sorted(engine._list_names(client))

    @classmethod
    def served_name(cls, name: str) -> str:
        """Return the name with its tag; Ollama's default is ``latest``."""
        return name if ":" in name.rpartition("/")[2] else f"{name}:latest"

    def pull(self, model: str, report: Progress | None = None) -> None:
        """Let the server fetch a model; HostUnavailableError or EngineError with its reason."""
        with self._lend_client() as client:
            for state in client.pull(model, stream=True):
                if report is not None and state.total:
                    report(int(state.completed or 0), int(state.total))

    def share(self, path: Path) -> str:
        """Give the server a GGUF file's bytes; return the model's name there.

        Raises UnsafeModelFileError or ArtifactMissingError before anything is sent.
        """
        if not path.is_file():
            raise ArtifactMissingError(f"{path.name} is not on this host; download it first.")
        # The same gate as for our own engines: a malformed file must not reach another program either.
        if len(part_paths(path)) > 1:
            raise InvalidRequestError(IN_PARTS)
        read_model_header(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = f"sam-{digest[:NAME_DIGITS]}:latest"
        with self._lend_client() as client:
            if name not in self._list_names(client):
                self._give_blob(client, path, digest)
                client.create(name, files={path.name: f"sha256:{digest}"})
        return name

    def _give_blob(self, client: Client, path: Path, digest: str) -> None:
        blob = f"{self.endpoint}/api/blobs/sha256:{digest}"
        # Asked first: a model has gigabytes, and Ollama may have them from a pull or an earlier time.
        there = client._client.head(blob)
        if there.status_code != httpx.codes.OK:
            client.create_blob(path)

    def _connect(self) -> Facts:
        self._disconnect()
        path = Path(self.model_path)
        self._name = self.share(path) if path.suffix == FILE else self.served_name(self.model_path)
        self._client = self._new_client(self.options.read_seconds)
        with self._translate_errors():
            self._find_or_pull(self._client, self._name)
            if self.spec.embedding_model:
                self._find_or_pull(self._client, self.served_name(self.spec.embedding_model))
            self._bring_into_memory(self._client)
            return self._facts(self._client)

    def _find_or_pull(self, client: Client, name: str) -> None:
        names = self._list_names(client)
        if name in names:
            return
        if self.options.pull:
            self.pull(name)
            return
        raise EngineError(
            f"The Ollama server at {self.endpoint} has no model {quote_text(name)!r}; it has "
            f"{quote_text(', '.join(sorted(names)[:MAX_MODELS_SHOWN])) or 'none'}. Pull it there, or allow "
            "pulling."
        )

    def _bring_into_memory(self, client: Client) -> None:
        """Load the model there: an empty request does that."""
        if self.spec.embedding is None:
            client.generate(
                self._name,
                prompt="",
                options=self._load_options(),
                keep_alive=self.options.keep_alive,
            )
        else:
            client.embed(
                self._name,
                input="",
                options=self._load_options(),
                keep_alive=self.options.keep_alive,
            )

    def _facts(self, client: Client) -> Facts:
        running = [model for model in client.ps().models if model.model == self._name]
        on_gpu = int(running[0].size_vram or 0) if running else 0
        if self.spec.device not in ("auto", "cpu") and not on_gpu:
            raise EngineError(
                f"The Ollama server at {self.endpoint} computes on its CPU although a GPU was asked "
                "for; let it see its GPU, or ask for the device cpu."
            )
        details = client.show(self._name).details
        family = quote_text(details.family if details else "")
        return {
            "server_name": self._name,
            "architecture": family,
            "takes_effort": family in TAKE_EFFORT,
            "quantization": quote_text(details.quantization_level if details else ""),
            "context_length": self.spec.context_length
            or int((running[0].context_length if running else 0) or 0),
            "size_bytes": int(running[0].size or 0) if running else 0,
            "gpu_bytes": on_gpu,
            "counts_tokens": "by estimate",
        }

    def _load_options(self) -> dict[str, int]:
        """Options of loading; the same in every request, since a change makes the server reload."""
        spec = self.spec
        layers = 0 if spec.device == "cpu" else spec.gpu_layers
        wanted = {
            "num_ctx": spec.context_length or None,
            "num_thread": spec.threads or None,
            "num_gpu": layers if layers >= 0 else None,
            "main_gpu": spec.main_gpu or None,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def _disconnect(self) -> None:
        client: Any = self._client
        self._client = None
        if client is not None:
            client.close()

    def unload_model(self) -> bool:
        """Ask the server to free the memory; a server that is gone is no error."""
        with self._lifecycle:
            if self._client is not None and self.is_loaded:
                self._free_memory(self._client)
            return super().unload_model()

    def _free_memory(self, client: Client) -> None:
        try:
            with self._translate_errors():
                if self.spec.embedding is None:
                    client.generate(self._name, prompt="", keep_alive=0)
                else:
                    client.embed(self._name, input="", keep_alive=0)
        except (HostUnavailableError, EngineError):
            # A server that is gone holds no memory, and one that refuses frees it after keep_alive.
            return

    def _ping(self) -> None:
        client = self._new_client(self.options.ping_seconds)
        with self._translate_errors(), client:
            client.ps()

    def _list_names(self, client: Client) -> set[str]:
        with self._translate_errors():
            return {model.model for model in client.list().models if model.model}

    def _new_client(self, seconds: float) -> Client:
        wait = httpx.Timeout(seconds, connect=min(seconds, self.options.connect_seconds))
        address_guard().check_url(self.endpoint)
        transport = OllamaTransport()
        client = Client(self.endpoint, timeout=wait, follow_redirects=False, transport=transport)
        # The client takes a key from the environment and would send it to any server.
        client._client.headers.pop("authorization", None)
        client._client.headers.update(self._headers())
        return client

    def _headers(self) -> dict[str, str]:
        key = self.options.api_key
        return {"authorization": f"Bearer {key}"} if key else {}

    @contextmanager
    def _lend_client(self) -> Iterator[Client]:
        with self._translate_errors(), self._new_client(self.options.read_seconds) as client:
            yield client

    def _require_client(self) -> Client:
        if self._client is None:
            raise EngineNotLoadedError(f"Engine {self.engine_id} was unloaded meanwhile.")
        return self._client

    def _answer(
        self, prompt: str | list[ChatMessage], options: GenerationOptions, given: frozenset[str]
    ) -> Generator[Piece, None, ServerEnding]:
        with self._translate_errors():
            chunks = self._open(prompt, options, given)
            try:
                for chunk in chunks:
                    yield from _pieces_of(chunk)
                    if chunk.done:
                        return _ending(chunk)
            finally:
                chunks.close()
        raise EngineError(
            f"The Ollama server at {self.endpoint} ended the stream in the middle of the answer; "
            "ask again."
        )

    def _open(
        self, prompt: str | list[ChatMessage], options: GenerationOptions, given: frozenset[str]
    ) -> Generator[Any]:
        client: Any = self._require_client()
        shared = {
            "model": self._name,
            "stream": True,
            "options": self._sampling(options, given),
            "keep_alive": self.options.keep_alive,
        }
        if isinstance(prompt, str):
            chunks = client.generate(prompt=prompt, raw=True, **shared)
        else:
            form = ollama_form(options)
            turns = ollama_messages(prompt)
            # Ollama refuses to let a model think that cannot.
            has_switch = self._notation.switch and self._notation.switch.variable
            think: bool | str | None = options.thinking if has_switch else None
            if self._info.get("takes_effort") and options.template_effort is not None:
                think = SPOKEN_EFFORTS.level_of(options.template_effort)
            chunks = client.chat(messages=turns, think=think, **form, **shared)
        return cast("Generator[Any]", chunks)

    def _sampling(self, options: GenerationOptions, given: frozenset[str]) -> dict[str, object]:
        values = options.as_parameters()
        # Without a limit the server would shift its context and never stop.
        most = options.max_tokens or int(self._info.get("context_length") or 0) or -1
        return {
            **self._load_options(),
            **{name: values[name] for name in SAME_NAME},
            **({"seed": options.seed} if "seed" in given else {}),
            **({"stop": list(options.stop)} if options.stop else {}),
            "num_predict": most,
        }

    def _vectors(self, texts: list[str]) -> list[Any]:
        embedder = self.served_name(self.spec.embedding_model) if self.spec.embedding_model else ""
        with self._translate_errors():
            reply = self._require_client().embed(
                embedder or self._name,
                input=texts,
                truncate=True,
                options={} if embedder else self._load_options(),
                keep_alive=self.options.keep_alive,
            )
            return list(reply.embeddings)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn the client's errors into SAM's, with sentences."""
        try:
            yield
        except (ConnectionError, httpx.TransportError) as error:
            raise HostUnavailableError(
                f"The Ollama server at {self.endpoint} cannot be reached, broke off or did not "
                "answer in time; start it, or correct the entry's address."
            ) from error
        except ResponseError as error:
            raise _error_for_status(self.endpoint, error.status_code, error.error) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise EngineError(
                f"The server at {self.endpoint} sent something that cannot be understood "
                f"({quote_text(error)}); is it an Ollama server?"
            ) from error


def _pieces_of(chunk: Any) -> Iterator[Piece]:
    message = getattr(chunk, "message", None)
    if message is None:
        texts = [(chunk.thinking, True), (chunk.response, False)]
    else:
        texts = [(message.thinking, True), (message.content, False)]
    yield from (Piece(text, is_reasoning) for text, is_reasoning in texts if text)
    yield from ollama_calls(message)


def _ending(chunk: Any) -> ServerEnding:
    return ServerEnding(
        "length" if chunk.done_reason == "length" else "stop",
        prompt_tokens=int(chunk.prompt_eval_count or 0),
        answer_tokens=int(chunk.eval_count or 0),
    )


def _error_for_status(endpoint: str, status: int, message: str) -> Exception:
    said = f"The Ollama server at {endpoint} answered: {quote_text(message)}"
    if status in BUSY:
        return HostUnavailableError(f"{said}. Try again later.")
    if status == httpx.codes.BAD_REQUEST:
        return InvalidRequestError(f"{said}. Change the request.")
    return EngineError(f"{said}. Correct the entry, or look at the server's log.")
