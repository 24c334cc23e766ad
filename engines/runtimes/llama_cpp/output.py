"""An answer in the making: tokens in, pieces out, the whole at its end; no native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engines.runtimes.child.messages import EmittedPiece, as_emitted
from engines.runtimes.notation.reader import AnswerReader
from engines.runtimes.text.generation import Generation, Piece
from engines.runtimes.text.stop_words import ByteJoiner


class Answer:
    """Collects an answer while passing it on."""

    def __init__(self, reader: AnswerReader, emit: Callable[[EmittedPiece], None]) -> None:
        self._reader = reader
        self._joiner = ByteJoiner()
        self._emit = emit
        self._texts: dict[bool, list[str]] = {False: [], True: []}
        self._tokens: list[int] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop word ended it."""
        return self._reader.stopped

    @property
    def length(self) -> int:
        """Tokens so far."""
        return len(self._tokens)

    def add(self, token: int, piece: bytes) -> None:
        self._tokens.append(token)
        if text := self._joiner.add(piece):
            self._show(self._reader.add(text))

    def end(self, prompt_tokens: int, reason: str, *, reused: int = 0) -> Generation:
        self._show(self._reader.add(self._joiner.finish()))
        self._show(self._reader.finish(is_cut=reason != "stop"))
        answer, thought = ("".join(self._texts[kind]) for kind in (False, True))
        return Generation(
            answer,
            tuple(self._tokens),
            prompt_tokens,
            reason,
            reasoning=thought,
            reused_tokens=reused,
        )

    def _show(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._texts[piece.is_reasoning].append(piece.text)
            self._emit(as_emitted(piece))
