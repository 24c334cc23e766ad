"""Every message between those who ask and a host's live worker, as it crosses Redis: JSON with a type.

Each is parsed once where it arrives. Fields that a newer program added are ignored; what lacks a field or
has one of another type ends with a sentence that names it.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, Self, TypeVar

import numpy as np
from msgspec import Meta, Raw, Struct, field, json
from numpy.typing import NDArray

from engines.exceptions import HostUnavailableError, InvalidRequestError, SamError
from engines.parsing import UNREADABLE, fault_of
from engines.runtimes.base import EmbeddingBatch
from engines.services.answers.messages import (
    AnswerRequest,
    Event,
    FoundPassage,
    PassageCount,
    RowId,
    WholeAnswer,
)
from engines.services.knowledge.search_filters import SearchFilter

MAX_TEXTS = 512
TASK_PREFIX = "live."

Request = TypeVar("Request", bound=Struct)
Reply = TypeVar("Reply", bound=Struct)


class UnreadableReplyError(HostUnavailableError):
    """A host answered with what cannot be read, as one of another version may."""

    code = "unreadable_reply"
    transient = False
    """The same host would answer the same again."""


class EmbedRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Texts whose vectors are wanted, of a revision's or a fingerprint's space."""

    texts: Annotated[list[str], Meta(max_length=MAX_TEXTS)]
    revision_id: RowId | None = None
    fingerprint_id: RowId | None = None
    role: Literal["document", "query"] = field(default="document", name="as")
    count: bool = False
    """Whether the texts' tokens are counted; the caller then names the revision."""
    user_id: RowId | None = None
    """Who waits for them; None for the house's own work."""
    reservation_id: RowId | None = None
    """What of the person's day may be used for them, where it is limited; needs ``count``."""
    tokens_before: Annotated[int, Meta(ge=0)] = 0
    """Of it, what earlier parts of the same request used."""


class RankRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Texts that a rank model is to hold against a question."""

    revision_id: RowId
    question: str
    texts: Annotated[list[str], Meta(max_length=MAX_TEXTS)]
    user_id: RowId | None = None
    reservation_id: RowId | None = None
    """What of the person's day may be used for them, where it is limited."""
    tokens_before: Annotated[int, Meta(ge=0)] = 0
    """Of it, what earlier parts of the same request used."""


class SearchRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's question to what they may read."""

    user_id: RowId
    query: str
    k: PassageCount = 5
    filter: SearchFilter | None = None


class WarmRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A revision to be loaded, as a person will use it where one is named."""

    revision_id: RowId
    user_id: RowId | None = None
    find_losses: bool = False
    """Whether to say what of a conversation its chat template loses."""


class UnloadRequest(Struct, frozen=True, kw_only=True):
    """A revision whose engines are to be ended."""

    revision_id: RowId


class InfoRequest(Struct, frozen=True):
    """Asks a host what is loaded on it."""


class EmbedReply(Struct, frozen=True, kw_only=True):
    """Vectors of texts in their order, as bytes of little-endian float32."""

    vectors: bytes
    dimension: Annotated[int, Meta(ge=0)]
    errors: dict[int, str] = {}
    """A sentence for each text without a vector, by its number."""
    tokens: int = 0

    @classmethod
    def of(cls, batch: EmbeddingBatch, tokens: int = 0) -> EmbedReply:
        """Return what carries an embedder's batch."""
        data = np.ascontiguousarray(batch.vectors, dtype="<f4").tobytes()
        dimension = int(batch.vectors.shape[1])
        return cls(vectors=data, dimension=dimension, errors=batch.errors, tokens=tokens)

    def batch(self, texts: int) -> EmbeddingBatch:
        """Return vectors (n, d) float32 and sentences; UnreadableReplyError unless there are so many."""
        width = max(self.dimension, 1)
        expected = 4 * self.dimension * texts
        if len(self.vectors) != expected or set(self.errors) - set(range(texts)):
            raise UnreadableReplyError(
                f"The host sent {len(self.vectors)} bytes of vectors in place of {expected}; ask again, "
                "and see that all hosts run one version."
            )
        flat: NDArray[np.float32] = np.frombuffer(self.vectors, "<f4").astype(np.float32)
        return EmbeddingBatch(flat.reshape(-1, width), self.errors)


class RankReply(Struct, frozen=True, kw_only=True):
    """A score from 0 to 1 for each text in their order, and the tokens that were read."""

    scores: list[float]
    tokens: int
    cut: list[int] = []
    """Texts that were judged by their beginnings."""


class CountReply(Struct, frozen=True):
    """How many tokens an engine would read for a request."""

    tokens: int


class SearchReply(Struct, frozen=True, kw_only=True):
    """Passages, best first; and the engine and the indexes (by base) that were asked."""

    hits: list[FoundPassage]
    engine_id: str | None = None
    indexes: dict[str, int] = {}
    words_only: str = ""
    """Why meanings were not compared though they should have been, and what to do."""


class WarmReply(Struct, frozen=True):
    """How many engines are loaded then, and what the template of the asked one loses where that was asked."""

    engines: int
    losses: list[str] = []


class UnloadReply(Struct, frozen=True):
    """How many engines were ended, or will be by their last user."""

    unloaded: int


class InfoReply(Struct, frozen=True, kw_only=True):
    """A host's name and the facts of each engine that is loaded there."""

    host: str | None
    engines: list[dict[str, object]]


