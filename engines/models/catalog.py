"""The curated catalog and the pinned revisions of its models."""

from __future__ import annotations

from dataclasses import fields

from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from engines.models.validators import (
    MAX_ENDPOINT_LENGTH,
    validate_device,
    validate_endpoint,
    validate_folder,
    validate_model_filename,
    validate_pooling,
    validate_remote_name,
    validate_repository,
    validate_runtime,
    validate_tensor_split,
)
from engines.specs import (
    ANSWERS_AT_ONCE,
    MAX_CONTEXT_LENGTH,
    MAX_GPUS,
    ComputeSettings,
    ModelFile,
    ModelInfo,
    ModelSource,
)

MODEL_ID = RegexValidator(
    r"^[a-z0-9][a-z0-9._:-]{0,127}$",
    "Use lower-case letters, digits and . _ : - only, and begin with a letter or digit.",
)
SHA256 = RegexValidator(r"^([0-9a-f]{64})?$", "A SHA-256 is 64 lower-case hexadecimal digits.")


MAX_PREFIX_LENGTH = 200


class ModelRole(models.TextChoices):
    CHAT = "chat", "Chat"
    EMBEDDING = "embedding", "Embedding"
    RANK = "rank", "Ranking"


class SplitMode(models.TextChoices):
    """How several GPUs share a model."""

    NONE = "none", "On one GPU"
    LAYER = "layer", "By layers"
    ROW = "row", "By rows"


class LoadQuantization(models.TextChoices):
    """What weights are quantised to while they are loaded."""

    FOUR_BITS = "4bit", "4 bits"
    EIGHT_BITS = "8bit", "8 bits"


