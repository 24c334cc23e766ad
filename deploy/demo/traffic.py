"""A second client that searches and chats without a pause while Ada is moved."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType

from deploy.demo.errors import DemoError
from deploy.demo.questions import QUESTIONS, Question
from deploy.demo.rest import Api
from deploy.demo.witness import Search, search

_ANSWER_TOKENS = 8
_BREATH_SECONDS = 0.1
"""Keeps one client below the API's rate limit."""


@dataclass
class Traffic:
    """Runs as long as the block does; keeps every answer and every failure."""

    web: str
    token: str
    searches: list[Search] = field(default_factory=list)
    engines: list[str] = field(default_factory=list)
    """Who wrote the answers, in order."""
    errors: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Traffic:
        self._thread = threading.Thread(target=self._run, name="traffic")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def wait_for_round(self) -> None:
        """Wait until all questions were asked once more, or something failed."""
        enough = len(self.engines) + len(QUESTIONS)
        pause = threading.Event()
        while len(self.engines) < enough and not self.errors and self._is_running():
            pause.wait(_BREATH_SECONDS)

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        with Api(self.web, self.token) as api:
            for round_number in count(1):
                # A new one each round: a new engine reads a conversation from its beginning.
                body = {"title": f"Quickstart: all the while, {round_number}"}
                conversation = api.post("conversations", body)["id"]
                self._round(api, conversation)
                # Who looks at Ada's conversations afterwards wants to find her own.
                api.delete(f"conversations/{conversation}")
                if self._stop.is_set():
                    return

    def _round(self, api: Api, conversation: int) -> None:
        for question in QUESTIONS:
            if self._stop.wait(_BREATH_SECONDS):
                return
            self._once(api, conversation, question)

    def _once(self, api: Api, conversation: int, question: Question) -> None:
        try:
            self.searches.append(search(api, question))
            body = {"content": question.text, "max_tokens": _ANSWER_TOKENS}
            exchange = api.post(f"conversations/{conversation}/messages", body)
            self.engines.append(exchange["answer"]["engine"])
        except DemoError as error:
            self.errors.append(str(error))
