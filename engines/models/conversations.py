"""Conversations go on unchanged after a switch; each message names the engine that wrote it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from engines.models.catalog import CatalogModel


class Conversation(models.Model):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations"
    )
    title = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(
        default=timezone.now, help_text="When the last message was written."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["user", "-updated_at", "-id"], name="latest_conversations")]

    def __str__(self) -> str:
        return self.title or f"conversation {self.pk}"


class Message(models.Model):
    class Role(models.TextChoices):
        USER = "user", "User"
        ASSISTANT = "assistant", "Assistant"

    class Status(models.TextChoices):
        COMPLETE = "complete", "Complete"
        STOPPED = "stopped", "Stopped by its reader"
        BROKEN = "broken", "Broken off by an error"

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=16, choices=Role)
    content = models.TextField()
    status = models.CharField(
        max_length=16,
        choices=Status,
        default=Status.COMPLETE,
        help_text="Of an answer: whether it was written to its end.",
    )
    engine = models.ForeignKey(
        CatalogModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    fallback_for = models.JSONField(
        null=True, blank=True, help_text="The engine for which another one answered, and why."
    )
    citations = models.JSONField(
        default=list,
        blank=True,
        help_text="The passages the engine was given, by key; their text stays in their documents.",
    )
    left_out = models.PositiveIntegerField(
        default=0, help_text="Oldest messages that the engine's context had no room for."
    )
    finish_reason = models.CharField(max_length=32, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    client_key = models.CharField(
        max_length=200,
        blank=True,
        help_text="Idempotency-Key of what a person said: sent again, it is not said twice.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["conversation", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "position"], name="one_message_per_position"
            ),
            models.UniqueConstraint(
                fields=["conversation", "client_key"],
                condition=~models.Q(client_key=""),
                name="one_message_per_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:40]}"
