"""What a parent and an engine's child say to each other: the JSON headers of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict, final

from engines.runtimes.base import CalledFunction, ChatMessage, Facts
from engines.runtimes.text.generation import Piece, ToolCall
from engines.runtimes.text.response_format import Json


class SandboxReport(TypedDict, total=False):
    """Which limits hold in a child; see ``sandbox.enter`` for the values."""

    network: str
    files: str
    calls: str
    no_capabilities: bool
    no_new_privileges: bool
    memory_bytes: int
    open_files: int


@final
class ReasoningPiece(TypedDict):
    """A piece of the reasoning; a piece of the answer is a plain text."""

    reasoning: str


@final
class CallPiece(TypedDict):
    """A call of a tool, whole."""

    call: CalledFunction


EmittedPiece = str | ReasoningPiece | CallPiece


def as_emitted(piece: Piece) -> EmittedPiece:
    """Return a piece as it is sent to the parent."""
    if piece.tool_call is not None:
        called: CalledFunction = {
            "name": piece.tool_call.name,
            "arguments": piece.tool_call.arguments,
        }
        return {"call": called}
    return {"reasoning": piece.text} if piece.is_reasoning else piece.text


def as_piece(emitted: EmittedPiece) -> Piece:
    """Return what the child sent as a piece of the answer."""
    if isinstance(emitted, str):
        return Piece(emitted)
    if "reasoning" in emitted:
        return Piece(emitted["reasoning"], is_reasoning=True)
    return Piece("", tool_call=ToolCall(**emitted["call"]))


class BatchSettingFields(TypedDict):
    """How texts are embedded together; 0 means the default."""

    lanes: int
    pack_tokens: int
    openvino: str
    """The precision in which OpenVINO computes; empty where llama.cpp does."""


class TrialSummary(BatchSettingFields):
    """One layout that was tried, and how many times as fast as the default it was."""

    gain: float


class GenerateParameters(TypedDict):
    """A prompt or messages, and the fields of GenerationOptions."""

    prompt: str
    messages: list[ChatMessage] | None
    options: Json
    adapters: NotRequired[Sequence[tuple[str, str, float]]]
    """SHA-256, path and scale of each; only for a runtime that takes adapters."""


class EmbedParameters(TypedDict):
    texts: list[str]
    query: bool


class RankParameters(TypedDict):
    question: str
    texts: list[str]


class CountParameters(TypedDict):
    texts: list[str]


class PromptParameters(TypedDict):
    """A raw prompt, or messages for the model's template."""

    prompt: str
    messages: list[ChatMessage] | None


class FormatParameters(TypedDict):
    messages: list[ChatMessage]


class Header(TypedDict, total=False):
    """A frame's header; which keys it has depends on who sends it, and on the operation."""

    id: int
    op: str
    """Of a request, with its ``parameters``; ``cancel`` has none."""
    parameters: Any
    begun: bool
    """The request waits no more."""
    piece: EmittedPiece
    end: bool
    """The last frame of an answer, with its result or with ``error`` and ``message``."""
    error: str
    message: str
    sandbox: SandboxReport
    pid: int
    info: Facts
    generation: Json
    """The fields of Generation."""
    prompt: str
    losses: list[str]
    """What the template leaves out of conversations."""
    counts: list[int]
    dimension: int
    errors: dict[str, str]
    """By the number of the text; JSON has no numbers as keys."""
    cut: list[int]
    """Numbers of the texts that are longer than the model reads."""
    tokens: int
    """Read for a ranking."""
    readings: list[Json]
    """The fields of a TokenReading for each text."""
    adapters: int
    setting: BatchSettingFields
    trials: list[TrialSummary]
    disturbed: bool
