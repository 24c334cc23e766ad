"""The runtime of servers that speak OpenAI's API: vLLM, llama-server, LM Studio and others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx2
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
)
from engines.network.guard import address_guard
from engines.network.transports import GuardedTransport
from engines.runtimes.base import ChatMessage, Facts
from engines.runtimes.servers.base import RemoteEngine, RemoteOptions, ServerEnding, quote_text
from engines.runtimes.servers.learned import EFFORT, limits_of
from engines.runtimes.servers.openai_stream import AnswerReader, error_for_status
from engines.runtimes.servers.tool_formats import openai_form
from engines.runtimes.text.efforts import SPOKEN_EFFORTS
from engines.runtimes.text.generation import GenerationOptions, Piece
from engines.runtimes.text.response_format import Json
from engines.specs import EngineSpec

STANDARD = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")
EXTENSIONS = {"top_k": ("top_k",), "min_p": ("min_p",)}
"""Options outside OpenAI's API, by the names vLLM and llama.cpp's servers give them."""
PENALTY_NAMES = ("repeat_penalty", "repetition_penalty")
TEACHING = frozenset({400, 422})
"""Statuses with which servers refuse a field."""
NO_LIST = frozenset({404, 405, 501})
INTERRUPTING = "/extras/"
"""In addresses of llama-cpp-python's server only."""
NO_KEY = "none"
"""The client insists on a key; servers without keys ignore it."""

Sent = TypeVar("Sent")