class CatalogModel(models.Model):
    """The seed's ``ModelInfo`` and what operation needs; curated, never written by a download."""

    FILE_RUNTIME = "llama_cpp"
    """The runtime of a file when nothing is said."""

    model_id = models.CharField(max_length=128, unique=True, validators=[MODEL_ID])
    display_name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    model_family = models.CharField(max_length=64)
    role = models.CharField(max_length=16, choices=ModelRole, default=ModelRole.CHAT)
    runtime = models.CharField(max_length=32, default=FILE_RUNTIME, validators=[validate_runtime])
    huggingface_repo = models.CharField(
        max_length=200, blank=True, validators=[validate_repository]
    )
    filename = models.CharField(max_length=255, blank=True, validators=[validate_model_filename])
    folder = models.CharField(
        max_length=255,
        blank=True,
        validators=[validate_folder],
        help_text="Only for a runtime of folders: one below each host's folder of models.",
    )
    endpoint = models.CharField(
        max_length=MAX_ENDPOINT_LENGTH,
        blank=True,
        validators=[validate_endpoint],
        help_text="Only for a server that runs the model, like http://host:8000/v1.",
    )
    remote_name = models.CharField(
        max_length=200,
        blank=True,
        validators=[validate_remote_name],
        help_text="What that server calls the model.",
    )
    hub_endpoint = models.URLField(
        blank=True, help_text="Only for a mirror or a private hub; empty means the configured one."
    )
    wanted_revision = models.CharField(
        max_length=100, default="main", help_text="Branch, tag or commit to resolve at first use."
    )
    file_size = models.BigIntegerField(default=0, help_text="Bytes; 0 until it is resolved.")
    sha256 = models.CharField(max_length=64, blank=True, validators=[SHA256])
    quantization = models.CharField(max_length=32, blank=True)
    context_length = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(MAX_CONTEXT_LENGTH)],
        help_text="Tokens, fewer than the model can to save memory; 0 until known.",
    )
    passage_tokens = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(MAX_CONTEXT_LENGTH)],
        help_text="Longest text that is embedded, in tokens; a longer one is embedded in parts, which is said. "
        "0: 2048, or fewer where the model reads fewer.",
    )
    embedding_dimension = models.PositiveIntegerField(null=True, blank=True)
    device = models.CharField(
        max_length=64,
        default="auto",
        validators=[validate_device],
        help_text="auto, cpu, gpu, or devices as the runtime lists them, like CUDA0,CUDA1.",
    )
    gpu_layers = models.IntegerField(
        default=-1,
        validators=[MinValueValidator(-1), MaxValueValidator(10_000)],
        help_text="Layers to compute on GPUs; -1 means all of them.",
    )
    split_mode = models.CharField(
        max_length=8, choices=SplitMode, default=SplitMode.LAYER, help_text="With several GPUs."
    )
    main_gpu = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(MAX_GPUS - 1)],
        help_text="The GPU of a model that is not split.",
    )
    tensor_split = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_tensor_split],
        help_text="Each GPU's share, like [1, 1]; empty means by free memory.",
    )
    load_quantization = models.CharField(
        max_length=8,
        blank=True,
        choices=LoadQuantization,
        help_text="Only for a runtime that quantises while it loads.",
    )
    use_flash_attention = models.BooleanField(
        default=True, help_text="Where model and hardware have it."
    )
    batch_invariant = models.BooleanField(
        default=False,
        help_text="The same question gets the same answer, to the bit, whoever else asks meanwhile: each "
        f"answer takes memory for a whole context ({ANSWERS_AT_ONCE} at once), and many at once are slower.",
    )
    pooling = models.CharField(
        max_length=16,
        blank=True,
        validators=[validate_pooling],
        help_text="mean, cls or last; empty means the model's own.",
    )
    normalise = models.BooleanField(default=True)
    query_prefix = models.CharField(max_length=MAX_PREFIX_LENGTH, blank=True)
    document_prefix = models.CharField(max_length=MAX_PREFIX_LENGTH, blank=True)
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
        constraints = [
            models.CheckConstraint(
                condition=models.Q(endpoint="", remote_name="")
                | ~(models.Q(endpoint="") | models.Q(remote_name="")),
                name="served_model_has_address_and_name",
                violation_error_message="A model of a server has an endpoint and a remote_name.",
            ),
            models.CheckConstraint(
                condition=models.Q(folder="", remote_name="")
                | models.Q(filename="", remote_name="")
                | models.Q(filename="", folder=""),
                name="model_is_in_one_place",
                violation_error_message="Give one of filename, folder and remote_name.",
            ),
            models.CheckConstraint(
                condition=models.Q(endpoint__regex=r"^(https?://[^@?#[:space:]]+)?$"),
                name="endpoint_is_plain_http",
                violation_error_message="An endpoint is an http or https address, without a user.",
            ),
            models.CheckConstraint(
                condition=models.Q(gpu_layers__gte=-1) & ~models.Q(device=""),
                name="device_can_be_meant",
                violation_error_message="gpu_layers is -1 or more, and device is not empty.",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name or self.model_id

    @property
    def only_does(self) -> str:
        """Return the verb of a model that does not chat."""
        return "ranks" if self.role == ModelRole.RANK else "embeds"

    @property
    def source(self) -> ModelSource:
        """Where the model is."""
        if self.remote_name:
            return ModelSource.SERVER
        return ModelSource.FOLDER if self.folder else ModelSource.FILE

    def clean(self) -> None:
        """Read nothing as an empty list.

        Whether the fields go together is for ``services.catalog.validation`` to say: that needs the
        runtimes, and a table does not know them.
        """
        self.tags, self.tensor_split = self.tags or [], self.tensor_split or []

    def compute_settings(self) -> ComputeSettings:
        """Return the fields of an EngineSpec that say where and how the model is computed."""
        return {
            "device": self.device,
            "gpu_layers": self.gpu_layers,
            "split_mode": self.split_mode,
            "main_gpu": self.main_gpu,
            "tensor_split": tuple(self.tensor_split),
            # The entry's own ``quantization`` is that of its file.
            "quantization": self.load_quantization,
            "use_flash_attention": self.use_flash_attention,
            "batch_invariant": self.batch_invariant,
        }

    @property
    def embedder(self) -> CatalogModel:
        """The model whose vectors this engine searches with: its companion or itself."""
        return self.embedding_model or self

    def as_info(self) -> ModelInfo:
        """Return the seed's ``ModelInfo``."""
        stated = {field.name: getattr(self, field.name) for field in fields(ModelInfo)}
        return ModelInfo(**{**stated, "tags": list(self.tags)})


class ModelRevision(models.Model):
    """One exact model: a file's commit and digest, a folder's digest, or a server's name for it.

    What a plan pins and a host holds.
    """

    class Source(models.TextChoices):
        FILE = ModelSource.FILE.value, "File"
        FOLDER = ModelSource.FOLDER.value, "Folder"
        SERVER = ModelSource.SERVER.value, "Server"

    model = models.ForeignKey(CatalogModel, on_delete=models.PROTECT, related_name="revisions")
    source = models.CharField(max_length=8, choices=Source, default=Source.FILE)
    commit = models.CharField(max_length=40, help_text="Of names, where there is no repository.")
    repository = models.CharField(
        max_length=200,
        blank=True,
        help_text="Where the file was found; empty means where its entry says.",
    )
    filename = models.CharField(max_length=255, blank=True)
    wanted_revision = models.CharField(
        max_length=100, blank=True, help_text="The branch, tag or commit that was resolved."
    )
    sha256 = models.CharField(
        max_length=64,
        blank=True,
        validators=[SHA256],
        help_text="Of a folder it is empty until a host has read it.",
    )
    file_size = models.BigIntegerField(help_text="Bytes, of all parts together.")
    parts = models.JSONField(
        default=list,
        blank=True,
        help_text="Of a model in several files: name, size and SHA-256 of each, the first part first.",
    )
    facts = models.JSONField(
        default=dict, blank=True, help_text="What the file's own header says, read after download."
    )
    shape = models.JSONField(
        default=dict, blank=True, help_text="What decides its memory; from the header at the Hub."
    )
    abilities = models.JSONField(
        default=dict,
        blank=True,
        help_text="What its chat template shows: tools, thinks, switches; empty while nobody rendered it.",
    )
    resolved_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model", "-resolved_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "commit", "filename"], name="one_revision_per_commit"
            ),
            models.CheckConstraint(
                condition=models.Q(source=ModelSource.FILE.value, file_size__gt=0)
                | models.Q(source=ModelSource.FOLDER.value, sha256="", file_size=0)
                | (
                    models.Q(source=ModelSource.FOLDER.value, file_size__gt=0)
                    & ~models.Q(sha256="")
                )
                | (models.Q(source=ModelSource.SERVER.value, file_size=0) & ~models.Q(sha256="")),
                name="revision_has_size",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model.model_id}@{self.commit[:8]}"

    @property
    def is_at_no_hub(self) -> bool:
        """Whether it was added from a file of a host, so that no host can fetch it."""
        place = self.repository or self.model.huggingface_repo
        return self.source == self.Source.FILE and not place and bool(self.model.sha256)

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The files of a model at a hub, the first part first."""
        if self.parts:
            return tuple(ModelFile(**part) for part in self.parts)
        name = self.filename or self.model.filename
        return (ModelFile(name, self.file_size, self.sha256),)
