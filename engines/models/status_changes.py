"""What is written down whenever a status changes."""

from __future__ import annotations

from django.db import models


class StatusChange(models.Model):
    """One change of a status, written in its transaction; no one is changed later."""

    from_status = models.CharField(max_length=16, blank=True)
    to_status = models.CharField(max_length=16)
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.from_status} → {self.to_status}: {self.why}"
