"""Every error SAM raises on purpose: a sentence that names what is wrong and what to do next."""

from __future__ import annotations


class SamError(Exception):
    """Base of all expected errors; ``code`` is stable and goes into problem+json."""

    code = "sam_error"
    transient = False
    """Whether the same call may succeed later without anybody changing anything."""
    at_load = False
    """Whether an engine could not be made ready, so that another host or engine may answer."""
    host = ""
    """The host that said so, where one did."""


class EngineError(SamError, RuntimeError):
    """An engine could not do what was asked; also a RuntimeError, as the seed documents."""

    code = "engine_error"


class EngineNotLoadedError(EngineError):
    code = "engine_not_loaded"


class EngineCrashed(EngineError):  # noqa: N818 - the name the specification gives
    """The engine's child process died; the next request starts a new one."""

    code = "engine_crashed"


class EngineKilled(EngineCrashed):
    """The child was ended from outside: an operator, a stop or the kernel; not what it was doing."""

    code = "engine_killed"


class LoadCrashed(EngineCrashed):
    """The child died or hung while it loaded its files; loading them again would do it again."""

    code = "load_crashed"


class AdapterCrashed(LoadCrashed):
    """The child died or hung while it loaded an adapter; the model is not to blame."""

    code = "adapter_crashed"


class TextNotEmbeddableError(EngineError):
    """One text has no vector in this space; the sentence is stored beside it."""

    code = "text_not_embeddable"


class UnsafeModelFileError(SamError, RuntimeError):
    """A model file is malformed or exceeds the limits; it is never loaded."""

    code = "unsafe_model_file"


class AdapterMismatchError(EngineError):
    """An adapter was not trained on this base model."""

    code = "adapter_mismatch"


class TransferError(SamError):
    code = "transfer_failed"


class TransientTransferError(TransferError):
    """The network or the server failed in a way that passes; what arrived is kept.

    ``retry_after`` is what the server asks to be left alone for, in seconds.
    """

    code = "transfer_interrupted"
    transient = True

    def __init__(self, sentence: str, retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class FetchedElsewhereError(TransientTransferError):
    """Another process of this host is fetching the same file; whoever waits for it has not failed."""


class TransferCancelledError(TransferError):
    code = "transfer_cancelled"


class DigestMismatchError(TransferError):
    """The bytes are not those the publisher signed; nothing became usable."""

    code = "digest_mismatch"


class DiskFullError(TransferError):
    code = "disk_full"


class SharingError(SamError):
    """One copy on the disk cannot serve both; nothing was changed."""

    code = "sharing_failed"


class GatedRepositoryError(TransferError):
    code = "gated_repository"


class AddressRefusedError(TransferError):
    """An address of this machine or of an inner network that nobody allowed; nothing was sent."""

    code = "address_refused"


class UnsafeNameError(SamError):
    """A file name from outside could leave its folder."""

    code = "unsafe_name"


class ArchiveError(SamError):
    """A backup is damaged, truncated, re-ordered or sealed with another key."""

    code = "archive_damaged"


class ArtifactMissingError(SamError, RuntimeError):
    code = "artifact_missing"


class IndexFileError(SamError):
    """An index file is missing, changed or not the one its row describes."""

    code = "index_file_damaged"


class NotFoundError(SamError):
    code = "not_found"


class InvalidRequestError(SamError):
    """The request cannot be carried out as it stands; nothing was changed."""

    code = "invalid_request"


class ContextLengthError(InvalidRequestError):
    """What an engine shall read is longer than its context."""

    code = "context_length_exceeded"


class NotAllowedError(SamError):
    """Whoever asks may know of it, and not do this with it; nothing was changed."""

    code = "permission_denied"


class ConflictError(SamError):
    """Something else holds or has changed what the request needs; nothing was changed."""

    code = "conflict"


class WouldReplaceError(ConflictError):
    """Something else is there already, which whoever asked did not know of; ``there`` names it."""

    def __init__(self, sentence: str, there: str) -> None:
        super().__init__(sentence)
        self.there = there


class IllegalMoveError(ConflictError):
    """A status cannot move as asked."""

    code = "illegal_move"


class HostUnavailableError(SamError):
    """No host can do this now."""

    code = "host_unavailable"
    transient = True
