"""Which engine answers when another cannot be made ready, and when that happened."""

from __future__ import annotations

from django.db import models

from engines.models.catalog import CatalogModel, ModelRevision, ModelRole


class EngineFallback(models.Model):
    """What answers in place of an engine; with no engine named, in place of any."""

    engine = models.OneToOneField(
        CatalogModel,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="fallback_rule",
        limit_choices_to={"role": ModelRole.CHAT},
        help_text="The engine that cannot be made ready; empty means any.",
    )
    answers = models.ForeignKey(
        CatalogModel,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        limit_choices_to={"role": ModelRole.CHAT},
        help_text="What answers instead; empty means the engine each person used before.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["engine"], nulls_distinct=False, name="one_fallback_per_engine"
            ),
            models.CheckConstraint(
                condition=models.Q(engine__isnull=True)
                | models.Q(answers__isnull=True)
                | ~models.Q(engine=models.F("answers")),
                name="fallback_is_another_engine",
            ),
        ]

    def __str__(self) -> str:
        named = self.engine.model_id if self.engine else "any engine"
        instead = self.answers.model_id if self.answers else "the person's previous engine"
        return f"{named}: {instead}"


class FallbackIncident(models.Model):
    """One engine answered for another, from the first request to the last; not one row a request."""

    revision = models.ForeignKey(ModelRevision, on_delete=models.PROTECT, related_name="+")
    answered_by = models.ForeignKey(ModelRevision, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(help_text="Why the engine could not be made ready, as first told.")
    began_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["revision", "answered_by"],
                condition=models.Q(ended_at__isnull=True),
                name="one_open_incident_per_pair",
            )
        ]

    def __str__(self) -> str:
        return f"{self.answered_by} answers for {self.revision}"