class OpenAICompatibleEngine(RemoteEngine[RemoteOptions]):
    """A model behind ``/v1``; ``model_path`` is the name the server gives it."""

    default_endpoint = "http://127.0.0.1:8000/v1"
    options_kind = RemoteOptions

    _client: OpenAI | None = None
    _count: Callable[[str], int] | None = None

    @classmethod
    def list_models(cls, place: str, options: RemoteOptions | None = None) -> list[str]:
        with cls.from_spec(EngineSpec("list", "list", "", endpoint=place), options) as engine:
            names = engine._listed_names(engine._new_client())
        if names is None:
            raise EngineError(
                f"The server at {place} does not list its models; type the name that it gives the model."
            )
        return names

    def check(self) -> None:
        """As the contract says; a server that lists no models is asked for nothing more."""
        options = replace(self.options, read_seconds=self.options.check_seconds)
        with type(self).from_spec(self.spec, options) as engine:
            engine._require_model(engine._new_client())

    def get_engine_info(self) -> Facts:
        """Return the facts, and which fields of a request the server does not take."""
        refused = limits_of(self.endpoint, self.model_path).refused
        return {
            **super().get_engine_info(),
            "takes_effort": EFFORT not in refused,
            **({"fields_left_out": refused} if refused else {}),
        }

    @property
    def _names_reasons(self) -> bool:
        """Whether the server is one that ends an answer for another request's sake, with ``[DONE]``."""
        return isinstance(self._count, _Counter) and INTERRUPTING in self._count.url

    def count_tokens(self, text: str) -> int:
        """Tokens by the server's tokenizer where it offers one, else an estimate."""
        if self._count is None:
            return super().count_tokens(text)
        with self._translate_errors():
            return self._count(text)

    def _connect(self) -> Facts:
        self._close_client()
        client = self._new_client()
        self._require_model(client)
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
            http_client=DefaultHttpxClient(
                follow_redirects=False, timeout=wait, transport=self._new_transport()
            ),
        )
        return self._client

    def _new_transport(self) -> httpx2.BaseTransport:
        """Return the way to the server; InvalidRequestError for an address that nobody allowed."""
        address_guard().check_url(self.endpoint)
        return GuardedTransport()

    def _disconnect(self) -> None:
        self._close_client()

    def _close_client(self) -> None:
        client, self._client = self._client, None
        self._count = None
        if client is not None:
            client.close()

    def _ping(self) -> None:
        client = self._require_client().with_options(timeout=self.options.ping_seconds)
        self._listed_names(client)

    def _require_model(self, client: OpenAI) -> None:
        """EngineError when the server lists its models and this one is not among them."""
        names = self._listed_names(client)
        if names is not None:
            self._require_listed(names)

    def _listed_names(self, client: OpenAI) -> list[str] | None:
        """Return the models that the server lists; None when it has no such list."""
        with self._translate_errors():
            try:
                return [model.id for model in client.models.list().data]
            except APIStatusError as error:
                if error.status_code not in NO_LIST:
                    raise
                return None

    def _require_client(self) -> OpenAI:
        if self._client is None:
            raise EngineNotLoadedError(f"Engine {self.engine_id} was unloaded meanwhile.")
        return self._client

    def _answer(
        self, prompt: str | list[ChatMessage], options: GenerationOptions, given: frozenset[str]
    ) -> Generator[Piece, None, ServerEnding]:
        fields = self._fields(options, given)
        if isinstance(prompt, str):
            # Without a number the API's default is 16 here; null asks for as many as fit.
            fields.setdefault("max_tokens", None)
        else:
            fields |= openai_form(options, given)
            if options.effort is not None:
                fields[EFFORT] = SPOKEN_EFFORTS.level_of(options.effort)
        tools = [tool["function"]["name"] for tool in options.tools]
        reader = AnswerReader(self.endpoint, tools)
        with self._translate_errors(), self._open(prompt, fields) as reply:
            if "json" in reply.headers.get("content-type", ""):
                yield from reader.read_whole(reply.read())
            else:
                yield from reader.read_stream(reply.iter_bytes())
        ending = reader.ending(options.max_tokens, names_reasons=self._names_reasons)
        yield from reader.calls()
        return ending

    @contextmanager
    def _open(self, prompt: str | list[ChatMessage], fields: Json) -> Iterator[Any]:
        """Ask for an answer; what the server refuses of the fields is left out, now and later."""
        client: Any = self._require_client()
        is_raw = isinstance(prompt, str)
        door = client.completions if is_raw else client.chat.completions
        asked = {"prompt" if is_raw else "messages": prompt}
        with ExitStack() as opened:

            def send(sent: Json) -> Any:
                create = door.with_streaming_response.create
                opening = create(model=self.model_path, stream=True, extra_body=sent, **asked)
                return opened.enter_context(opening)

            yield self._as_it_takes(self.model_path, fields, send)

    def _as_it_takes(self, model: str, fields: Json, send: Callable[[Json], Sent]) -> Sent:
        """Send fields as a model of the server takes them; each one it refuses costs one more try."""
        limits = limits_of(self.endpoint, model)
        while True:
            sent = limits.adapted(fields)
            try:
                return send(sent)
            except APIStatusError as error:
                if error.status_code not in TEACHING or not limits.learn(sent, _text_of(error)):
                    raise

    def _fields(self, options: GenerationOptions, given: frozenset[str]) -> Json:
        """Return only what the caller set: servers refuse options that they do not know."""
        values = options.as_parameters()
        extra = {
            sent: values[name]
            for name, names in (*EXTENSIONS.items(), ("repeat_penalty", PENALTY_NAMES))
            if name in given
            for sent in names
        }
        if switch := self._notation.switch_variables(thinking=options.thinking):
            extra["chat_template_kwargs"] = switch
        return {
            "stream_options": {"include_usage": True},
            **({"max_tokens": options.max_tokens} if options.max_tokens else {}),
            **({"stop": list(options.stop)} if options.stop else {}),
            **{name: values[name] for name in STANDARD if name in given},
            **extra,
        }

    def _vectors(self, texts: list[str]) -> list[Any]:
        rows = self._ask_vectors(texts)
        if len(texts) > 1 and any(map(_is_per_token, rows)):
            # llama-cpp-python's server mixes up the texts of a batch when the model does not pool.
            rows = [row for text in texts for row in self._ask_vectors([text])]
        return [_pool(row, self._embedding().pooling) for row in rows]

    def _ask_vectors(self, texts: list[str]) -> list[Any]:
        # As numbers: the client's default is base64, which not every server knows.
        client: Any = self._require_client()
        model = self.spec.embedding_model or self.model_path

        def send(sent: Json) -> Any:
            body = {"model": model, "input": texts, **sent}
            return client.post("/embeddings", cast_to=object, body=body)

        with self._translate_errors():
            reply = self._as_it_takes(model, {"encoding_format": "float"}, send)
            rows = sorted(reply["data"], key=lambda row: row["index"])
            return [row["embedding"] for row in rows]

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
            status, code = error.status_code, error.code or error.type
            raise error_for_status(self.endpoint, status, error.message, code) from error
        except httpx2.TransportError as error:
            raise HostUnavailableError(
                f"The server at {self.endpoint} broke off or fell silent; start it, or try again later."
            ) from error
        except (OpenAIError, ValueError, TypeError, AttributeError, LookupError) as error:
            # The client does not check what a server sends: a field of another type ends here.
            raise EngineError(
                f"The server at {self.endpoint} sent something that cannot be understood "
                f"({quote_text(error)}); does it speak OpenAI's API?"
            ) from error


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
        self.url = url
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
        reply: Any = self._client.post(self.url, cast_to=object, body=body)
        return len(reply["tokens"]) if "count" not in reply else int(reply["count"])


def _text_of(error: APIStatusError) -> str:
    """Return what a server said, as it came."""
    return str(error.response.text)
