"""Folders of hosts that bases are kept in step with."""

from __future__ import annotations

from django.db import models

from engines.models.hosts import Host, HostStatus
from engines.models.knowledge import KnowledgeBase

LEAST_SECONDS = 10
MOST_SECONDS = 7 * 24 * 3600


class WatchedFolder(models.Model):
    """A folder of a host, the base that it is kept in step with, and how the last look went."""

    base = models.ForeignKey(
        KnowledgeBase, on_delete=models.CASCADE, related_name="folders", db_index=False
    )
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="folders")
    path = models.CharField(max_length=1000, help_text="On the host, from the root on.")
    name = models.CharField(
        max_length=255, help_text="Its last part, with which the paths of its documents begin."
    )
    every_seconds = models.PositiveIntegerField(help_text="From the end of a look to the next.")
    keep_deleted = models.BooleanField(
        default=False, help_text="Whether documents stay whose files are gone."
    )
    next_look_at = models.DateTimeField()
    called_at = models.DateTimeField(
        null=True, blank=True, help_text="When its host was last called."
    )
    claim = models.CharField(max_length=64, blank=True, default="", help_text="Who looks.")
    claimed_until = models.DateTimeField(null=True, blank=True)
    looks = models.PositiveIntegerField(default=0, help_text="How many went through.")
    looked_at = models.DateTimeField(null=True, blank=True, help_text="When the last one did.")
    is_under_way = models.BooleanField(
        default=False, help_text="Whether a look began that did not go through yet."
    )
    unchanged = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    moved = models.PositiveIntegerField(default=0)
    deleted = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    changed_files = models.PositiveIntegerField(
        default=0, help_text="Of the look: files of which some text is new, updated or moved."
    )
    problem = models.TextField(blank=True, default="", help_text="What is not as it should be.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["base", "name"], name="one_folder_of_a_name"),
            models.CheckConstraint(
                condition=models.Q(
                    every_seconds__gte=LEAST_SECONDS, every_seconds__lte=MOST_SECONDS
                ),
                name="folder_is_looked_at_in_time",
            ),
        ]
        indexes = [models.Index(fields=["next_look_at"], name="folders_by_next_look")]

    @property
    def counts(self) -> str:
        """Return what the last look found, for people."""
        said = f"{self.unchanged} unchanged, {self.updated} updated, {self.added} new"
        for count, word in (
            (self.moved, "moved"),
            (self.deleted, "deleted"),
            (self.refused, "refused"),
        ):
            said += f", {count} {word}" if count else ""
        return said

    @property
    def is_left_alone(self) -> bool:
        """Whether its host takes no work now, so that nobody looks at it."""
        return self.host.status != HostStatus.ACTIVE

    @property
    def present_problem(self) -> str:
        """Return what is not as it should be: that nobody looks at it, or else what the last look met."""
        if not self.is_left_alone:
            return self.problem
        return (
            f"The host {self.host.name} is {self.host.status}, so nobody looks at the folder; bring the host "
            "back, or attach the folder at another one that sees it."
        )

    def __str__(self) -> str:
        return f"{self.path} of host {self.host_id} for base {self.base_id}"


class WatchedFile(models.Model):
    """What is known of a file in a watched folder, so that it is read again only when it changed."""

    folder = models.ForeignKey(
        WatchedFolder, on_delete=models.CASCADE, related_name="files", db_index=False
    )
    path = models.TextField()
    signature = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    looks_apart = models.PositiveIntegerField(default=0)
    next_look = models.PositiveIntegerField(default=0)
    is_missing = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["folder", "path"], name="one_row_a_watched_file")
        ]

    def __str__(self) -> str:
        return self.path
