"""Statuses, their groups and the moves between them: data, read by ``transitions`` alone."""

from __future__ import annotations

from django.db import models


class PlanKind(models.TextChoices):
    MIGRATE = "migrate", "Migrate"
    ROLLBACK = "rollback", "Roll back"
    DOWNLOAD = "download", "Download"
    DELETE = "delete", "Delete"
    VERIFY = "verify", "Verify"
    RE_EMBED = "re_embed", "Re-embed"
    BACKUP = "backup", "Back up"
    RESTORE = "restore", "Restore"


class PlanStatus(models.TextChoices):
    """The seed's ``MigrationStatus`` and two more: paused, taken back."""

    PENDING = "pending", "Pending"
    IN_PROGRESS = "in_progress", "In progress"
    PAUSED = "paused", "Paused"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    ROLLED_BACK = "rolled_back", "Rolled back"


class StepStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    IN_PROGRESS = "in_progress", "In progress"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    NEEDS_OPERATOR = "needs_operator", "Needs an operator"


MigrationStatus = PlanStatus
"""The seed's name."""


class PlanAction(models.TextChoices):
    """What a person or an operator may ask of a plan."""

    EXECUTE = "execute", "Execute"
    RESUME = "resume", "Resume"
    PAUSE = "pause", "Pause"
    CANCEL = "cancel", "Cancel"
    ROLL_BACK = "roll_back", "Roll back"
    RETRY = "retry", "Retry the step that waits"
    ABANDON = "abandon", "Abandon"
    MOVE = "move", "Move to another host"


ACTIONS_OF: dict[PlanStatus, tuple[PlanAction, ...]] = {
    PlanStatus.PENDING: (PlanAction.EXECUTE, PlanAction.CANCEL, PlanAction.MOVE),
    PlanStatus.IN_PROGRESS: (
        PlanAction.PAUSE,
        PlanAction.CANCEL,
        PlanAction.ROLL_BACK,
        PlanAction.RETRY,
        PlanAction.ABANDON,
        PlanAction.MOVE,
    ),
    PlanStatus.PAUSED: (PlanAction.RESUME, PlanAction.CANCEL),
    PlanStatus.COMPLETED: (PlanAction.ROLL_BACK,),
    PlanStatus.FAILED: (),
    PlanStatus.CANCELLED: (),
    PlanStatus.ROLLED_BACK: (),
}
"""What may be asked in a status at all; ``plans.actions`` says what of it this very plan allows."""

PLAN_MOVES: dict[PlanStatus, frozenset[PlanStatus]] = {
    PlanStatus.PENDING: frozenset({PlanStatus.IN_PROGRESS, PlanStatus.CANCELLED}),
    PlanStatus.IN_PROGRESS: frozenset(
        {PlanStatus.PAUSED, PlanStatus.COMPLETED, PlanStatus.FAILED, PlanStatus.CANCELLED}
    ),
    PlanStatus.PAUSED: frozenset({PlanStatus.IN_PROGRESS, PlanStatus.CANCELLED}),
    PlanStatus.COMPLETED: frozenset({PlanStatus.ROLLED_BACK}),
    PlanStatus.FAILED: frozenset(),
    PlanStatus.CANCELLED: frozenset(),
    PlanStatus.ROLLED_BACK: frozenset(),
}

STEP_MOVES: dict[StepStatus, frozenset[StepStatus]] = {
    StepStatus.PENDING: frozenset(
        {StepStatus.IN_PROGRESS, StepStatus.CANCELLED, StepStatus.NEEDS_OPERATOR}
    ),
    StepStatus.IN_PROGRESS: frozenset(
        {
            StepStatus.PENDING,
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
            StepStatus.NEEDS_OPERATOR,
        }
    ),
    StepStatus.NEEDS_OPERATOR: frozenset({StepStatus.PENDING, StepStatus.CANCELLED}),
    StepStatus.COMPLETED: frozenset(),
    StepStatus.FAILED: frozenset(),
    StepStatus.CANCELLED: frozenset(),
}


