"""LoRA adapters: a person's own training on one base model revision."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from engines.models.catalog import ModelRevision


class AdapterStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    INVALIDATED = "invalidated", "Invalidated"
    DISABLED = "disabled", "Disabled"
    """By its owner: no plan touches it, and nothing loads it."""


class LoraAdapter(models.Model):
    """The file lies in the artifact store and outlives an invalidation."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="lora_adapters"
    )
    name = models.CharField(max_length=128, help_text="The seed's model_id of a user model.")
    base_revision = models.ForeignKey(
        ModelRevision, on_delete=models.PROTECT, related_name="adapters"
    )
    artifact_key = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    file_size = models.BigIntegerField()
    scale = models.FloatField(default=1.0)
    status = models.CharField(max_length=16, choices=AdapterStatus, default=AdapterStatus.ACTIVE)
    training_stats = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["user", "name"]
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="one_adapter_per_name")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"
