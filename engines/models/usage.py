"""How many tokens each person used on which day, and how many are allowed."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class TokenUsage(models.Model):
    """One person's tokens of one day (UTC)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="token_usage"
    )
    day = models.DateField()
    tokens_in = models.BigIntegerField(default=0, help_text="Of prompts and embedded texts.")
    tokens_out = models.BigIntegerField(default=0, help_text="Generated.")
    requests = models.BigIntegerField(default=0)
    with_tools = models.BigIntegerField(default=0, help_text="Requests that offered tools.")
    with_schema = models.BigIntegerField(
        default=0, help_text="Requests whose answer was held to a JSON schema."
    )
    longest_request = models.BigIntegerField(
        default=0, help_text="Tokens of the longest one, prompt and answer together."
    )

    class Meta:
        ordering = ["-day", "user"]
        verbose_name_plural = "token usage"
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="one_usage_per_day")]
        # Every person writes a row a day for years, and lists begin with today.
        indexes = [models.Index(fields=["-day", "user"], name="latest_usage")]

    def __str__(self) -> str:
        return f"{self.user} {self.day}: {self.tokens_in} in, {self.tokens_out} out"


class TokenReservation(models.Model):
    """Tokens that an answer under way may still use of a person's day; only with a quota."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="token_reservations"
    )
    tokens = models.BigIntegerField()
    expires_at = models.DateTimeField(
        help_text="Whose process ended without a word counts no longer."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.user}: {self.tokens} tokens"


class TokenQuota(models.Model):
    """Tokens a day, in and out together: a person's own, or with nobody named everybody's."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="token_quota",
        help_text="Nobody chosen means everybody without a quota of their own.",
    )
    tokens_per_day = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], nulls_distinct=False, name="one_quota_for_everybody"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user or 'everybody'}: {self.tokens_per_day} tokens a day"
