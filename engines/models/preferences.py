"""Who uses which engine with which prompts, and what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models

from engines.models.catalog import CatalogModel, ModelRevision, ModelRole


class EngineUpgrade(TypedDict):
    """The seed's ``config.engine_upgrade``."""

    active_engine_id: str | None
    engine_model_name: str | None
    engine_family: str | None
    last_upgrade: str | None
    local_model_path: str | None


class EnginePreference(models.Model):
    """One person's active engine; the row every switch of this person locks first."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="engine_preference"
    )
    engine = models.ForeignKey(
        CatalogModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    revision = models.ForeignKey(
        ModelRevision, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    prompt_family = models.CharField(
        max_length=64, blank=True, help_text="The family whose prompts are in use."
    )
    local_model_path = models.CharField(max_length=1000, blank=True)
    last_upgrade = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(revision__isnull=True) | models.Q(engine__isnull=False),
                name="pinned_revision_names_its_engine",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.engine.model_id if self.engine else 'default'}"

    @property
    def engine_upgrade(self) -> EngineUpgrade:
        """Return the seed's ``config.engine_upgrade`` dictionary."""
        engine = self.engine
        return {
            "active_engine_id": engine.model_id if engine else None,
            "engine_model_name": engine.display_name if engine else None,
            "engine_family": engine.model_family if engine else None,
            "last_upgrade": self.last_upgrade.isoformat() if self.last_upgrade else None,
            "local_model_path": self.local_model_path or None,
        }


class PreferenceSnapshot(models.Model):
    """What a preference was before a change; append-only."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preference_snapshots"
    )
    version = models.PositiveIntegerField(help_text="The version that this snapshot holds.")
    engine = models.ForeignKey(
        CatalogModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    revision = models.ForeignKey(
        ModelRevision, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    prompt_family = models.CharField(max_length=64, blank=True)
    local_model_path = models.CharField(max_length=1000, blank=True)
    last_upgrade = models.DateTimeField(null=True, blank=True)
    replaced_at = models.DateTimeField(auto_now_add=True)
    why = models.CharField(max_length=200)

    class Meta:
        ordering = ["user", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["user", "version"], name="one_snapshot_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.user} v{self.version}"


class EngineDefault(models.Model):
    """The engine of those who chose none: a group's, or with no group the organisation's."""

    group = models.OneToOneField(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="engine_default"
    )
    engine = models.ForeignKey(CatalogModel, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group"], nulls_distinct=False, name="one_default_per_group"
            )
        ]

    def __str__(self) -> str:
        return f"{self.group.name if self.group else 'organisation'}: {self.engine.model_id}"

    def clean(self) -> None:
        """Raise ValidationError for an engine that could not answer those who chose none."""
        if not self.engine_id:
            return
        allowed = dict(self.engine.allowed_groups.values_list("pk", "name"))
        problem = find_default_problem(self.engine, self.group, allowed)
        if problem:
            raise ValidationError({"engine": problem})


def find_default_problem(
    engine: CatalogModel, group: Group | None, allowed: Mapping[int, str]
) -> str:
    """Return why an engine cannot be a group's default (None: the organisation's), or an empty text.

    ``allowed`` are the groups it is reserved for, name by id; none means everybody.
    """
    if engine.role != ModelRole.CHAT:
        return f"{engine.model_id} only {engine.only_does}; choose an engine that chats."
    if not engine.published:
        return f"{engine.model_id} is not published; publish it first."
    if allowed and (group is None or group.pk not in allowed):
        names = ", ".join(sorted(allowed.values()))
        return f"{engine.model_id} is reserved for {names}; choose one that all may use."
    return ""


class PromptTemplate(models.Model):
    """A family's prompts; an empty chat format means the model's own template."""

    family = models.CharField(max_length=64, unique=True)
    system_prompt = models.TextField(blank=True)
    reasoning_prompt = models.TextField(blank=True)
    chat_format = models.TextField(blank=True)

    class Meta:
        ordering = ["family"]

    def __str__(self) -> str:
        return self.family


class UserPrompts(models.Model):
    """A person's edits for one family; null means not edited, so the template's text holds."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="prompts"
    )
    family = models.CharField(max_length=64)
    system_prompt = models.TextField(null=True, blank=True)  # noqa: DJ001 - null is "not edited"
    reasoning_prompt = models.TextField(null=True, blank=True)  # noqa: DJ001
    chat_format = models.TextField(null=True, blank=True)  # noqa: DJ001
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "user prompts"
        constraints = [
            models.UniqueConstraint(fields=["user", "family"], name="one_edit_per_family")
        ]

    def __str__(self) -> str:
        return f"{self.user} / {self.family}"