class MoveState(models.TextChoices):
    """What became of one person of a mass move; never stored, said by the line and its plan."""

    WAITING = "waiting", "Waiting"
    PLANNED = "planned", "Planned"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    REFUSED = "refused", "Refused"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    ROLLED_BACK = "rolled_back", "Taken back"
    GONE = "gone", "Deleted"


PLAN_OPEN = (PlanStatus.PENDING, PlanStatus.IN_PROGRESS, PlanStatus.PAUSED)
"""What can still change something; a tuple, for queries."""

PLAN_FINAL = frozenset(
    {PlanStatus.COMPLETED, PlanStatus.FAILED, PlanStatus.CANCELLED, PlanStatus.ROLLED_BACK}
)
STEP_FINAL = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED})

MOVES = frozenset({PlanKind.MIGRATE, PlanKind.ROLLBACK, PlanKind.RE_EMBED})
"""Kinds that move a person or a base to another engine."""

PERSON_KINDS = MOVES | {PlanKind.RESTORE}
"""Kinds of which one person has at most one in progress."""

ABOUT_PEOPLE = PERSON_KINDS | {PlanKind.BACKUP}
"""Kinds that are about a person; all others are about files on hosts."""

STEPS_OF: dict[PlanKind, tuple[str, ...]] = {
    PlanKind.MIGRATE: ("fetch_engine", "back_up", "re_embed", "probe", "cut_over", "settle"),
    PlanKind.ROLLBACK: ("fetch_engine", "catch_up", "probe_back", "cut_back", "resettle"),
    PlanKind.RE_EMBED: ("fetch_engine", "re_embed", "probe", "cut_over"),
    PlanKind.DOWNLOAD: ("download",),
    PlanKind.DELETE: ("delete",),
    PlanKind.VERIFY: ("verify",),
    PlanKind.BACKUP: ("back_up",),
    PlanKind.RESTORE: ("read_archive", "back_up", "put_back", "index_anew"),
}

STEP_TITLES: dict[str, str] = {
    "fetch_engine": "Fetch the engine",
    "back_up": "Back up",
    "re_embed": "Re-embed the knowledge",
    "probe": "Prove the new engine",
    "cut_over": "Switch",
    "settle": "Settle",
    "catch_up": "Bring the old index up to date",
    "probe_back": "Prove the old engine",
    "cut_back": "Switch back",
    "resettle": "Settle again",
    "download": "Download the file",
    "delete": "Delete the file",
    "verify": "Verify the file",
    "read_archive": "Read the backup",
    "put_back": "Put everything back",
    "index_anew": "Fetch the engine and index the knowledge",
}
"""Each step in the words of people; its kind stays the name in logs and in the API."""

TASK_PREFIX: dict[PlanKind, str] = {
    PlanKind.MIGRATE: "migrate",
    PlanKind.ROLLBACK: "rollback",
    PlanKind.RE_EMBED: "re_embed",
    PlanKind.DOWNLOAD: "library",
    PlanKind.DELETE: "library",
    PlanKind.VERIFY: "library",
    PlanKind.BACKUP: "backup",
    PlanKind.RESTORE: "restore",
}

CONTROL_STEPS = frozenset({"cut_over", "cut_back"})
"""Steps of the control worker; all others run on the host that the step names."""

BRINGING_FILES = frozenset({"fetch_engine", "download"})
"""Steps that a host's limit of downloads counts."""

POINT_OF_NO_RETURN = frozenset({"cut_over", "cut_back", "put_back"})
"""Once one of these is completed, cancelling says what undoes it instead."""

HOUSEKEEPING = frozenset({"settle", "resettle", "index_anew"})
"""Steps after the point of no return: people are served already, so none of these may hold a plan open."""


def task_name(kind: str, step_kind: str) -> str:
    """Name the Celery task of a step, as Flower shows it."""
    return f"{TASK_PREFIX[PlanKind(kind)]}.{step_kind}"


ALL_TASKS = tuple(
    sorted({task_name(kind, step) for kind, steps in STEPS_OF.items() for step in steps})
)
