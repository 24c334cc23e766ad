"""What pages are told, as it travels: one typed message for each event of a stream.

=========  =======================  ==========================================================
event      data                     when
=========  =======================  ==========================================================
change     ``Change``               a status of a plan or a step changed; carries the stream's id
plan       ``PlanState``            at the beginning, and after changes: the plan as it is now
progress   ``ProgressOf``           at most twice a second while a step works
engine     ``EngineState``          one's own stream: who answers, at the beginning and when it changes
adapters   ``AdapterStates``        one's own stream: as ``engine``
unread     ``Unread``               one's own stream: how many notices are not read, as ``engine``
notice     ``Told``                 one's own stream: a notice that was just written
mode       ``Mode``                 whether the stream is as quick as it should be
reset      ``Reset``                more was missed than is told: read what is shown again
end        ``End``                  nothing will follow; ``again`` says whether to connect again
=========  =======================  ==========================================================
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from migrations_app.serving.progress import PlanProgress


class LiveEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The data of one event; ``event`` is its name."""

    event: ClassVar[str]


class Change(LiveEvent, frozen=True, kw_only=True):
    """One change of a status, as the database keeps it."""

    event: ClassVar[str] = "change"

    id: int
    plan: str
    step: str | None
    """Its kind; None for the plan itself."""
    from_status: str
    to_status: str
    why: str
    at: datetime


class StepState(Struct, frozen=True, kw_only=True):
    """One step as it is now."""

    position: int
    kind: str
    status: str
    progress: float
    """From 0 to 1."""
    detail: str
    error: str


class PlanState(LiveEvent, frozen=True, kw_only=True):
    """A plan as it is now, with how far it is."""

    event: ClassVar[str] = "plan"

    id: str
    kind: str
    status: str
    current_step: str
    percentage: float
    error: str
    warning: str
    cancel_requested: bool
    steps: list[StepState]
    now: PlanProgress | None = None
    """What the running step told last."""


class ProgressOf(LiveEvent, frozen=True, kw_only=True):
    """How far the running step of a plan is."""

    event: ClassVar[str] = "progress"

    plan: str
    now: PlanProgress


class EngineState(LiveEvent, frozen=True, kw_only=True):
    """The engine that answers a person."""

    event: ClassVar[str] = "engine"

    model_id: str | None
    """None while no engine is chosen."""
    name: str = ""
    revision_id: int | None = None
    since: datetime | None = None
    is_loaded: bool = False
    """Whether some host has it in memory, so that an answer begins at once."""


class AdapterState(Struct, frozen=True, kw_only=True):
    """One adapter of a person."""

    id: int
    name: str
    status: str


class AdapterStates(LiveEvent, frozen=True, kw_only=True):
    """All adapters of a person."""

    event: ClassVar[str] = "adapters"

    adapters: list[AdapterState]


class Unread(LiveEvent, frozen=True, kw_only=True):
    """How many notices a person has not read."""

    event: ClassVar[str] = "unread"

    count: int


class Told(LiveEvent, frozen=True, kw_only=True):
    """A notice as it is shown; ``link`` is a path of ours."""

    event: ClassVar[str] = "notice"

    id: int
    kind: str
    title: str
    text: str
    link: str


class Mode(LiveEvent, frozen=True, kw_only=True):
    """Whether what is told comes within a second; else ``reason`` says why not."""

    event: ClassVar[str] = "mode"

    live: bool
    reason: str | UnsetType = UNSET


class Reset(LiveEvent, frozen=True, kw_only=True):
    """More was missed than is told one by one."""

    event: ClassVar[str] = "reset"

    reason: str


class End(LiveEvent, frozen=True, kw_only=True):
    """Nothing will follow on this stream."""

    event: ClassVar[str] = "end"

    reason: str
    again: bool
    """Whether connecting again makes sense."""
