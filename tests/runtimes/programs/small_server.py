"""A small program of the tests that speaks llama-server's and vLLM's protocol, over real llama.cpp.

It listens where they do (``--host NAME.sock``, ``serve FOLDER --uds NAME``) and takes their arguments. A folder
that "vLLM" serves holds a ``model.gguf`` beside what makes it one of safetensors.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from llama_cpp import Llama

Json = dict[str, Any]
FAIL, SLOW, CRASH = "fail.gguf", "slow.gguf", "crash.gguf"
"""What a model is named at which the program ends with a message, never gets ready, or crashes."""
FULL = "Context size has been exceeded."
KILL_WORD = "abort please"
"""In a vLLM's prompt: the program ends at once."""


class Model:
    """One model; one answer at a time, as a real server would take turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.native = Llama(str(path), n_ctx=0, n_threads=1, embedding=True, verbose=False)
        self.lock = threading.Lock()
        self.cached = 0

    def pieces(
        self, tokens: list[int], count: int, temperature: float
    ) -> Iterator[tuple[int, str]]:
        with self.lock:
            text = b""
            sent = 0
            for made, token in enumerate(self.native.generate(tokens, temp=temperature, top_k=40)):
                if made == count or token == self.native.token_eos():
                    return
                text += self.native.detokenize([token])
                whole = text.decode("utf-8", "ignore")
                yield token, whole[sent:]
                sent = len(whole)

    def vector(self, tokens: list[int]) -> list[float]:
        with self.lock:
            text = self.native.detokenize(tokens).decode("utf-8", "replace")
            found: Any = self.native.embed(text)
        rows = found if isinstance(found[0], list) else [found]
        return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model
    lora: int
    log: Path | None

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the log is the test's."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._json({"status": "ok"})
        elif self._may_enter():
            self._json({"object": "list", "data": [{"id": sys.argv[2], "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        doors: dict[str, Callable[[Json], None]] = {
            "/completion": self._complete,
            "/embeddings": self._embed,
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._chat,
            "/v1/embeddings": self._embed_texts,
            "/tokenize": self._tokenize,
        }
        if self._may_enter():
            doors[self.path](body)

    def _may_enter(self) -> bool:
        key = os.environ.get("VLLM_API_KEY", "")
        if not key or self.headers["Authorization"] == f"Bearer {key}":
            return True
        self._json({"error": {"message": "Unauthorized", "code": 401}}, 401)
        return False

    def _complete(self, body: Json) -> None:
        self._begin_stream()
        if body["n_predict"] == 7:
            # What a real one says when the answers in flight have filled the context.
            self._event({"error": {"code": 500, "message": FULL}})
            self._end_stream()
            return
        made = 0
        broken = 5 if body["n_predict"] in (300, 295) else 0
        for token, text in self.model.pieces(
            body["prompt"], body["n_predict"], body["temperature"]
        ):
            made += 1
            self._event(
                {"content": text, "tokens": [token], "stop": False, "tokens_predicted": made}
            )
            if made == broken and body["n_predict"] == 300:
                self._event({"error": {"code": 500, "message": FULL}})
                self._end_stream()
                return
            if made == broken:
                break
        cached = len(body["prompt"]) - 1 if body["cache_prompt"] else 0
        ending = "limit" if made == body["n_predict"] else "eos"
        last = {"content": "", "tokens": [], "stop": True, "stop_type": ending}
        scales = "".join(f"[{one['id']}:{one['scale']}]" for one in body["lora"])
        if scales and not broken:
            self._event({"content": scales, "tokens": [], "stop": False, "tokens_predicted": made})
        self._event({**last, "tokens_predicted": made, "timings": {"cache_n": cached}})
        self._end_stream()

    def _embed(self, body: Json) -> None:
        rows = [self.model.vector(tokens) for tokens in body["content"]]
        self._json([{"index": n, "embedding": [row]} for n, row in enumerate(rows)])

    def _chat(self, body: Json) -> None:
        text = body.get("prompt") or "\n".join(m["content"] for m in body["messages"])
        if KILL_WORD in text:
            os.abort()
        tokens = self.model.native.tokenize(text.encode(), special=True)
        self._begin_stream()
        for _, piece in self.model.pieces(tokens, body.get("max_tokens") or 16, 0.0):
            self._event({"choices": [{"delta": {"content": piece}, "text": piece}]})
        # Which texts came, for the test to see.
        self._event({"choices": [{"delta": {"content": f"<{text}>"}, "text": ""}]})
        self._event({"choices": [{"delta": {}, "text": "", "finish_reason": "stop"}]})
        self.wfile.write(_part(b"data: [DONE]\n\n"))
        self._end_stream()

    def _embed_texts(self, body: Json) -> None:
        native = self.model.native
        rows = [self.model.vector(native.tokenize(text.encode())) for text in body["input"]]
        self._json({"data": [{"index": n, "embedding": row} for n, row in enumerate(rows)]})

    def _tokenize(self, body: Json) -> None:
        tokens = self.model.native.tokenize(body["prompt"].encode())
        self._json({"count": len(tokens), "tokens": tokens})

    def _json(self, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, content: Json) -> None:
        self.wfile.write(_part(b"data: " + json.dumps(content).encode() + b"\n\n"))

    def _end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _part(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def main() -> None:
    """Serve until a signal ends it."""
    arguments = sys.argv[1:]
    if arguments[0] == "serve":
        path, place = Path(arguments[1], "model.gguf"), arguments[arguments.index("--uds") + 1]
    else:
        path = Path(arguments[arguments.index("--model") + 1])
        place = arguments[arguments.index("--host") + 1]
    if path.name == FAIL or "--fail" in arguments:
        sys.exit("error: there is no such tensor")
    if path.name == CRASH:
        os.abort()
    if path.name == SLOW:
        time.sleep(3600)
    Handler.model = Model(path)
    with Server(place, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
