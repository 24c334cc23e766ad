"""One connection to the demo Hub: the requests of the Hub's protocol and their answers."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

from deploy.demo.hub.body import Body, plan_body
from deploy.demo.hub.faults import Fault, FaultQueue, LogEntry
from deploy.demo.hub.files import Repositories, StoredFile, commit_of

_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/(?P<what>revision|tree)/(?P<revision>[^/]+)")


@dataclass
class HubState:
    """What both origins of one demo Hub share."""

    repositories: Repositories
    page_size: int = 1000
    """How many files a page of a listing names."""
    faults: FaultQueue = field(default_factory=FaultQueue)
    log: list[LogEntry] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    origins: dict[str, str] = field(default_factory=dict)


class OriginServer(ThreadingHTTPServer):
    """One origin: an address of its own that serves the same files."""

    daemon_threads = False

    def __init__(self, port: int, origin: Literal["hub", "elsewhere"], state: HubState) -> None:
        self.origin: Literal["hub", "elsewhere"] = origin
        self.state = state
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Connection)

    def track(self, connection: socket.socket, *, is_open: bool) -> None:
        """Remember which connections a stop must end."""
        with self._lock:
            (self._open.add if is_open else self._open.discard)(connection)

    def end_connections(self) -> None:
        """Wake every handler that still waits for its client."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client may have gone already
                    connection.shutdown(socket.SHUT_RDWR)


class Connection(BaseHTTPRequestHandler):
    """Answers HEAD and GET; each request takes one planned fault."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._server.track(self.connection, is_open=True)

    def finish(self) -> None:
        self._server.track(self.connection, is_open=False)
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the state's log is what tests read."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    @property
    def _server(self) -> OriginServer:
        return cast("OriginServer", self.server)

    @property
    def _state(self) -> HubState:
        return self._server.state

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if (found := _RESOLVE.fullmatch(path)) is not None:
            self._resolve(found["repo"], found["revision"], found["name"])
        elif path == "/api/models":
            self._search(parse_qs(urlsplit(self.path).query).get("search", [""])[0])
        elif (found := _API.fullmatch(path)) is not None:
            self._describe(found["repo"], found["what"], found["revision"])
        else:
            self._refuse(404, "EntryNotFound")

    def _listing(self, repo: str, revision: str) -> list[StoredFile] | None:
        """Return the repository's files, or None after a refusal was sent."""
        files = self._state.repositories.files(repo)
        if files is None:
            self._refuse(404, "RepoNotFound")
            return None
        if revision not in ("main", commit_of(files)):
            self._refuse(404, "RevisionNotFound")
            return None
        return files

    def _search(self, words: str) -> None:
        names = [name for name in self._state.repositories.names() if words.lower() in name.lower()]
        found = [{"id": name, "downloads": 0, "likes": 0} for name in names]
        self._send_whole(200, json.dumps(found).encode())

    def _describe(self, repo: str, what: str, revision: str) -> None:
        fault = self._state.faults.take("LIST")
        if fault.redirect:
            self._redirect(fault)
            return
        if fault.status:
            self._refuse(fault.status)
            return
        files = self._listing(repo, revision)
        if files is None:
            return
        if what == "tree":
            self._send_page([_tree_entry(file) for file in files])
            return
        siblings = [{"rfilename": file.name} for file in files]
        model = {"id": repo, "sha": commit_of(files), "siblings": siblings}
        self._send_whole(200, json.dumps(model).encode())

    def _send_page(self, entries: list[dict[str, object]]) -> None:
        """Send one page, and where the next one is."""
        address = urlsplit(self.path)
        start = int(parse_qs(address.query).get("cursor", ["0"])[0])
        end = start + self._state.page_size
        following = f"{self._state.origins['hub']}{address.path}?recursive=true&cursor={end}"
        link = {"Link": f'<{following}>; rel="next"'} if end < len(entries) else {}
        self._send_whole(200, json.dumps(entries[start:end]).encode(), link)

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        fault = self._state.faults.take(self.command)
        if fault.hang:
            self._state.stopping.wait()
            self.close_connection = True
        elif fault.redirect:
            self._redirect(fault)
        elif fault.status:
            self._refuse(fault.status, headers=fault.headers)
        else:
            self._send_file(repo, revision, name, fault)

    def _send_file(self, repo: str, revision: str, name: str, fault: Fault) -> None:
        files = self._listing(repo, revision)
        if files is None:
            return
        file = next((file for file in files if file.name == name), None)
        if file is None:
            self._refuse(404, "EntryNotFound")
        elif self._server.origin == "hub" and not self._is_allowed(repo):
            self._refuse(403 if "Authorization" in self.headers else 401, "GatedRepo")
        else:
            body = plan_body(file, commit_of(files), self.headers, fault)
            entry = self._begin(body.status, body.headers)
            if self.command == "GET":
                self._send_body(body, fault, entry)

    def _send_body(self, body: Body, fault: Fault, entry: LogEntry) -> None:
        self.close_connection = True
        for piece in body.pieces():
            self.wfile.write(piece)
            entry.bytes_sent += len(piece)
            if fault.bytes_per_second:
                self._state.stopping.wait(len(piece) / fault.bytes_per_second)
        if fault.hold_after is not None:
            self._state.stopping.wait()

    def _is_allowed(self, repo: str) -> bool:
        return self._state.repositories.accepts(repo, self.headers.get("Authorization", ""))

    def _redirect(self, fault: Fault) -> None:
        here, elsewhere = (
            self._state.origins[origin] + self.path for origin in ("hub", "elsewhere")
        )
        location = fault.redirect.format(here=here, elsewhere=elsewhere)
        self._refuse(302, headers={"Location": location, **fault.headers})

    def _refuse(
        self, status: int, code: str = "", headers: Mapping[str, str | None] | None = None
    ) -> None:
        extra = {"X-Error-Code": code, **(headers or {})}
        self._send_whole(status, b"", {name: text for name, text in extra.items() if text})

    def _send_whole(
        self, status: int, content: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        length = {"Content-Length": str(len(content))}
        entry = self._begin(status, {**length, **(headers or {})})
        if self.command == "GET":
            self.wfile.write(content)
            entry.bytes_sent = len(content)

    def _begin(self, status: int, headers: Mapping[str, str]) -> LogEntry:
        """Send status and headers, and write the request into the log."""
        entry = LogEntry(
            self._server.origin,
            self.command,
            self.path,
            self.headers.get("Range"),
            self.headers.get("If-Range"),
            "Authorization" in self.headers,
            status,
        )
        self._state.log.append(entry)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        return entry


def _tree_entry(file: StoredFile) -> dict[str, object]:
    large = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return {
        "type": "file",
        "path": file.name,
        "size": file.size,
        "oid": file.sha256[:40],
        "lfs": large,
    }
