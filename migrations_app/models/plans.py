"""Plans, their steps and everything that happened to them."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from engines.models import (
    CatalogModel,
    Fingerprint,
    Host,
    KnowledgeBase,
    ModelRevision,
    StatusChange,
    VectorIndex,
)
from migrations_app.states import PERSON_KINDS, PLAN_OPEN, PlanKind, PlanStatus, StepStatus


class PlanStatusField(models.CharField[PlanStatus | str, PlanStatus]):
    """Read as the enum, whose ``value`` the seed's examples print; the column is a CharField's."""

    def from_db_value(
        self, value: str | None, _expression: object, _connection: object
    ) -> PlanStatus | None:
        return None if value is None else PlanStatus(value)

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class Plan(models.Model):
    """Anything SAM does to hosts or people that takes time; the seed's ``MigrationPlan``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=PlanKind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="plans",
        help_text="Whom it moves; empty for a plan about hosts.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    host = models.ForeignKey(
        Host, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    from_engine = models.ForeignKey(
        CatalogModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    from_revision = models.ForeignKey(
        ModelRevision, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    to_engine = models.ForeignKey(
        CatalogModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    to_revision = models.ForeignKey(
        ModelRevision, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    embedder_revision = models.ForeignKey(
        ModelRevision,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What embeds for the target: its companion or itself.",
    )
    base = models.ForeignKey(
        KnowledgeBase,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="plans",
        help_text="The one base a re_embed plan is about; empty means all of the person's.",
    )
    preference_version = models.PositiveIntegerField(
        null=True, blank=True, help_text="What the plan was made against; the switch insists on it."
    )
    rolls_back = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.RESTRICT, related_name="rollbacks"
    )
    restores = models.ForeignKey(
        "Backup",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="restores",
        help_text="The backup that a restore plan puts back.",
    )
    restores_into = models.CharField(
        max_length=150, blank=True, help_text="The user name of a person whom the restore makes."
    )
    replaces = models.BooleanField(
        default=False, help_text="Whether a restore takes the place of what the person has."
    )

    backup_lora_adapters = models.BooleanField(default=True)
    re_embed_knowledge = models.BooleanField(default=True)
    update_prompt_templates = models.BooleanField(default=True)
    accept_losses = models.BooleanField(
        default=False,
        help_text="Whether it goes on where the new embedder understands texts worse, and says so.",
    )

    affected_lora_adapters = models.JSONField(default=list, blank=True)
    knowledge_base_size = models.PositiveIntegerField(default=0, help_text="Chunks.")
    estimated_duration_minutes = models.PositiveIntegerField(default=0)
    preview = models.JSONField(default=dict, blank=True)
    quality_sample = models.JSONField(
        default=dict,
        blank=True,
        help_text="How well the new embedder would find, measured on some passages beforehand.",
    )

    status = PlanStatusField(max_length=16, choices=PlanStatus, default=PlanStatus.PENDING)
    current_step = models.CharField(max_length=64, blank=True)
    progress_percentage = models.FloatField(
        default=0, validators=[MinValueValidator(0), MaxValueValidator(100)]
    )
    error_message = models.TextField(blank=True)
    warning = models.TextField(
        blank=True, help_text="What was left out after the switch; people are served all the same."
    )
    not_before = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When a confirmed plan starts by itself; empty means at once.",
    )
    confirmed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When somebody agreed that it starts at its time; any change takes that back.",
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    switched = models.JSONField(
        default=dict, blank=True, help_text="What the switch wrote, so that only that is undone."
    )
    retention_until = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=models.Q(status=PlanStatus.PENDING, confirmed_at__isnull=False),
                name="scheduled_plans",
            ),
            # What each look of the sweeper asks for: few of all that ended in years.
            models.Index(
                fields=["status"], condition=models.Q(status__in=PLAN_OPEN), name="open_plans"
            ),
            models.Index(
                fields=["retention_until"],
                condition=models.Q(status=PlanStatus.COMPLETED),
                name="ways_back",
            ),
            # Lists begin with the newest: sorting all of them takes longer than a page.
            models.Index(fields=["-created_at", "id"], name="newest_plans"),
            # A list of one status counts its plans and asks for their days: few of all, and none of their rows.
            models.Index(fields=["status", "-created_at", "id"], name="newest_of_a_status"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=models.Q(
                    status=PlanStatus.IN_PROGRESS, kind__in=sorted(map(str, PERSON_KINDS))
                ),
                name="one_active_migration_per_person",
            ),
            models.UniqueConstraint(
                fields=["base"],
                condition=models.Q(status=PlanStatus.IN_PROGRESS),
                name="one_active_plan_per_base",
            ),
            models.UniqueConstraint(
                fields=["rolls_back"],
                condition=models.Q(status__in=["pending", "in_progress", "completed"]),
                name="a_plan_is_rolled_back_once",
            ),
            models.CheckConstraint(
                condition=models.Q(progress_percentage__gte=0, progress_percentage__lte=100),
                name="progress_is_a_percentage",
            ),
            models.CheckConstraint(
                condition=models.Q(warning="")
                | models.Q(status__in=[PlanStatus.COMPLETED, PlanStatus.ROLLED_BACK]),
                name="only_a_completed_plan_has_a_warning",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def migration_id(self) -> str:
        """Return the seed's name of the key."""
        return str(self.id)


class Step(models.Model):
    """One piece of a plan; owned by whoever holds its lease under its current fence."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=32)
    host = models.ForeignKey(
        Host,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="steps",
        help_text="Empty for a step of the control worker.",
    )
    status = models.CharField(max_length=16, choices=StepStatus, default=StepStatus.PENDING)
    ready_at = models.DateTimeField(
        null=True, blank=True, help_text="When it may be claimed; empty while others come first."
    )
    published_at = models.DateTimeField(null=True, blank=True)
    publish_count = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(
        default=0, help_text="Attempts that ended in an error, not in a lost worker."
    )
    progress = models.FloatField(default=0, help_text="0 to 1.")
    detail = models.CharField(max_length=300, blank=True)
    result = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["plan", "position"]
        indexes = [
            models.Index(
                fields=["ready_at"],
                condition=models.Q(status__in=["pending", "in_progress"]),
                name="open_steps",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["plan", "position"], name="one_step_per_position"),
            models.UniqueConstraint(
                fields=["plan"],
                condition=models.Q(status=StepStatus.IN_PROGRESS),
                name="one_running_step_per_plan",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=StepStatus.IN_PROGRESS)
                | models.Q(lease_until__isnull=False, fence__gt=0),
                name="running_step_has_a_lease",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan.kind}.{self.kind}"


class PlanEvent(StatusChange):
    """One change of a plan's or a step's status."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="events")
    step = models.ForeignKey(
        Step, null=True, blank=True, on_delete=models.CASCADE, related_name="events"
    )


class IndexSwitch(models.Model):
    """From which index to which a plan moves one base; the way back reads it."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="index_switches")
    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="+")
    from_index = models.ForeignKey(
        VectorIndex, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    to_index = models.ForeignKey(VectorIndex, on_delete=models.RESTRICT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "base"], name="one_switch_per_base")]

    def __str__(self) -> str:
        return f"base {self.base_id}: {self.from_index_id} → {self.to_index_id}"


class EmbedRange(models.Model):
    """Some 2 000 chunks to embed, claimed by whichever host is free (``SKIP LOCKED``)."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="ranges")
    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="+")
    fingerprint = models.ForeignKey(Fingerprint, on_delete=models.PROTECT, related_name="+")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    status = models.CharField(max_length=16, choices=StepStatus, default=StepStatus.PENDING)
    fence = models.PositiveIntegerField(default=0)
    owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    embedded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cut = models.PositiveIntegerField(default=0)
    """Texts that are longer than the embedder reads."""

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["step", "base", "first_id"], name="one_range_per_start"
            ),
            models.CheckConstraint(
                condition=models.Q(last_id__gte=models.F("first_id")), name="range_is_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return f"chunks {self.first_id}-{self.last_id}"


class CollectionRun(models.Model):
    """What the collector removed at one time: by rule, how many and how many bytes."""

    started_at = models.DateTimeField(db_index=True)
    finished_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: it runs, or it was interrupted."
    )
    count = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0, help_text="Bytes.")
    report = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.started_at:%F %T}: {self.count} removed"


class IdempotencyKey(models.Model):
    """The answer already given to a request that starts work."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_sha256 = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    location = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return self.key
