"""The nouns of SAM, one file a subject; import them from here."""

from __future__ import annotations

from engines.models.adapters import AdapterStatus, LoraAdapter
from engines.models.catalog import CatalogModel, ModelRevision, ModelRole
from engines.models.conversations import Conversation, Message
from engines.models.fallbacks import EngineFallback, FallbackIncident
from engines.models.host_limits import LIMIT_NAMES, HostLimits, parse_limits
from engines.models.hosts import (
    CopyStatus,
    Host,
    HostEvent,
    HostInvitation,
    HostSample,
    HostStatus,
    ModelCopy,
    SpeedSample,
    Work,
)
from engines.models.invitations import Invitation
from engines.models.knowledge import (
    Chunk,
    Document,
    Embedding,
    Fingerprint,
    KnowledgeBase,
    PassageWords,
    VectorIndex,
)
from engines.models.notices import Notice, NoticeChoice, NoticeKind, OutgoingMail
from engines.models.preferences import (
    EngineDefault,
    EnginePreference,
    PreferenceSnapshot,
    PromptTemplate,
    UserPrompts,
)
from engines.models.searches import MAX_QUESTION_CHARS, PastSearch, SearchHistory
from engines.models.status_changes import StatusChange
from engines.models.tokens import ApiToken, TokenScope
from engines.models.usage import TokenQuota, TokenReservation, TokenUsage
from engines.models.watched import WatchedFile, WatchedFolder

__all__ = [
    "LIMIT_NAMES",
    "MAX_QUESTION_CHARS",
    "AdapterStatus",
    "ApiToken",
    "CatalogModel",
    "Chunk",
    "Conversation",
    "CopyStatus",
    "Document",
    "Embedding",
    "EngineDefault",
    "EngineFallback",
    "EnginePreference",
    "FallbackIncident",
    "Fingerprint",
    "Host",
    "HostEvent",
    "HostInvitation",
    "HostLimits",
    "HostSample",
    "HostStatus",
    "Invitation",
    "KnowledgeBase",
    "LoraAdapter",
    "Message",
    "ModelCopy",
    "ModelRevision",
    "ModelRole",
    "Notice",
    "NoticeChoice",
    "NoticeKind",
    "OutgoingMail",
    "PassageWords",
    "PastSearch",
    "PreferenceSnapshot",
    "PromptTemplate",
    "SearchHistory",
    "SpeedSample",
    "StatusChange",
    "TokenQuota",
    "TokenReservation",
    "TokenScope",
    "TokenUsage",
    "UserPrompts",
    "VectorIndex",
    "WatchedFile",
    "WatchedFolder",
    "Work",
    "parse_limits",
]
