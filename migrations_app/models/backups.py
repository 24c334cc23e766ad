"""Backups of people, and the rules that say how often they are made and how many are kept."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models


class Backup(models.Model):
    """A sealed archive of one person; its wrapped key is here and, since format 2, in the archive."""

    class Reason(models.TextChoices):
        MIGRATION = "migration", "Before a migration"
        RESTORE = "restore", "Before a restore"
        ASKED = "asked", "Asked for"
        SCHEDULE = "schedule", "By schedule"
        FOUND = "found", "Found in the store"

    plan = models.OneToOneField(
        "migrations_app.Plan",
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="backup",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="backups",
        help_text="Empty for an archive that was found and belongs to nobody here yet.",
    )
    person_name = models.CharField(
        max_length=150, blank=True, help_text="The user name that the archive was made under."
    )
    reason = models.CharField(max_length=16, choices=Reason, default=Reason.MIGRATION)
    artifact_key = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    file_size = models.BigIntegerField()
    wrapped_key = models.CharField(max_length=200)
    contents = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    verified_at = models.DateTimeField(
        null=True, blank=True, help_text="When all of it was read last; empty: never here."
    )

    def __str__(self) -> str:
        return f"backup of {self.owner_name} {self.created_at:%Y-%m-%d}"

    @property
    def owner_name(self) -> str:
        """Whose it is: the person's present name, or the name it was made under."""
        return self.user.get_username() if self.user else self.person_name


class BackupRule(models.Model):
    """How often a person is backed up and how many are kept; with nobody named, everybody's."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="backup_rule",
        help_text="Nobody chosen means everybody without a rule of their own.",
    )
    every_hours = models.PositiveIntegerField(
        default=0, help_text="0: only before migrations and when asked for."
    )
    keep = models.PositiveIntegerField(
        default=10,
        validators=[MinValueValidator(1)],
        help_text="The newest that are kept; what may still be taken back to is kept besides.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], nulls_distinct=False, name="one_backup_rule_for_everybody"
            ),
            models.CheckConstraint(
                condition=models.Q(keep__gte=1), name="at_least_one_backup_is_kept"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or 'everybody'}: {self.keep} kept"
