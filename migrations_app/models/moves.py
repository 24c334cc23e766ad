"""Many people's move to one engine, and what became of each of them."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from engines.models import CatalogModel

MAX_AT_ONCE = 500
DEFAULT_AT_ONCE = 20


class MassMove(models.Model):
    """Many people to one engine: the control worker makes a plan for each, and starts a few at a time."""

    # As a plan's: what became of many people is told as long as history is kept, with what they moved to.
    to_engine = models.ForeignKey(CatalogModel, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    backup_lora_adapters = models.BooleanField(default=True)
    re_embed_knowledge = models.BooleanField(default=True)
    update_prompt_templates = models.BooleanField(default=True)
    accept_losses = models.BooleanField(default=False)
    at_once = models.PositiveIntegerField(
        default=DEFAULT_AT_ONCE,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_AT_ONCE)],
        help_text="How many of its plans run at the same time.",
    )
    waits_for = models.TextField(
        blank=True, help_text="What it waits for by itself, such as a host; empty while it goes on."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(
        null=True, blank=True, help_text="When nobody waited and no plan was open any more."
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = "move of many people"
        verbose_name_plural = "moves of many people"

    def __str__(self) -> str:
        return f"mass move {self.pk}"


class MassMoveLine(models.Model):
    """One person of a mass move; what became of them is said by the refusal, or by the plan."""

    move = models.ForeignKey(MassMove, on_delete=models.CASCADE, related_name="lines")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Empty: the person was deleted.",
    )
    plan = models.ForeignKey(
        "migrations_app.Plan", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    handled_at = models.DateTimeField(null=True, help_text="Empty: the person's turn is to come.")
    refusal = models.TextField(blank=True, help_text="Why this person was left out.")

    class Meta:
        ordering = ["move", "id"]
        indexes = [
            models.Index(
                fields=["move", "id"],
                condition=models.Q(handled_at__isnull=True),
                name="people_whose_turn_is_to_come",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["move", "user"], name="once_in_a_mass_move"),
            models.CheckConstraint(
                condition=models.Q(handled_at__isnull=False)
                | models.Q(plan__isnull=True, refusal=""),
                name="who_waits_has_no_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.pk} of mass move {self.move_id}"
