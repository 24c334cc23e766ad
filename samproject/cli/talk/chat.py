"""``sam chat``: ask the engine of the moment and read its answer while it is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.status import Status

from samproject.cli.errors import CommandError
from samproject.cli.session import Session
from samproject.cli.talk.conversations import cite
from samproject.cli.talk.terminal import plain

PROMPT = "> "
MAX_TOKENS = 1024
STOPPED = "Stopped; what was written is kept."
Event = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class Talk:
    """One conversation on the command line."""

    session: Session
    wish: dict[str, Any]
    number: int | None

    def ask(self, question: str) -> dict[str, Any]:
        """Say something and write the answer while it comes; return what the end of it told.

        CommandError for what cannot be answered. A conversation that was made for a question which is
        refused is taken back.
        """
        is_new = self.number is None
        if self.number is None:
            self.number = int(self.session.api.post("/conversations", {})["id"])
        said = _Answer(self.session)
        body = {"content": question, "stream": True, **self.wish}
        path = f"/conversations/{self.number}/messages"
        try:
            with said, self.session.api.stream(path, body) as lines:
                for name, data in _events(lines):
                    said.show(name, data)
        except CommandError:
            if is_new and not said.is_kept:
                self.session.api.delete(f"/conversations/{self.number}")
                self.number = None
            raise
        return said.ending()


class _Answer:
    """Writes one answer: its text to the output, everything about it beside."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._status: Status | None = None
        self._question: dict[str, Any] = {}
        self._end: Event | None = None
        self._has_text = False

    @property
    def is_kept(self) -> bool:
        """Whether the question was taken."""
        return bool(self._question)

    def __enter__(self) -> _Answer:
        self._wait("Asking …")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wait("")
        if self._has_text:
            self._write("\n")

    def show(self, name: str, data: dict[str, Any]) -> None:
        """Write what an event tells."""
        if name == "message":
            self._question = data["message"]
        elif name == "waiting":
            self._wait(f"{data['reason']} ({data['seconds']} s)")
        elif name == "engine":
            self._wait("")
            self._aside(_describe_engine(data))
        elif name in ("left_out", "citations"):
            self._say_what_lacks(name, data)
        elif name == "reasoning":
            self._wait("Thinking …")
        elif name == "delta":
            self._wait("")
            self._has_text = True
            self._write(plain(data["text"]))
        elif name in ("done", "error"):
            self._end = (name, data)

    def _say_what_lacks(self, name: str, data: dict[str, Any]) -> None:
        if name == "left_out":
            self._aside(f"The oldest {data['messages']} messages had no room and are not read.")
        elif data["words_only"]:
            self._aside(data["words_only"])

    def ending(self) -> dict[str, Any]:
        """Return question and answer as they are kept; CommandError for an answer that broke off."""
        if self._end is None:
            raise CommandError("The answer broke off; `sam conversations show` tells what is kept.")
        name, data = self._end
        if name == "error":
            raise CommandError(str(data["detail"]))
        answer = data["message"]
        if not self._has_text:
            # It was answered before, or in one piece.
            self._write(plain(answer["content"]) + "\n")
        for line in cite(answer["citations"]):
            self._aside(line)
        return {"message": self._question, "answer": answer}

    def _write(self, text: str) -> None:
        if not self._session.as_json:
            sys.stdout.write(text)
            sys.stdout.flush()

    def _aside(self, sentence: str) -> None:
        if not self._session.as_json:
            typer.echo(sentence, err=True)

    def _wait(self, reason: str) -> None:
        """Say what is waited for, on a terminal; empty: nothing any more."""
        if self._status is not None and not reason:
            self._status.stop()
            self._status = None
        elif self._status is not None:
            self._status.update(reason)
        elif reason and sys.stderr.isatty():
            self._status = self._session.console(sys.stderr).status(reason)
            self._status.start()


def chat(
    session: Session,
    question: Annotated[
        str | None, typer.Argument(help="Without one you are asked for questions, until Ctrl-D.")
    ] = None,
    conversation: Annotated[
        int | None, typer.Option(help="The one to go on with; a new one unless given.")
    ] = None,
    knowledge: Annotated[
        bool, typer.Option("--knowledge", help="Answer from your documents, and name them.")
    ] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = MAX_TOKENS,
) -> None:
    """Ask your engine; Ctrl-C stops an answer and keeps what was written."""
    wish: dict[str, Any] = {"max_tokens": max_tokens, **({"knowledge": {}} if knowledge else {})}
    talk = Talk(session, wish, conversation)
    if conversation is not None:
        # A wrong number is told before anything is typed.
        session.api.get(f"/conversations/{conversation}")
    if question is not None:
        _ask_once(talk, question, is_new=conversation is None)
    elif session.as_json:
        raise CommandError('With --json give the question as well: sam chat --json "…".')
    else:
        _ask_on(talk)


def _ask_once(talk: Talk, question: str, *, is_new: bool) -> None:
    try:
        kept = talk.ask(question)
    except KeyboardInterrupt:
        typer.echo(STOPPED, err=True)
        raise
    if talk.session.as_json:
        talk.session.show({"conversation": talk.number, **kept})
    elif is_new:
        _tell_number(talk)


def _ask_on(talk: Talk) -> None:
    while (question := _read()) is not None:
        if not question.strip():
            continue
        try:
            talk.ask(question)
        except KeyboardInterrupt:
            typer.echo(f"\n{STOPPED}", err=True)
        except CommandError as error:
            typer.echo(str(error), err=True)
    if talk.number is not None:
        _tell_number(talk)


def _read() -> str | None:
    """Return the next question; None at the end of the input, or for Ctrl-C instead of a question."""
    try:
        return input(PROMPT if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        typer.echo("", err=True)
        return None


def _tell_number(talk: Talk) -> None:
    typer.echo(f"Go on with: sam chat --conversation {talk.number}", err=True)


def _describe_engine(data: dict[str, Any]) -> str:
    """Say who answers, for whom, and whom it follows."""
    told = [str(data["engine"])]
    if data["fallback_for"] is not None:
        cause = data["fallback_for"]
        told.append(f"answers for {cause['engine_id']}: {plain(cause['reason'])}")
    if data["switched_from"] is not None:
        told.append(f"(before it was {data['switched_from']})")
    return f"{' '.join(told)}:"


def _events(lines: Iterator[str]) -> Iterator[Event]:
    """Yield name and content of each event of a stream."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
