from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import (
    EngineError,
    HostUnavailableError,
    InvalidRequestError,
    TextNotEmbeddableError,
)
from engines.runtimes.base import ChatMessage, ModelStatus
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.servers.base import RemoteOptions
from engines.runtimes.servers.openai import OpenAICompatibleEngine
from engines.specs import EmbeddingSpec, EngineSpec
from tests.runtimes.servers.openai_server import KEY, OpenAIServer, free_port, openai_server

CHAT: list[ChatMessage] = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "Where does the river end?"},
]


def _engine(endpoint: str, model: str, key: str = KEY, **fields: Any) -> OpenAICompatibleEngine:
    spec = EngineSpec("remote", "Remote", model, endpoint=endpoint, **fields)
    return OpenAICompatibleEngine.from_spec(spec, RemoteOptions(api_key=key))


@pytest.fixture(scope="module")
def remote(llama_server: OpenAIServer, tiny_llama: Path) -> Iterator[OpenAICompatibleEngine]:
    with _engine(llama_server.endpoint, str(tiny_llama)) as engine:
        engine.load_model()
        yield engine


@pytest.fixture(scope="module")
def local(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    with LlamaCppEngine("local", "Local", str(tiny_llama)) as engine:
        engine.load_model()
        yield engine


def test_greedy_answers_equal_those_of_the_same_weights_here(
    remote: OpenAICompatibleEngine, local: LlamaCppEngine
) -> None:
    for prompt in ("The harbour at night", "Grüße 👋", CHAT):
        theirs = remote.complete(prompt, temperature=0, max_tokens=40, repeat_penalty=1.0)
        ours = local.complete(prompt, temperature=0, max_tokens=40)

        assert theirs.text == ours.text
        assert (theirs.finish_reason, theirs.completion_tokens) == ("length", 40)


def test_seed_and_stop_words_reach_the_server(remote: OpenAICompatibleEngine) -> None:
    full = remote.generate("Once upon", temperature=0, max_tokens=12)
    word = full.split()[3]

    assert remote.complete("Once upon", temperature=0, stop=word).text == full.split(word)[0]
    assert remote.complete("Once upon", temperature=0, stop=word).finish_reason == "stop"
    drawn = [remote.generate("Once upon", seed=7, max_tokens=20, top_k=50) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_without_a_limit_the_answer_fills_the_context(remote: OpenAICompatibleEngine) -> None:
    answer = remote.complete("Once upon", temperature=0)

    assert answer.finish_reason == "length"
    assert answer.completion_tokens > 400


def test_vectors_and_counts_equal_those_of_the_same_weights_here(
    remote: OpenAICompatibleEngine, local: LlamaCppEngine
) -> None:
    texts = ["The tower leans to the south.", "Bread needs salt."]

    theirs, ours = remote.embed_many(texts), local.embed_many(texts)

    assert ((theirs * ours).sum(axis=1) > 0.9999).all()
    assert [remote.count_tokens(text) for text in texts] == local.count_tokens_many(texts)


def test_text_without_content_has_a_sentence_and_no_vector(remote: OpenAICompatibleEngine) -> None:
    batch = remote.embed_documents(["Bread.", "  "])

    assert list(batch.errors) == [1]
    assert np.isfinite(batch.vectors[0]).all()
    assert np.isnan(batch.vectors[1]).all()
    with pytest.raises(TextNotEmbeddableError, match="empty"):
        remote.embed(" ")


def test_wrong_dimension_is_refused(llama_server: OpenAIServer, tiny_llama: Path) -> None:
    spec = EmbeddingSpec(dimension=64, max_tokens=512)
    with _engine(llama_server.endpoint, str(tiny_llama), embedding=spec) as engine:
        engine.load_model()
        with pytest.raises(EngineError, match="asked for 1 vectors of 64 numbers"):
            engine.embed("Bread.")


def test_wrong_key_is_refused_with_a_sentence(llama_server: OpenAIServer, tiny_llama: Path) -> None:
    engine = _engine(llama_server.endpoint, str(tiny_llama), key="wrong")

    with pytest.raises(EngineError, match=r"status 401.*give it a valid key"):
        engine.load_model()
    assert (engine.status, engine.is_loaded) == (ModelStatus.ERROR, False)


def test_key_is_in_no_description(remote: OpenAICompatibleEngine) -> None:
    assert KEY not in json.dumps(remote.get_engine_info()) + repr(remote.options)


def test_model_the_server_does_not_have_is_named(llama_server: OpenAIServer) -> None:
    with pytest.raises(EngineError, match=r"no model 'gpt-9'; it has .*tiny-llama-f16.gguf"):
        _engine(llama_server.endpoint, "gpt-9").load_model()


def test_models_of_a_server_are_listed(llama_server: OpenAIServer, tiny_llama: Path) -> None:
    found = OpenAICompatibleEngine.list_models(llama_server.endpoint, RemoteOptions(api_key=KEY))

    assert found == [str(tiny_llama)]


def test_server_that_is_not_there_is_unavailable(tiny_llama: Path) -> None:
    engine = _engine(f"http://127.0.0.1:{free_port()}/v1", str(tiny_llama))

    with pytest.raises(HostUnavailableError, match="cannot be reached"):
        engine.load_model()
    assert engine.is_available() is False


@pytest.mark.parametrize(
    "address",
    ["ftp://host/v1", "http://", "http://me:secret@host/v1", "http://host/v1?x=1", "http://[x"],
)
def test_address_that_is_not_plain_http_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequestError, match="must be like http://host:8000/v1") as caught:
        _engine(address, "m")
    assert "secret" not in str(caught.value)


def test_messages_that_are_none_are_refused_before_anything_is_sent(
    remote: OpenAICompatibleEngine,
) -> None:
    with pytest.raises(InvalidRequestError, match="no message"):
        remote.stream([])


@pytest.fixture(scope="module")
def lengthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "lengthy.gguf"
    return write_llama_chat(path, context_length=100_000)


@pytest.mark.slow
def test_closing_a_stream_stops_the_servers_computing(lengthy: Path) -> None:
    with openai_server(lengthy) as server, _engine(server.endpoint, str(lengthy)) as engine:
        engine.load_model()
        stream = engine.stream("Once upon", temperature=0)
        assert next(stream)
        stream.close()

        _until(lambda: _idle(server.process.pid))
        assert engine.generate("Once upon", temperature=0, max_tokens=3)


@pytest.mark.slow
def test_answer_that_another_request_cut_off_is_an_error(lengthy: Path) -> None:
    with openai_server(lengthy) as server, _engine(server.endpoint, str(lengthy)) as engine:
        engine.load_model()
        stream = engine.stream("Once upon", temperature=0)
        assert next(stream)

        assert engine.generate("And then", temperature=0, max_tokens=3)
        with pytest.raises(EngineError, match="in the middle of the answer"):
            list(stream)


@pytest.mark.slow
def test_server_that_dies_is_unavailable_from_then_on(lengthy: Path) -> None:
    with openai_server(lengthy) as server, _engine(server.endpoint, str(lengthy)) as engine:
        engine.load_model()
        stream = engine.stream("Once upon", temperature=0)
        assert next(stream)
        server.process.kill()

        with pytest.raises(HostUnavailableError, match="broke off"):
            list(stream)
        assert engine.is_available() is False
        with pytest.raises(HostUnavailableError):
            engine.embed("Bread.")


def _idle(pid: int) -> bool:
    before = psutil.Process(pid).cpu_times().user
    time.sleep(1)
    return psutil.Process(pid).cpu_times().user - before < 0.1


def _until(true: Callable[[], bool]) -> None:
    while not true():
        continue


@contextmanager
def _talker(*replies: tuple[int, str, str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that lists the model ``m`` and answers every POST with the next of ``replies``."""
    asked: list[dict[str, Any]] = []
    left = list(replies)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, "application/json", json.dumps({"data": [{"id": "m"}]}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "token" in self.path:
                self._send(404, "application/json", "{}")
                return
            asked.append(body)
            self._send(*left.pop(0))

        def _send(self, status: int, kind: str, body: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Tests are silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()
            thread.join()


def _events(*chunks: dict[str, Any]) -> tuple[int, str, str]:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return 200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"])


def _chat_chunk(reason: str | None = None, **delta: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


@pytest.mark.parametrize("thinking", [True, False])
def test_no_switch_is_sent_for_a_family_that_has_none(*, thinking: bool) -> None:
    with _talker(_events(_chat_chunk(content="Four."), _chat_chunk("stop"))) as (endpoint, asked):
        engine = _engine(endpoint, "m")
        engine.load_model()
        answer = engine.complete(CHAT, thinking=thinking)
        engine.close()

    assert answer.text == "Four."
    assert "chat_template_kwargs" not in asked[0]


def test_reasoning_comes_apart_whether_the_server_separates_it_or_not() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 21}}
    separate = _events(
        _chat_chunk(reasoning_content="Rivers "),
        _chat_chunk(reasoning_content="end in seas."),
        _chat_chunk(content="At the sea."),
        _chat_chunk("stop"),
        usage,
    )
    joined = _events(
        _chat_chunk(content="<thi"),
        _chat_chunk(content="nk>\nRivers end in seas.\n</th"),
        _chat_chunk(content="ink>\n\nAt the sea."),
        _chat_chunk("stop"),
        usage,
    )
    with _talker(separate, joined) as (endpoint, asked):
        engine = _engine(endpoint, "m", family="qwen")
        engine.load_model()
        answers = [engine.complete(CHAT, thinking=True) for _ in range(2)]
        engine.close()

    assert answers[0] == answers[1]
    assert answers[0].text == "At the sea."
    assert answers[0].reasoning == "Rivers end in seas."
    assert (answers[0].prompt_tokens, answers[0].completion_tokens) == (9, 21)
    assert asked[0]["chat_template_kwargs"] == {"enable_thinking": True}
    assert not {"max_tokens", "max_completion_tokens"} & set(asked[0])
    assert "temperature" not in asked[0]


@pytest.mark.parametrize(
    ("reply", "kind", "sentence"),
    [
        ((503, "application/json", '{"error":{"message":"wait"}}'), HostUnavailableError, "later"),
        ((400, "application/json", '{"error":{"message":"too long"}}'), InvalidRequestError, "lon"),
        ((404, "text/html", "<html>\x1b[31m"), EngineError, "status 404"),
        ((307, "text/html", ""), EngineError, "status 307"),
        ((200, "text/event-stream", "data: {not json\n\n"), EngineError, "be understood"),
        ((200, "text/event-stream", 'data: {"choices": 5}\n\n'), EngineError, "be understood"),
        ((200, "text/event-stream", 'data: {"error": {"message": "x"}}\n\n'), EngineError, "x"),
        ((200, "text/event-stream", "data: [DONE]\n\n"), EngineError, "in the middle"),
    ],
)
def test_what_a_server_answers_instead_of_an_answer_is_a_sentence(
    reply: tuple[int, str, str], kind: type[Exception], sentence: str
) -> None:
    with _talker(reply) as (endpoint, asked):
        engine = _engine(endpoint, "m")
        engine.load_model()
        with pytest.raises(kind, match=sentence) as caught:
            engine.generate("hello")
        engine.close()

    assert "\x1b" not in str(caught.value)
    assert len(asked) == 1


def test_text_the_server_refuses_does_not_cost_the_others_their_vectors() -> None:
    refused = (400, "application/json", '{"error":{"message":"too long"}}')
    vector = (200, "application/json", '{"data":[{"index":0,"embedding":[3.0,4.0]}]}')
    with _talker(refused, vector, refused) as (endpoint, _asked):
        engine = _engine(endpoint, "m")
        engine.load_model()
        batch = engine.embed_documents(["short", "long"])
        engine.close()

    np.testing.assert_allclose(batch.vectors[0], [0.6, 0.8], rtol=1e-6)
    assert list(batch.errors) == [1]
    assert "too long" in batch.errors[1]
