"""What an answer is made with; handed in by whoever has a process to lend from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from django.db import close_old_connections

from engines.exceptions import HostUnavailableError
from engines.files.artifacts import ArtifactStore
from engines.models import LoraAdapter, ModelCopy, ModelRevision
from engines.runtimes.base import BaseModelEngine
from engines.services.catalog.copies import engine_spec, is_present, refuse_unsafe
from engines.services.knowledge.embeddings import Embedder
from engines.specs import AdapterSpec, EmbeddingSpec, EngineSpec
from engines.vectors import IndexCache

LendEngine = Callable[[EngineSpec], AbstractContextManager[BaseModelEngine]]
LendEmbedder = Callable[[ModelRevision, EmbeddingSpec], AbstractContextManager[Embedder]]
RankTexts = Callable[[str, Sequence[str]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class AnswerResources:
    """One process's means: its host's name, the store, opened indexes, and ways to lend engines."""

    host_name: str
    store: ArtifactStore
    adapter_folder: Path
    """Where adapters lie that the store does not keep on this host."""
    index_cache: IndexCache
    lend_engine: LendEngine
    """Lends a loaded engine of this process."""
    lend_embedder: LendEmbedder
    """Lends what embeds with a revision, this host's or another's."""
    rank: RankTexts | None = None
    """Says how well texts answer a question; None where this installation has no rank model."""
    max_answer_tokens: int = 0
    """Of an answer whose request names no limit; 0: as many as the context has room for."""

    def adapter_specs(self, adapters: Iterable[LoraAdapter]) -> tuple[AdapterSpec, ...]:
        """Return the files of adapters, fetched where this host lacks them."""
        return tuple(
            AdapterSpec(
                str(self.store.local_path(adapter.artifact_key, self.adapter_folder)),
                adapter.scale,
                sha256=adapter.sha256,
                base_sha256=adapter.base_revision.sha256,
            )
            for adapter in adapters
        )

    def lend_chat_engine(
        self,
        revision: ModelRevision,
        adapters: tuple[AdapterSpec, ...],
        copy: ModelCopy | None = None,
    ) -> AbstractContextManager[BaseModelEngine]:
        """Lend this host's engine of a revision; HostUnavailableError when it lacks the file.

        ``copy`` is this host's, where it is known.
        """
        if copy is None:
            rows = ModelCopy.objects.filter(revision=revision, host__name=self.host_name)
            copy = rows.order_by().first()
        if copy is not None:
            # What is known already is not asked again: every request comes by here.
            copy.revision = revision
            refuse_unsafe(copy)
        if copy is None or not is_present(copy):
            raise HostUnavailableError(f"This host does not have {revision}; ask another.")
        # The engine may take long, and database connections are few.
        close_old_connections()
        return self.lend_engine(engine_spec(revision, copy.path, adapters=adapters))
