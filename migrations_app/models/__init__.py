"""The tables of the story."""

from __future__ import annotations

from migrations_app.audit.rows import AuditAction, AuditDoor, AuditEntry, AuditKind
from migrations_app.models.keeping import Backup, BackupRule, CollectionRun, IdempotencyKey
from migrations_app.models.plans import (
    EmbedRange,
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
    "Plan",
    "PlanEvent",
    "PlanStatusField",
    "Step",
]
