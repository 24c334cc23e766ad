"""The curated catalog and the pinned revisions of its models."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.core.validators import RegexValidator
from django.db import models

from engines.models.catalog_checks import validate_model_filename, validate_repository
from engines.specs import ModelInfo

MODEL_ID = RegexValidator(
    r"^[a-z0-9][a-z0-9._:-]{0,127}$",
    "Use lower-case letters, digits and . _ : - only, and begin with a letter or digit.",
)
SHA256 = RegexValidator(r"^([0-9a-f]{64})?$", "A SHA-256 is 64 lower-case hexadecimal digits.")


class ModelRole(models.TextChoices):
    CHAT = "chat", "Chat"
    EMBEDDING = "embedding", "Embedding"


class CatalogModel(models.Model):
    """The seed's ``ModelInfo`` and what operation needs; curated, never written by a download."""

    FILE_RUNTIME = "llama_cpp"
    """The runtime whose models are single files that can be judged before they are fetched."""

    model_id = models.CharField(max_length=128, unique=True, validators=[MODEL_ID])
    display_name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    model_family = models.CharField(max_length=64)
    role = models.CharField(max_length=16, choices=ModelRole, default=ModelRole.CHAT)
    runtime = models.CharField(max_length=32, default=FILE_RUNTIME)
    huggingface_repo = models.CharField(max_length=200, validators=[validate_repository])
    filename = models.CharField(max_length=255, validators=[validate_model_filename])
    hub_endpoint = models.URLField(
        blank=True, help_text="Only for a mirror or a private hub; empty means the configured one."
    )
    wanted_revision = models.CharField(
        max_length=100, default="main", help_text="Branch, tag or commit to resolve at first use."
    )
    file_size = models.BigIntegerField(default=0, help_text="Bytes; 0 until it is resolved.")
    sha256 = models.CharField(max_length=64, blank=True, validators=[SHA256])
    quantization = models.CharField(max_length=32, blank=True)
    context_length = models.PositiveIntegerField(default=0, help_text="Tokens; 0 until known.")
    embedding_dimension = models.PositiveIntegerField(null=True, blank=True)
    pooling = models.CharField(
        max_length=16, blank=True, help_text="mean, cls or last; empty means the model's own."
    )
    normalise = models.BooleanField(default=True)
    query_prefix = models.CharField(max_length=200, blank=True)
    document_prefix = models.CharField(max_length=200, blank=True)
    licence = models.CharField(max_length=64, blank=True)
    tags = models.JSONField(default=list, blank=True)
    recommended = models.BooleanField(default=False)
    published = models.BooleanField(default=True)
    allowed_groups = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text="Nobody chosen means everybody may use it."
    )
    embedding_model = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="chat_models",
        limit_choices_to={"role": ModelRole.EMBEDDING},
        help_text="The companion that embeds; without one the engine embeds by itself.",
    )
    current_revision = models.ForeignKey(
        "ModelRevision", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["model_id"]
        verbose_name = "catalog model"

    def __str__(self) -> str:
        return self.display_name or self.model_id

    @property
    def embedder(self) -> CatalogModel:
        """The model whose vectors this engine searches with: its companion or itself."""
        return self.embedding_model or self

    def as_info(self) -> ModelInfo:
        """Return the seed's ``ModelInfo``."""
        return ModelInfo(
            model_id=self.model_id,
            display_name=self.display_name,
            description=self.description,
            model_family=self.model_family,
            huggingface_repo=self.huggingface_repo,
            filename=self.filename,
            file_size=self.file_size,
            quantization=self.quantization,
            context_length=self.context_length,
            recommended=self.recommended,
            tags=list(self.tags),
        )


class ModelRevision(models.Model):
    """One exact file: a commit and a digest. What a plan pins and a host holds."""

    model = models.ForeignKey(CatalogModel, on_delete=models.PROTECT, related_name="revisions")
    commit = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64, validators=[SHA256])
    file_size = models.BigIntegerField()
    facts = models.JSONField(
        default=dict, blank=True, help_text="What the file's own header says, read after download."
    )
    shape = models.JSONField(
        default=dict, blank=True, help_text="What decides its memory; from the header at the Hub."
    )
    resolved_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model", "-resolved_at"]
        constraints = [
            models.UniqueConstraint(fields=["model", "commit"], name="one_revision_per_commit"),
            models.CheckConstraint(condition=models.Q(file_size__gt=0), name="revision_has_size"),
        ]

    def __str__(self) -> str:
        return f"{self.model.model_id}@{self.commit[:8]}"
