"""What people are told: on the page, by e-mail, each as they chose."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class NoticeKind(models.TextChoices):
    """What a person is told of; each can be switched off."""

    PLAN_STARTED = "plan_started", "A plan for me was made or started by somebody else"
    PLAN_DONE = "plan_done", "A plan for me is done"
    PLAN_FAILED = "plan_failed", "A plan for me failed, stopped or waits for an operator"
    PLAN_TAKEN_BACK = "plan_taken_back", "A switch was taken back"
    ENGINE_RETIRES = "engine_retires", "An engine that I use is withdrawn"
    OPERATOR_NEEDED = "operator_needed", "A step needs an operator (operators only)"


class Notice(models.Model):
    """One thing a person is told on the page; it stays until it is old."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices"
    )
    kind = models.CharField(max_length=32, choices=NoticeKind)
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    link = models.CharField(max_length=300, blank=True, help_text="A path of ours.")
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user"], condition=models.Q(read_at=None), name="unread_notices"),
            models.Index(fields=["user", "-id"], name="notices_of_a_person"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.title}"


class NoticeChoice(models.Model):
    """How a person wants to be told of a kind; without a row both ways."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_choices"
    )
    kind = models.CharField(max_length=32, choices=NoticeKind)
    on_page = models.BooleanField(default=True)
    by_email = models.BooleanField(default=True)

    class Meta:
        ordering = ["user", "kind"]
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="one_choice_per_kind")]

    def __str__(self) -> str:
        return f"{self.user}: {self.kind}"


class OutgoingMail(models.Model):
    """A mail that is still to be sent to a person; its row goes once the server took it.

    The address is the person's when it is sent. A sender that is killed between the server's yes and
    the end of the row sends again, under the same Message-ID.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    message_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    subject = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    link = models.CharField(max_length=300, blank=True, help_text="A path of ours.")
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField(auto_now_add=True, db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.user}: {self.subject}"
