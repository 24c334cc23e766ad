"""A server that speaks Ollama's wire format (its docs/api.md) over real llama.cpp engines."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.llama_cpp.engine import LlamaCppEngine

RENAMED = {"num_predict": "max_tokens"}
LOAD_TIME = {"num_ctx", "num_thread", "num_gpu", "main_gpu"}


@dataclass
class OllamaStore:
    """What such a server keeps: blobs, models made of them, and those in memory."""

    folder: Path
    library: dict[str, Path] = field(default_factory=dict)
    """What ``pull`` can fetch."""
    models: dict[str, Path] = field(default_factory=dict)
    loaded: dict[str, LlamaCppEngine] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    """What came in the Authorization header."""
    endpoint: str = ""
    architecture: str = "llama"
    """What it says of every model."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def blob(self, digest: str) -> Path:
        return self.folder / digest.replace(":", "-")

    def engine(self, name: str) -> LlamaCppEngine:
        with self.lock:
            if name not in self.loaded:
                engine = LlamaCppEngine(name, name, str(self.models[name]))
                engine.load_model()
                self.loaded[name] = engine
            return self.loaded[name]

    def unload(self, name: str) -> None:
        with self.lock:
            if name in self.loaded:
                self.loaded.pop(name).close()

    def posted(self, path: str) -> list[dict[str, Any]]:
        return [body for at, body in self.requests if at == path]


class _Server(ThreadingHTTPServer):
    """Ends like a process that is killed: with its open connections."""

    def __init__(self, store: OllamaStore) -> None:
        super().__init__(("127.0.0.1", 0), _handler(store))
        self._open: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.append(request)
        super().process_request(request, client_address)

    def kill(self) -> None:
        self.shutdown()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def ollama_server(folder: Path) -> Iterator[OllamaStore]:
    store = OllamaStore(folder)
    with _Server(store) as server:
        store.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield store
        finally:
            server.kill()
            thread.join()
            for name in list(store.loaded):
                store.unload(name)


def _handler(store: OllamaStore) -> type[BaseHTTPRequestHandler]:
    class Handler(OllamaHandler):
        kept = store

    return Handler


class OllamaHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: OllamaStore

    def parse_request(self) -> bool:
        complete = super().parse_request()
        if complete:
            self.kept.keys.add(self.headers["Authorization"])
        return complete

    def do_HEAD(self) -> None:
        found = self.kept.blob(self.path.rpartition("/")[2]).is_file()
        self._send(200 if found else 404, b"")

    def do_GET(self) -> None:
        replies = {"/api/tags": self._tags, "/api/ps": self._running}
        self._json(200, replies[self.path]())

    def do_POST(self) -> None:
        if self.path.startswith("/api/blobs/"):
            self._take_blob(self.path.rpartition("/")[2])
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kept.requests.append((self.path, body))
        name = body["model"]
        if self.path not in ("/api/create", "/api/pull") and name not in self.kept.models:
            self._json(404, {"error": f"model '{name}' not found"})
            return
        getattr(self, f"_{self.path.removeprefix('/api/')}")(body, name)

    def _take_blob(self, digest: str) -> None:
        self.kept.requests.append((self.path, {}))
        data = self._read_body()
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            self._json(400, {"error": "digest mismatch"})
            return
        self.kept.blob(digest).write_bytes(data)
        self._send(201, b"")

    def _read_body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _tags(self) -> dict[str, Any]:
        return {"models": [{"name": name, "model": name} for name in self.kept.models]}

    def _running(self) -> dict[str, Any]:
        models = [
            {
                "name": name,
                "model": name,
                "size": Path(engine.model_path).stat().st_size,
                "size_vram": 0,
                "context_length": engine.get_engine_info()["context_length"],
            }
            for name, engine in self.kept.loaded.items()
        ]
        return {"models": models}

    def _show(self, _body: dict[str, Any], name: str) -> None:
        details = {"format": "gguf", "family": self.kept.architecture, "quantization_level": "F16"}
        self._json(200, {"details": details, "model_info": {"general.basename": name}})

    def _create(self, body: dict[str, Any], name: str) -> None:
        (digest,) = body["files"].values()
        if not self.kept.blob(digest).is_file():
            self._json(400, {"error": f"blob {digest} not found"})
            return
        self.kept.models[name] = self.kept.blob(digest)
        self._json(200, {"status": "success"})

    def _pull(self, _body: dict[str, Any], name: str) -> None:
        if name not in self.kept.library:
            self._lines([{"error": "pull model manifest: file does not exist"}])
            return
        source = self.kept.library[name]
        size = source.stat().st_size
        self.kept.models[name] = source
        self._lines(
            [
                {"status": "pulling manifest"},
                {"status": "pulling", "total": size, "completed": size // 2},
                {"status": "pulling", "total": size, "completed": size},
                {"status": "success"},
            ]
        )

    def _generate(self, body: dict[str, Any], name: str) -> None:
        if not body.get("prompt"):
            self._load_or_unload(body, name)
            return
        assert body["raw"] is True
        self._answer(body, name, body["prompt"], "response")

    def _chat(self, body: dict[str, Any], name: str) -> None:
        messages = [
            {"role": turn["role"], "content": turn.get("content", "")} for turn in body["messages"]
        ]
        self._answer(body, name, messages, "message")

    def _load_or_unload(self, body: dict[str, Any], name: str) -> None:
        if body.get("keep_alive") == 0:
            self.kept.unload(name)
        else:
            self.kept.engine(name)
        reason = "unload" if body.get("keep_alive") == 0 else "load"
        self._json(200, {"model": name, "response": "", "done": True, "done_reason": reason})

    def _answer(self, body: dict[str, Any], name: str, prompt: Any, key: str) -> None:
        assert body["stream"] is True
        given = {RENAMED.get(k, k): v for k, v in body["options"].items() if k not in LOAD_TIME}
        stream = self.kept.engine(name).stream(prompt, **given)
        self._start_lines()
        try:
            while True:
                self._line(_part(key, next(stream)))
        except StopIteration as end:
            answer = end.value
            counts = {
                "done_reason": answer.finish_reason,
                "prompt_eval_count": answer.prompt_tokens,
                "eval_count": answer.completion_tokens,
            }
            self._line({**_part(key, ""), "done": True, **counts})
            self._end_lines()
        except InvalidRequestError as error:
            self._line({"error": str(error)})
            self._end_lines()
        except OSError:
            # The client is gone; closing the stream stops the model.
            self.close_connection = True
        finally:
            stream.close()

    def _embed(self, body: dict[str, Any], name: str) -> None:
        given = body["input"]
        texts = [given] if isinstance(given, str) else given
        if body.get("keep_alive") == 0:
            self.kept.unload(name)
        engine = self.kept.engine(name)
        vectors = engine.embed_many(texts).tolist() if any(texts) else []
        self._json(200, {"model": name, "embeddings": vectors})

    def _json(self, status: int, value: object) -> None:
        self._send(status, json.dumps(value).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _lines(self, values: list[dict[str, Any]]) -> None:
        self._start_lines()
        for value in values:
            self._line(value)
        self._end_lines()

    def _start_lines(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _line(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _end_lines(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Tests are silent."""


def _part(key: str, text: str) -> dict[str, Any]:
    said = {"role": "assistant", "content": text} if key == "message" else text
    return {"model": "m", "created_at": "2026-01-01T00:00:00Z", key: said, "done": False}
