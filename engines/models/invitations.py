"""Invitations of people: the right to become a person of SAM once, under one e-mail address."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import models


class Invitation(models.Model):
    """An invitation by e-mail; its key is kept nowhere, only the SHA-256."""

    email = models.EmailField()
    groups = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text="Groups and roles of whoever accepts."
    )
    key_sha256 = models.BinaryField(max_length=32, unique=True, editable=False)
    who = models.CharField(max_length=200, help_text="Who invited.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(used_at=None) | models.Q(revoked_at=None),
                name="an_invitation_ends_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email}, until {self.expires_at:%F %T}"
