"""Knowledge: what people wrote, cut into chunks, and the vectors that are facts about text.

A chunk is never updated: a change is a deletion and an insertion, and every write to a base raises
its ``write_seq`` under the row's lock. So what an index file holds, what came since and what is gone
are three WHERE clauses over (``created_seq``, ``deleted_seq``).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from engines.reading.result import MARKDOWN_ENDINGS

HASH_BYTES = 32


class Fingerprint(models.Model):
    """One vector space, by a small key; the digest is ``specs.fingerprint_digest``."""

    id = models.SmallAutoField(primary_key=True)
    digest = models.CharField(max_length=64, unique=True)
    revision = models.ForeignKey(
        "engines.ModelRevision", on_delete=models.PROTECT, related_name="fingerprints"
    )
    facts = models.JSONField(help_text="The EmbeddingSpec that belongs to it.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.revision} {self.digest[:8]}"


class KnowledgeBase(models.Model):
    """A person's or a group's texts; points to exactly one live index."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="knowledge_bases",
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="knowledge_bases"
    )
    name = models.CharField(max_length=200)
    write_seq = models.BigIntegerField(default=0)
    words_seq = models.BigIntegerField(
        default=0,
        db_default=0,
        help_text="Up to this write every live chunk has its words.",
    )
    live_index = models.ForeignKey(
        "VectorIndex", null=True, blank=True, on_delete=models.RESTRICT, related_name="live_for"
    )
    embed_on_write_for = models.ForeignKey(
        "VectorIndex",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Set while a switch waits for writers: new chunks need this index's vectors.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(owner__isnull=True, group__isnull=False)
                | models.Q(owner__isnull=False, group__isnull=True),
                name="base_has_one_owner",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    class MediaType(models.TextChoices):
        TEXT = "text/plain", "Text"
        MARKDOWN = "text/markdown", "Markdown"

    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=300)
    media_type = models.CharField(max_length=32, choices=MediaType, default=MediaType.TEXT)
    text = models.TextField()
    sha256 = models.CharField(max_length=64)
    path = models.CharField(
        max_length=1024,
        blank=True,
        default="",
        help_text="Where its file lies in what it was added from; the same path again is this document.",
    )
    source_sha256 = models.CharField(
        max_length=64, blank=True, default="", help_text="Of the file that its text was read from."
    )
    places = models.JSONField(
        default=list,
        blank=True,
        help_text="Pages, sheets and the like: from which character of the text on, and the name.",
    )
    note = models.TextField(
        blank=True,
        default="",
        db_default="",
        help_text="What was not read of its file, or was guessed; empty once somebody writes its text.",
    )
    passage_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Tokens that its passages were cut to; empty where they were cut by characters.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["base", "path"], condition=~models.Q(path=""), name="one_document_per_path"
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def kind(self) -> str:
        """What people know it as: its file's ending, or how it was written where it is a text itself."""
        return self._file_ending or self.get_media_type_display()

    @property
    def has_read_lines(self) -> bool:
        """Whether its lines are rows and items of another kind of file, and not where a writer's window ended."""
        return bool(self._file_ending)

    @property
    def _file_ending(self) -> str:
        ending = PurePosixPath(self.path).suffix.lower()
        is_other = ending not in MARKDOWN_ENDINGS | {".txt"} and ending[1:].isalnum()
        return ending[1:].upper() if is_other else ""


class Chunk(models.Model):
    """An immutable piece of text; only ``deleted_seq`` is ever set, and the text erased with it."""

    # Three indexes begin with it.
    base = models.ForeignKey(
        KnowledgeBase, on_delete=models.CASCADE, related_name="chunks", db_index=False
    )
    document = models.ForeignKey(
        Document, null=True, on_delete=models.SET_NULL, related_name="chunks"
    )
    position = models.PositiveIntegerField()
    place = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="Where it stands, for people: its page, sheet or slide, and the headings above it.",
    )
    heading = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="The headings above it."
    )
    start_char = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Where it begins, in characters of its document; unknown of the oldest passages.",
    )
    end_char = models.PositiveIntegerField(null=True, blank=True, help_text="Where it ends.")
    text = models.TextField()
    content_hash = models.BinaryField(max_length=HASH_BYTES)
    created_seq = models.BigIntegerField()
    deleted_seq = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["base", "created_seq"], name="chunk_by_seq"),
            models.Index(fields=["base", "deleted_seq"], name="chunk_by_deletion"),
            models.Index(fields=["base", "id"], name="chunk_by_id"),
            models.Index(fields=["content_hash"], name="chunk_by_content"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(deleted_seq__isnull=True)
                | models.Q(deleted_seq__gt=models.F("created_seq")),
                name="chunk_deleted_after_created",
            )
        ]

    def __str__(self) -> str:
        return f"chunk {self.pk}"


class PassageWords(models.Model):
    """By which words a live chunk is found; made when it is written, and gone when it is deleted.

    It belongs to no vector space, so a migration does not touch it. The database removes it with its chunk:
    through Django each deletion of many chunks would first have to read them.
    """

    chunk = models.OneToOneField(
        Chunk,
        primary_key=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="words",
    )
    base = models.ForeignKey(
        KnowledgeBase,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    language = models.CharField(
        max_length=8, blank=True, default="", help_text="By ISO 639; empty where it is not known."
    )
    size = models.PositiveIntegerField(help_text="How many different words it has.")
    words = SearchVectorField()

    class Meta:
        indexes = [
            models.Index(fields=["base", "language"], name="words_by_language"),
            # Without a list of pending entries: a search would read it whole.
            GinIndex(fields=["words"], name="words_by_word", fastupdate=False),
        ]

    def __str__(self) -> str:
        return f"words of chunk {self.pk}"


class Embedding(models.Model):
    """A fact about a text in a space: its vector in half precision, or why it has none."""

    pk = models.CompositePrimaryKey("fingerprint_id", "content_hash")
    # Without an index of its own: the primary key begins with it, and where statistics are old PostgreSQL
    # may take that index and read a whole space to find one text.
    fingerprint = models.ForeignKey(
        Fingerprint, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    content_hash = models.BinaryField(max_length=HASH_BYTES)
    vector = models.BinaryField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(vector__isnull=False, error="")
                | models.Q(vector__isnull=True) & ~models.Q(error=""),
                name="embedding_is_vector_or_error",
            )
        ]

    def __str__(self) -> str:
        return self.error or "vector"


class VectorIndex(models.Model):
    """The stable row of one base in one space; its file is replaced by compaction.

    ``base_seq`` is what the file holds: every chunk created up to it and not deleted when it was
    built. Null means the first file is still being built.
    """

    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="indexes")
    fingerprint = models.ForeignKey(Fingerprint, on_delete=models.PROTECT, related_name="indexes")
    file_key = models.CharField(max_length=200, blank=True)
    file_sha256 = models.CharField(max_length=64, blank=True)
    file_count = models.PositiveIntegerField(default=0)
    base_seq = models.BigIntegerField(null=True, blank=True)
    covered_seq = models.BigIntegerField(
        default=0,
        help_text="A hint that finds lag cheaply: up to here every live chunk had its embedding.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "vector indexes"
        constraints = [
            models.UniqueConstraint(fields=["base", "fingerprint"], name="one_index_per_space"),
            models.CheckConstraint(
                condition=models.Q(base_seq__isnull=True, file_key="")
                | models.Q(base_seq__isnull=False) & ~models.Q(file_key=""),
                name="index_file_has_its_seq",
            ),
        ]

    def __str__(self) -> str:
        return f"index {self.pk} of base {self.base_id}"
