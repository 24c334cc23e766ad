"""The runtime of servers that speak OpenAI's API: vLLM, llama-server, LM Studio and others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    DefaultHttpxClient,
    OpenAI,
    OpenAIError,
    Timeout,
)

from engines.exceptions import (
    EngineError,
    EngineNotLoadedError,
    HostUnavailableError,
    InvalidRequestError,
)
from engines.runtimes.base import ChatMessage, Facts
from engines.runtimes.servers.base import RemoteEngine, RemoteOptions, ServerEnding, quote_text
from engines.runtimes.servers.tool_formats import OpenAICalls, openai_form
from engines.runtimes.text.generation import GenerationOptions, Piece
from engines.runtimes.text.response_format import Json
from engines.specs import EngineSpec

STANDARD = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")
EXTENSIONS = {"top_k": ("top_k",), "min_p": ("min_p",)}
"""Options outside OpenAI's API, by the names vLLM and llama.cpp's servers give them."""
PENALTY_NAMES = ("repeat_penalty", "repetition_penalty")
BUSY = frozenset({408, 409, 425, 429, 502, 503, 504})
NO_KEY = "none"
"""The client insists on a key; servers without keys ignore it."""


class OpenAICompatibleEngine(RemoteEngine[RemoteOptions]):
    """A model behind ``/v1``; ``model_path`` is the name the server gives it."""

    default_endpoint = "http://127.0.0.1:8000/v1"
    options_kind = RemoteOptions

    _client: OpenAI | None = None
    _count: Callable[[str], int] | None = None

    @classmethod
    def list_models(cls, place: str, options: RemoteOptions | None = None) -> list[str]:
        with cls.from_spec(EngineSpec("list", "list", "", endpoint=place), options) as engine:
            return engine._list_names(engine._new_client())

    def count_tokens(self, text: str) -> int:
        """Tokens by the server's tokenizer where it offers one, else an estimate."""
        if self._count is None:
            return super().count_tokens(text)
        with self._translate_errors():
            return self._count(text)

    def _connect(self) -> Facts:
        self._disconnect()
        client = self._new_client()
        self._require_listed(self._list_names(client))
        self._count = _token_counter(client, self.endpoint, self.model_path)
        return {
            "context_length": self.spec.context_length,
            "counts_tokens": "exactly" if self._count else "by estimate",
        }

    def _new_client(self) -> OpenAI:
        wait = Timeout(self.options.read_seconds, connect=self.options.connect_seconds)
        self._client = OpenAI(
            base_url=self.endpoint,
            api_key=self.options.api_key or NO_KEY,
            timeout=wait,
            # SAM retries whole steps and falls back to other engines; a client that retries hides that.
            max_retries=0,
            # A redirect could carry the key to another server.
            http_client=DefaultHttpxClient(follow_redirects=False, timeout=wait),
        )
        return self._client

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._count = None
        if client is not None:
            client.close()

    def _ping(self) -> None:
        client = self._require_client().with_options(timeout=self.options.ping_seconds)
        with self._translate_errors():
            client.models.list()

    def _list_names(self, client: OpenAI) -> list[str]:
        with self._translate_errors():
            return [model.id for model in client.models.list().data]

    def _require_client(self) -> OpenAI:
        if self._client is None:
            raise EngineNotLoadedError(f"Engine {self.engine_id} was unloaded meanwhile.")
        return self._client

    def _answer(
        self, prompt: str | list[ChatMessage], options: GenerationOptions, given: frozenset[str]
    ) -> Generator[Piece, None, ServerEnding]:
        parameters = self._parameters(options, given)
        if not isinstance(prompt, str):
            parameters |= openai_form(options, given)
        reader = _Reader()
        with self._translate_errors(), self._open(prompt, parameters) as chunks:
            for chunk in chunks:
                yield from reader.read(chunk)
        ending = reader.ending(self.endpoint)
        yield from reader.calls.pieces()
        return ending

    def _open(self, prompt: str | list[ChatMessage], parameters: Json) -> Any:
        client: Any = self._require_client()
        if isinstance(prompt, str):
            return client.completions.create(prompt=prompt, **parameters)
        return client.chat.completions.create(messages=prompt, **parameters)

    def _parameters(self, options: GenerationOptions, given: frozenset[str]) -> Json:
        """Return only what the caller set: servers refuse options that they do not know."""
        values = options.as_parameters()
        extra = {
            sent: values[name]
            for name, names in (*EXTENSIONS.items(), ("repeat_penalty", PENALTY_NAMES))
            if name in given
            for sent in names
        }
        if options.thinking is not None:
            extra["chat_template_kwargs"] = {self._family.thinking_variable: options.thinking}
        return {
            "model": self.model_path,
            "stream": True,
            "stream_options": {"include_usage": True},
            # Without a number the API's default is 16; null asks for as many as fit.
            "max_tokens": options.max_tokens or None,
            "extra_body": extra,
            **({"stop": list(options.stop)} if options.stop else {}),
            **{name: values[name] for name in STANDARD if name in given},
        }

    def _vectors(self, texts: list[str]) -> list[Any]:
        rows = self._ask_vectors(texts)
        if len(texts) > 1 and any(map(_is_per_token, rows)):
            # llama-cpp-python's server mixes up the texts of a batch when the model does not pool.
            rows = [row for text in texts for row in self._ask_vectors([text])]
        return [_pool(row, self._embedding().pooling) for row in rows]

    def _ask_vectors(self, texts: list[str]) -> list[Any]:
        # As numbers: the client's default is base64, which not every server knows.
        with self._translate_errors():
            reply = self._require_client().embeddings.create(
                model=self.spec.embedding_model or self.model_path,
                input=texts,
                encoding_format="float",
            )
            return [item.embedding for item in sorted(reply.data, key=lambda item: item.index)]

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn the client's errors into SAM's, with sentences."""
        try:
            yield
        except APITimeoutError as error:
            raise HostUnavailableError(
                f"The server at {self.endpoint} did not answer in time; try again later."
            ) from error
        except APIConnectionError as error:
            raise HostUnavailableError(
                f"The server at {self.endpoint} cannot be reached or broke off; start it, or "
                "correct the entry's address."
            ) from error
        except APIStatusError as error:
            raise _error_for_status(self.endpoint, error.status_code, error.message) from error
        except (OpenAIError, ValueError, TypeError, AttributeError) as error:
            # The client does not check what a server sends: a field of another type ends here.
            raise EngineError(
                f"The server at {self.endpoint} sent something that cannot be understood "
                f"({quote_text(error)}); does it speak OpenAI's API?"
            ) from error


class _Reader:
    """Reads the chunks of one answer, of either kind of request."""

    def __init__(self) -> None:
        self._reason = ""
        self._pieces = 0
        self._usage: Any = None
        self.calls = OpenAICalls()

    def read(self, chunk: Any) -> Iterator[Piece]:
        self._usage = getattr(chunk, "usage", None) or self._usage
        for choice in chunk.choices or ():
            self._reason = choice.finish_reason or self._reason
            self.calls.take(getattr(choice, "delta", None))
            for piece in _pieces_of(choice):
                self._pieces += 1
                yield piece

    def ending(self, endpoint: str) -> ServerEnding:
        # A finish reason is the only proof that the stream was not cut.
        if not self._reason:
            raise EngineError(
                f"The server at {endpoint} ended the stream in the middle of the answer; another "
                "request may have taken its place. Ask again."
            )
        return ServerEnding(
            "length" if self._reason == "length" else "stop",
            prompt_tokens=int(getattr(self._usage, "prompt_tokens", 0) or 0),
            answer_tokens=int(getattr(self._usage, "completion_tokens", 0) or self._pieces),
        )


def _pieces_of(choice: Any) -> Iterator[Piece]:
    delta = getattr(choice, "delta", None)
    if delta is None:
        texts = [(choice.text, False)]
    else:
        # vLLM and llama-server separate the reasoning themselves, by one of two names.
        extra = delta.model_extra or {}
        thought = extra.get("reasoning_content") or extra.get("reasoning")
        texts = [(thought, True), (delta.content, False)]
    return (Piece(text, is_reasoning) for text, is_reasoning in texts if text)


def _is_per_token(embedding: Any) -> bool:
    """Whether a text came back as one vector per token, as for a model that does not pool."""
    return isinstance(embedding, list) and bool(embedding) and isinstance(embedding[0], list)


def _pool(embedding: Any, pooling: str) -> Any:
    """One vector per text."""
    if not _is_per_token(embedding):
        return embedding
    if pooling == "cls":
        return embedding[0]
    if pooling == "last":
        return embedding[-1]
    return [sum(column) / len(embedding) for column in zip(*embedding, strict=False)]


def _token_counter(client: OpenAI, endpoint: str, model: str) -> Callable[[str], int] | None:
    """Return a counter that uses the server's tokenizer, if it offers one; OpenAI's API has none.

    Sources: the API documentation of vLLM and llama-server (``/tokenize``) and of llama-cpp-python
    (``/extras/tokenize/count``).
    """
    root = endpoint.removesuffix("/v1")
    for path, name in (
        ("/extras/tokenize/count", "input"),
        ("/tokenize", "content"),
        ("/tokenize", "prompt"),
    ):
        counter = _Counter(client, root + path, {"model": model}, name)
        if counter.works():
            return counter
    return None


class _Counter:
    """Counts tokens by asking one address; those that open a text are not counted."""

    def __init__(self, client: OpenAI, url: str, body: dict[str, str], name: str) -> None:
        self._client = client
        self._url = url
        self._body = body
        self._name = name
        self._opening = 0

    def works(self) -> bool:
        try:
            self._opening = self._ask("")
            return self("one two") > 0
        except (OpenAIError, ValueError, TypeError, KeyError):
            return False

    def __call__(self, text: str) -> int:
        return self._ask(text) - self._opening

    def _ask(self, text: str) -> int:
        body = {**self._body, self._name: text}
        reply: Any = self._client.post(self._url, cast_to=object, body=body)
        return len(reply["tokens"]) if "count" not in reply else int(reply["count"])


def _error_for_status(endpoint: str, status: int, message: str) -> Exception:
    said = f"The server at {endpoint} answered with status {status} ({quote_text(message)})"
    if status in BUSY:
        return HostUnavailableError(f"{said}; try again later.")
    if status in (400, 413, 422):
        return InvalidRequestError(f"{said}; change the request.")
    if status in (401, 403):
        return EngineError(f"{said}; give it a valid key.")
    return EngineError(f"{said}; correct the entry's address and model.")