class ErrorFields(Struct, frozen=True, kw_only=True):
    """An error on its way from a host to who asked it."""

    code: str
    message: str
    transient: bool = False
    at_load: bool = False
    host: str = ""

    @classmethod
    def of(cls, error: SamError) -> Self:
        """Return an error as it travels."""
        return cls(
            code=error.code,
            # A file's name may hold bytes that are no Unicode.
            message=str(error).encode("utf-8", "replace").decode(),
            transient=error.transient,
            at_load=error.at_load,
            host=error.host,
        )

    def error(self) -> SamError:
        """Return the error that travelled, of the class that has its code."""
        error = error_of(self.code, self.message)
        error.transient, error.at_load, error.host = self.transient, self.at_load, self.host
        return error


class BeatEvent(Struct, frozen=True, tag_field="type", tag="beat"):
    """The worker lives, and has nothing else to say yet."""


class ErrorEvent(ErrorFields, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The end of a stream whose answer failed."""


StreamEvent = Event | BeatEvent | ErrorEvent


class _Envelope(Struct):
    kind: str
    payload: Raw


class _Asking(Struct):
    """What all requests have that are a person's."""

    user_id: RowId | None = None


class _AskingEnvelope(Struct):
    payload: _Asking


class _Result(Struct):
    result: Raw


class _Failure(Struct):
    error: ErrorFields


class _Answered(Struct):
    """Either of the two, as it is read."""

    result: Raw = Raw()
    error: ErrorFields | None = None


NOTHING = b"null"

_ENVELOPE = json.Decoder(_Envelope)
_ANSWERED = json.Decoder(_Answered)
_ASKING = json.Decoder(_AskingEnvelope)
_EVENT: json.Decoder[StreamEvent] = json.Decoder(StreamEvent)
_ENCODER = json.Encoder()


class RequestKind(Generic[Request]):
    """One kind of live request: its name, and how it is written and read."""

    def __init__(self, name: str, request: type[Request]) -> None:
        self.name = name
        self.task_name = f"{TASK_PREFIX}{name}"
        """Of the wake-up message, and how a host announces that it answers such requests."""
        self._requests = json.Decoder(request)

    def request_body(self, request: Request) -> bytes:
        """Return a request as it lies in Redis; InvalidRequestError for text that is no Unicode."""
        return encode(_Envelope(self.name, Raw(encode(request))))

    def parse_request(self, body: bytes) -> Request:
        """Return a request; InvalidRequestError names what a worker cannot read."""
        try:
            envelope = _ENVELOPE.decode(body)
            if envelope.kind != self.name:
                raise InvalidRequestError("The request is of another kind than its message.")
            return self._requests.decode(envelope.payload)
        except UNREADABLE as error:
            raise InvalidRequestError(
                f"The request cannot be read: {fault_of(error)}. Its sender and this worker may be of "
                "different versions; upgrade the older one."
            ) from None


class LiveKind(RequestKind[Request], Generic[Request, Reply]):
    """One kind of live request that has one reply."""

    def __init__(self, name: str, request: type[Request], reply: type[Reply]) -> None:
        super().__init__(name, request)
        self._replies = json.Decoder(reply)

    def parse_reply(self, body: bytes) -> Reply:
        """Return a reply; raises the SamError that it carries, or UnreadableReplyError."""
        try:
            answered = _ANSWERED.decode(body)
            if answered.error is None:
                return self._replies.decode(answered.result or NOTHING)
        except UNREADABLE as error:
            raise UnreadableReplyError(
                f"The host's reply to '{self.name}' cannot be read: {fault_of(error)}. Ask again, and "
                "see that all hosts run one version."
            ) from None
        raise answered.error.error()


EMBED = LiveKind("embed", EmbedRequest, EmbedReply)
GENERATE = LiveKind("generate", AnswerRequest, WholeAnswer)
RANK = LiveKind("rank", RankRequest, RankReply)
COUNT = LiveKind("count", AnswerRequest, CountReply)
STREAM = RequestKind("stream", AnswerRequest)
SEARCH = LiveKind("search", SearchRequest, SearchReply)
WARM = LiveKind("warm", WarmRequest, WarmReply)
UNLOAD = LiveKind("unload", UnloadRequest, UnloadReply)
INFO = LiveKind("info", InfoRequest, InfoReply)

LIVE_KINDS = tuple(
    kind.name for kind in (EMBED, RANK, GENERATE, COUNT, STREAM, SEARCH, WARM, UNLOAD, INFO)
)  # fmt: skip


def person_of(body: bytes) -> int | None:
    """Return whose a request is; None for the house's own, and for one that cannot be read."""
    try:
        return _ASKING.decode(body).payload.user_id
    except UNREADABLE:
        # Whoever reads it whole says what is wrong with it.
        return None


def encode(message: Struct) -> bytes:
    """Return a message's JSON; InvalidRequestError for text that is no Unicode."""
    try:
        return _ENCODER.encode(message)
    except UnicodeEncodeError:
        raise InvalidRequestError(
            "A text holds half of a character (a lone surrogate); send whole characters."
        ) from None


def reply_body(reply: Struct) -> bytes:
    """Return a reply as it is pushed for its caller."""
    return encode(_Result(Raw(encode(reply))))


def error_body(error: SamError) -> bytes:
    """Return the reply that tells an error."""
    return encode(_Failure(ErrorFields.of(error)))


def parse_event(content: bytes) -> StreamEvent:
    """Return an event of a stream; UnreadableReplyError for what is none."""
    try:
        return _EVENT.decode(content)
    except UNREADABLE as error:
        raise UnreadableReplyError(
            f"A part of the answer cannot be read: {fault_of(error)}. Ask again, and see that all "
            "hosts run one version."
        ) from None


def error_of(code: str, message: str) -> SamError:
    """Return the error a host reported, as the class that has its code."""
    pending: list[type[SamError]] = [SamError]
    for kind in pending:
        if kind.__dict__.get("code") == code:
            return kind(message)
        pending += kind.__subclasses__()
    return SamError(message)
