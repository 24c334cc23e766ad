"""The table of the audit."""

from __future__ import annotations

from django.db import models


class AuditDoor(models.TextChoices):
    """Through which door a change came."""

    PAGE = "page", "Page"
    ADMIN = "admin", "Admin"
    REST = "rest", "REST"
    COMMAND_LINE = "command_line", "Command line"
    SYSTEM = "system", "SAM itself"
    DATABASE = "database", "The database"


class AuditAction(models.TextChoices):
    CREATED = "created", "Created"
    CHANGED = "changed", "Changed"
    DELETED = "deleted", "Deleted"


class AuditKind(models.TextChoices):
    """What an entry is about."""

    PERSON = "person", "Person"
    MEMBERSHIP = "membership", "Role or group of a person"
    GROUP = "group", "Group"
    TOKEN = "token", "API token"
    INVITATION = "invitation", "Invitation"
    QUOTA = "quota", "Quota"
    DEFAULT = "default", "Default engine"
    FALLBACK = "fallback", "Fallback engine"
    TEMPLATE = "template", "Prompt template"
    PROMPTS = "prompts", "A person's prompts"
    PREFERENCE = "preference", "A person's engine"
    CATALOG = "catalog", "Catalog entry"
    RESERVATION = "reservation", "Group of a catalog entry"
    HOST = "host", "Host"
    HOST_INVITATION = "host_invitation", "Invitation of a host"
    PLAN = "plan", "Plan"
    MASS_MOVE = "mass_move", "Move of many people"
    BACKUP = "backup", "Backup"
    BACKUP_RULE = "backup_rule", "Rule of backups"
    WATCHED_FOLDER = "watched_folder", "Watched folder"


class AuditEntry(models.Model):
    """One change, with old and new values; written by triggers in its transaction, and never changed.

    People are kept as numbers beside the name of that day: rows that pointed to them would keep them
    from being deleted.
    """

    at = models.DateTimeField()
    actor = models.CharField(max_length=150, blank=True, help_text="Empty: nobody signed in.")
    actor_pk = models.BigIntegerField(null=True, blank=True)
    door = models.CharField(max_length=16, choices=AuditDoor)
    machine_user = models.CharField(
        max_length=150, blank=True, help_text="Who typed at the machine; they act, for the actor."
    )
    kind = models.CharField(max_length=16, choices=AuditKind)
    key = models.CharField(max_length=64)
    name = models.CharField(max_length=255, blank=True)
    action = models.CharField(max_length=8, choices=AuditAction)
    changes = models.JSONField(default=dict, help_text="Old and new value by field.")
    person_pk = models.BigIntegerField(null=True, blank=True, help_text="Whom it is about.")

    class Meta:
        ordering = ["-id"]
        verbose_name = "change"
        indexes = [
            models.Index(fields=["kind", "id"], name="audit_by_kind"),
            models.Index(fields=["actor", "id"], name="audit_by_actor"),
            models.Index(fields=["actor_pk"], name="audit_by_actor_pk"),
            models.Index(fields=["person_pk", "id"], name="audit_by_person"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name or self.key} {self.action}"
