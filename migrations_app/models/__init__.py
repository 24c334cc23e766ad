"""The tables of the story: plans with their steps and events, backups, the audit."""

from __future__ import annotations

from migrations_app.audit.rows import AuditAction, AuditDoor, AuditEntry, AuditKind
from migrations_app.models.backups import Backup, BackupRule
from migrations_app.models.moves import MassMove, MassMoveLine
from migrations_app.models.plans import (
    CollectionRun,
    EmbedRange,
    IdempotencyKey,
    IndexSwitch,
    Plan,
    PlanEvent,
    PlanStatusField,
    Step,
)

__all__ = [
    "AuditAction",
    "AuditDoor",
    "AuditEntry",
    "AuditKind",
    "Backup",
    "BackupRule",
    "CollectionRun",
    "EmbedRange",
    "IdempotencyKey",
    "IndexSwitch",
    "MassMove",
    "MassMoveLine",
    "Plan",
    "PlanEvent",
    "PlanStatusField",
    "Step",
]
