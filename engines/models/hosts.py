"""Hosts and the model files they hold."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

from engines.models.catalog import ModelRevision
from engines.models.host_limits import HostLimits, parse_limits, validate_limits
from engines.models.status_changes import StatusChange

HOST_NAME = RegexValidator(r"^[a-z0-9][a-z0-9-]{0,62}$", "Use a host name: a-z, 0-9 and -.")


class HostStatus(models.TextChoices):
    JOINING = "joining", "Joining"
    ACTIVE = "active", "Active"
    DRAINING = "draining", "Draining"
    LOST = "lost", "Lost"
    RETIRED = "retired", "Retired"


class Host(models.Model):
    """A machine that keeps model files and runs engines."""

    name = models.CharField(max_length=63, unique=True, validators=[HOST_NAME])
    status = models.CharField(max_length=16, choices=HostStatus, default=HostStatus.JOINING)
    last_seen = models.DateTimeField(null=True, blank=True)
    cores = models.PositiveIntegerField(default=0)
    memory_bytes = models.BigIntegerField(default=0)
    gpus = models.JSONField(default=list, blank=True)
    vram_bytes = models.BigIntegerField(default=0)
    disk_total_bytes = models.BigIntegerField(default=0)
    disk_free_bytes = models.BigIntegerField(default=0)
    limits = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_limits],
        help_text="What an operator lets it do at once; see HostLimits.",
    )
    announces = models.JSONField(
        default=list, blank=True, help_text="The step kinds its workers know."
    )

    folder_roots = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="Folders that it lets administrators watch, with all below them (SAM_WATCHED_FOLDERS).",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def parsed_limits(self) -> HostLimits:
        """Return its limits; ValidationError for a row that somebody wrote around the validator."""
        return parse_limits(self.limits)


class HostSample(models.Model):
    """How busy a host was at one moment; kept for a day."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField(auto_now_add=True)
    load = models.FloatField(help_text="Processes that ran or waited to, averaged over a minute.")
    memory_used_bytes = models.BigIntegerField()
    disk_free_bytes = models.BigIntegerField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["host", "at"], name="samples_of_a_host")]

    def __str__(self) -> str:
        return f"{self.host_id} at {self.at:%F %T}"


class Work(models.TextChoices):
    EMBED = "embed", "Embedding"
    DOWNLOAD = "download", "Downloading"


class SpeedSample(models.Model):
    """One piece of work that a host did, and how long it took; only the latest few are kept."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="speeds")
    revision = models.ForeignKey(
        ModelRevision,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="What embedded; empty for a download, whose speed is the line's.",
    )
    work = models.CharField(max_length=16, choices=Work)
    texts = models.PositiveIntegerField(default=0)
    size = models.BigIntegerField(help_text="Characters that were embedded, or bytes that came.")
    seconds = models.FloatField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["host", "work", "revision", "id"], name="speeds_of_a_host")]

    def __str__(self) -> str:
        return f"{self.work} on {self.host_id}: {self.size} in {self.seconds:.1f} s"


class HostEvent(StatusChange):
    """One change of a host's status."""

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="events")


class HostInvitation(models.Model):
    """The right of one machine to join once, under one name; its token is kept nowhere."""

    host_name = models.CharField(max_length=63, validators=[HOST_NAME])
    token_hash = models.CharField(max_length=64, unique=True)
    who = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.host_name}, until {self.expires_at:%F %T}"


class CopyStatus(models.TextChoices):
    NOT_DOWNLOADED = "not_downloaded", "Not downloaded"
    DOWNLOADING = "downloading", "Downloading"
    DOWNLOADED = "downloaded", "Downloaded"
    CORRUPTED = "corrupted", "Corrupted"
    MISSING = "missing", "Missing"
    UNSAFE = "unsafe", "Unsafe"


class ModelCopy(models.Model):
    """One revision on one host (the seed's ``DownloadedModel``)."""

    revision = models.ForeignKey(ModelRevision, on_delete=models.PROTECT, related_name="copies")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="copies")
    path = models.CharField(max_length=1000, blank=True)
    file_size = models.BigIntegerField(default=0)
    checksum = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=16, choices=CopyStatus, default=CopyStatus.NOT_DOWNLOADED)
    downloaded_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    tokens_per_second = models.FloatField(
        null=True, blank=True, help_text="Of one answer, as it was last measured here."
    )
    texts_per_second = models.FloatField(
        null=True, blank=True, help_text="Embedded, as it was last measured here."
    )

    class Meta:
        ordering = ["revision", "host"]
        verbose_name_plural = "model copies"
        constraints = [
            models.UniqueConstraint(fields=["revision", "host"], name="one_copy_per_host"),
            models.CheckConstraint(
                condition=~models.Q(status=CopyStatus.DOWNLOADED)
                | (~models.Q(path="") & ~models.Q(checksum="")),
                name="downloaded_copy_is_verified",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.revision} on {self.host.name}: {self.status}"
