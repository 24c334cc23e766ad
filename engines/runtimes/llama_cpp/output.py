"""An answer in the making: tokens in, pieces out, the whole at its end; no native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engines.runtimes.child.messages import ReasoningPiece
from engines.runtimes.text.generation import Generation, Piece
from engines.runtimes.text.reasoning import ReasoningSplitter
from engines.runtimes.text.stop_words import TextStream


class Answer:
    """Collects an answer while passing it on.

    A piece of the answer is a text, one of the reasoning ``{"reasoning": text}``.
    """

    def __init__(
        self,
        stream: TextStream,
        splitter: ReasoningSplitter,
        emit: Callable[[str | ReasoningPiece], None],
    ) -> None:
        self._stream = stream
        self._splitter = splitter
        self._emit = emit
        self._texts: dict[bool, list[str]] = {False: [], True: []}
        self._tokens: list[int] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop word ended it."""
        return self._stream.stopped

    @property
    def length(self) -> int:
        """Tokens so far."""
        return len(self._tokens)

    def add(self, token: int, piece: bytes) -> None:
        self._tokens.append(token)
        self._show(self._splitter.add(self._stream.add(piece)))

    def end(self, prompt_tokens: int, reason: str, *, reused: int = 0) -> Generation:
        self._show([*self._splitter.add(self._stream.finish()), *self._splitter.finish()])
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
            self._emit({"reasoning": piece.text} if piece.is_reasoning else piece.text)
