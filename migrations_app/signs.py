"""How statuses look, everywhere: one label, one tone and one icon for each, and the seed's five signs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engines.models import AdapterStatus, CopyStatus, HostStatus
from engines.runtimes.base import ModelStatus
from migrations_app.states import MoveState, PlanStatus, StepStatus


class Tone(StrEnum):
    """What a colour says; it never says it alone."""

    NEUTRAL = "neutral"
    ACCENT = "accent"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    DANGER = "danger"


class Sign(StrEnum):
    """The seed's status indicators, for faces that show text only."""

    ENGINE = "🔧"
    SUCCESS = "✅"
    WARNING = "⚠️"
    ERROR = "❌"
    PROGRESS = "🔄"


@dataclass(frozen=True, slots=True)
class Look:
    """How one status is shown."""

    label: str
    tone: Tone
    icon: str

    @property
    def sign(self) -> Sign:
        """Return the seed's sign of this tone."""
        if self.icon == "progress":
            return Sign.PROGRESS
        return SIGN_OF_TONE.get(self.tone, Sign.ENGINE)


SIGN_OF_TONE = {
    Tone.SUCCESS: Sign.SUCCESS,
    Tone.WARNING: Sign.WARNING,
    Tone.DANGER: Sign.ERROR,
}

LOOKS: dict[str, Look] = {
    PlanStatus.PENDING: Look("Pending", Tone.NEUTRAL, "clock"),
    PlanStatus.IN_PROGRESS: Look("In progress", Tone.INFO, "progress"),
    PlanStatus.PAUSED: Look("Paused", Tone.NEUTRAL, "pause"),
    PlanStatus.COMPLETED: Look("Completed", Tone.SUCCESS, "success"),
    PlanStatus.FAILED: Look("Failed", Tone.DANGER, "error"),
    PlanStatus.CANCELLED: Look("Cancelled", Tone.NEUTRAL, "close"),
    PlanStatus.ROLLED_BACK: Look("Taken back", Tone.NEUTRAL, "undo"),
    MoveState.WAITING: Look("Waiting", Tone.NEUTRAL, "clock"),
    MoveState.PLANNED: Look("Planned", Tone.NEUTRAL, "clock"),
    MoveState.RUNNING: Look("Running", Tone.INFO, "progress"),
    MoveState.REFUSED: Look("Left out", Tone.WARNING, "warning"),
    MoveState.GONE: Look("Deleted", Tone.NEUTRAL, "close"),
    StepStatus.NEEDS_OPERATOR: Look("Needs an operator", Tone.WARNING, "warning"),
    HostStatus.JOINING: Look("Joining", Tone.INFO, "progress"),
    HostStatus.ACTIVE: Look("Active", Tone.SUCCESS, "success"),
    HostStatus.DRAINING: Look("Draining", Tone.WARNING, "warning"),
    HostStatus.LOST: Look("Lost", Tone.DANGER, "error"),
    HostStatus.RETIRED: Look("Retired", Tone.NEUTRAL, "stop"),
    CopyStatus.NOT_DOWNLOADED: Look("Not downloaded", Tone.NEUTRAL, "download"),
    CopyStatus.DOWNLOADING: Look("Downloading", Tone.INFO, "progress"),
    CopyStatus.DOWNLOADED: Look("Downloaded", Tone.SUCCESS, "success"),
    CopyStatus.CORRUPTED: Look("Corrupted", Tone.DANGER, "error"),
    CopyStatus.MISSING: Look("Missing", Tone.WARNING, "warning"),
    CopyStatus.UNSAFE: Look("Unsafe", Tone.DANGER, "error"),
    AdapterStatus.DISABLED: Look("Switched off", Tone.NEUTRAL, "pause"),
    AdapterStatus.INVALIDATED: Look("Needs retraining", Tone.WARNING, "warning"),
    ModelStatus.LOADING: Look("Loading", Tone.INFO, "progress"),
    ModelStatus.READY: Look("Ready", Tone.SUCCESS, "success"),
    ModelStatus.ERROR: Look("Error", Tone.DANGER, "error"),
    ModelStatus.UNAVAILABLE: Look("Unavailable", Tone.DANGER, "error"),
}
"""By value: statuses of plans, steps, hosts, copies, adapters and engines that share a word share its look."""


def look_of(status: str) -> Look:
    """Return how a status is shown; KeyError for one that nobody has given a look."""
    return LOOKS[str(status)]
