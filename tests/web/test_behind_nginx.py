"""A stream through Debian's nginx, which ends what is silent for 20 seconds, from an engine silent for longer.

``SAM_NGINX_PIECES`` says how many pieces the engine writes, each after a silence; 24 take ten minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from django.contrib.auth.models import User

from engines.models import CatalogModel, EnginePreference, ModelRevision
from engines.services.catalog.copies import copy_of, mark_present
from engines.specs import ModelSource
from migrations_app.serving.protocol import LIVE_KINDS
from tests.openai_api.sse import chunks_of, text_of
from tests.openai_api.web import PATIENCE, WebProcess
from tests.redis_admin import admin_redis
from tests.runtimes.servers.openai_server import free_port
from tests.tokens import token_for
from tests.worker.plans import make_host
from tests.worker.processes import LIVE, WorkerProcess

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
IDLE_SECONDS = 20
SILENT_SECONDS = 25.0
PIECES = int(os.environ.get("SAM_NGINX_PIECES", "1"))
CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {address}; proxy_http_version 1.1; proxy_set_header Host $host;
      proxy_read_timeout {idle}s; proxy_send_timeout {idle}s; send_timeout {idle}s;
    }}
  }}
}}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(PIECES * SILENT_SECONDS + 300),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light"),
]


class SilentHandler(BaseHTTPRequestHandler):
    """A server that speaks OpenAI's API and thinks for long before each piece."""

    def do_GET(self) -> None:
        self._begin("application/json")
        self.wfile.write(b'{"data": [{"id": "m"}]}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if "token" in self.path:
            self.send_error(404)
            return
        self._begin("text/event-stream")
        for number in range(PIECES):
            time.sleep(SILENT_SECONDS)
            self._send({"delta": {"content": f"{number} "}})
        self._send({"delta": {}, "finish_reason": "stop"})

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _send(self, choice: dict[str, object]) -> None:
        self.wfile.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")

    def log_message(self, *_: object) -> None:
        """Tests are silent."""


@contextmanager
def silent_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SilentHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@contextmanager
def nginx(folder: Path, address: str) -> Iterator[str]:
    """nginx before an address, as it is configured for a site; its own address."""
    assert NGINX is not None
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(folder=folder, port=port, address=address, idle=IDLE_SECONDS)
    )
    process = subprocess.Popen([NGINX, "-c", str(file), "-p", str(folder)])
    try:
        own = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                httpx2.get(own)
                break
            except httpx2.TransportError:
                time.sleep(0.1)
        yield own
    finally:
        process.terminate()
        process.wait(PATIENCE)


def make_served(endpoint: str) -> User:
    """A person whose engine a server runs."""
    host = make_host(announces=[f"live.{kind}" for kind in LIVE_KINDS])
    model = CatalogModel.objects.create(
        model_id="silent",
        display_name="Silent",
        model_family="llama",
        runtime="openai",
        endpoint=endpoint,
        remote_name="m",
        context_length=4096,
    )
    revision = ModelRevision.objects.create(
        model=model, source=ModelSource.SERVER.value, sha256="a" * 64, file_size=0, commit="a" * 40
    )
    mark_present(copy_of(revision, host), "m", "a" * 64)
    model.current_revision = revision
    model.save()
    user = User.objects.create(username="alan")
    EnginePreference.objects.create(user=user, engine=model, revision=revision)
    return user


@pytest.mark.django_db(transaction=True)
def test_a_stream_outlives_an_idle_limit_that_is_shorter_than_the_engines_silence(
    tmp_path: Path,
) -> None:
    admin_redis().flushall()
    with silent_server() as endpoint:
        user = make_served(endpoint)
        allowed = urlsplit(endpoint).netloc
        worker = WorkerProcess(tmp_path, LIVE, SAM_ALLOWED_PRIVATE_HOSTS=allowed)
        with (
            worker,
            WebProcess(tmp_path, worker._environment()) as web,
            nginx(tmp_path, web.address) as proxy,
            httpx2.Client(headers={"Authorization": f"Bearer {token_for(user)}"}) as client,
        ):
            told = _lines(client, f"{proxy}/v1/chat/completions")

    assert text_of(chunks_of(line for _, line in told)) == "".join(f"{n} " for n in range(PIECES))
    times = [at for at, _ in told]
    silences = [later - sooner for sooner, later in pairwise(times)]
    assert max(silences) < IDLE_SECONDS
    assert times[-1] - times[0] > PIECES * SILENT_SECONDS - 5


def _lines(client: httpx2.Client, address: str) -> list[tuple[float, str]]:
    """The lines of a stream that are not empty, and when each came."""
    asked = {"model": "sam", "messages": [{"role": "user", "content": "Hm?"}], "stream": True}
    with client.stream("POST", address, json=asked, timeout=SILENT_SECONDS) as response:
        assert response.status_code == 200, response.read()
        return [(time.monotonic(), line) for line in response.iter_lines() if line]
