"""What every streaming runtime shares: one method gives the pieces, the others use it."""

from __future__ import annotations

import abc
import threading
from collections.abc import Generator, Sequence
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.text.generation import Generation, GenerationOptions, Piece


class StreamingEngine(BaseModelEngine):
    """An engine whose answers come in pieces."""

    @abc.abstractmethod
    def stream_pieces(
        self,
        prompt: str | Sequence[ChatMessage],
        *,
        cancelled: threading.Event | None = None,
        **kwargs: Any,
    ) -> Generator[Piece, None, Generation]:
        """Pieces of reasoning and answer; the generator's value is the Generation.

        ``prompt`` is raw text, or messages for the model's own chat template; options are the
        fields of GenerationOptions. Closing the generator stops the model; setting ``cancelled``,
        which any thread may, ends the answer where it is. Raises
        InvalidRequestError at once, and what the runtime raises while it answers.
        """

    def stream(
        self, prompt: str | Sequence[ChatMessage], **kwargs: Any
    ) -> Generator[str, None, Generation]:
        """Pieces of the answer without its reasoning; the generator's value is the Generation.

        Closing the generator stops the model.
        """
        return _answer_only(self.stream_pieces(prompt, **kwargs))

    def complete(self, prompt: str | Sequence[ChatMessage], **kwargs: Any) -> Generation:
        """The whole answer with its reasoning, counts and the reason it ended."""
        pieces = self.stream_pieces(prompt, **kwargs)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                generation: Generation = end.value
                return generation

    def generate(self, prompt: str | Sequence[ChatMessage], **kwargs: Any) -> str:
        """Answer a raw prompt, or messages through the model's own chat template.

        Raises InvalidRequestError, EngineNotLoadedError, or what the runtime raises.
        """
        return self.complete(prompt, **kwargs).text


def _answer_only(
    pieces: Generator[Piece, None, Generation],
) -> Generator[str, None, Generation]:
    try:
        while True:
            piece = next(pieces)
            if not piece.is_reasoning:
                yield piece.text
    except StopIteration as end:
        generation: Generation = end.value
        return generation
    finally:
        pieces.close()


def require_free_form(options: GenerationOptions, runtime: str) -> None:
    """InvalidRequestError when a schema or tool is required of a runtime without grammars."""
    if options.is_constrained:
        raise InvalidRequestError(
            f"The runtime {runtime} cannot hold a model to a schema or to a tool; use an engine of the "
            "runtime llama_cpp or openai, or leave response_format and tool_choice out."
        )


def require_messages(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the messages as a list; InvalidRequestError for an empty list or a malformed message."""
    for number, message in enumerate(messages):
        if not all(isinstance(message.get(name), str) for name in ("role", "content")):
            raise InvalidRequestError(
                f"Message {number} must have a role and a content, both text."
            )
    if not messages:
        raise InvalidRequestError("There is no message to answer; send at least one.")
    return list(messages)
