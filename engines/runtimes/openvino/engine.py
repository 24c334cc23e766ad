"""The runtime openvino: embedders in folders of safetensors files, computed in a supervised child process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from engines.exceptions import InvalidRequestError
from engines.fit.process_limit import MARGIN_BYTES, THREAD_BYTES
from engines.runtimes.child.engine import ChildEngine, ChildOptions
from engines.runtimes.openvino.bert import POOLINGS
from engines.runtimes.openvino.choice import openvino_version
from engines.runtimes.openvino.folder import TOKENIZER, WEIGHTS, EmbedderFolder, read_folder
from engines.runtimes.openvino.parameters import LoadParameters
from engines.specs import EmbeddingSpec

TOKENIZER_GROWTH = 16
"""Of a tokenizer's file, when it is read into tables."""
NEVER = "never"
"""Of the option ``precision``: the host's administrator wants no OpenVINO."""


@dataclass(frozen=True, slots=True)
class OpenVinoOptions(ChildOptions):
    """Also in what precision vectors are computed."""

    precision: str = ""
    """One of PRECISIONS, ``never``, or empty for the faster one that gives the same vectors."""


class OpenVinoEngine(ChildEngine[OpenVinoOptions]):
    """An embedder of BERT's family as the Hugging Face Hub publishes it, in a folder of this host.

    Nothing is fetched, no code of a model is run, and of its files only those are read that ``read_folder``
    names. It writes no text.
    """

    handler = "engines.runtimes.openvino.child:OpenVinoHandler"
    options_kind = OpenVinoOptions
    # Texts are read one after the other, so that it needs no threads of its own.
    environment = (("TOKENIZERS_PARALLELISM", "false"),)
    _counted_bytes = 0

    @classmethod
    def list_models(cls, place: str) -> list[str]:
        """Return the sub-folders that hold a model, sorted."""
        return sorted(str(path.parent) for path in Path(place).glob(f"*/{WEIGHTS}"))

    def check(self) -> None:
        """Refuse contradictory settings and a folder that is not such a model; nothing is loaded."""
        self._check_files()

    def _check_files(self) -> None:
        if not openvino_version() or self.options.precision == NEVER:
            why = "it is switched off here (SAM_OPENVINO)" if openvino_version() else "it is absent"
            raise InvalidRequestError(
                f"{self.engine_id} needs OpenVINO on this host, and {why}; use another host or model."
            )
        if self.spec.adapters:
            raise InvalidRequestError(
                f"The runtime of {self.engine_id} takes no adapters; leave them out."
            )
        folder = read_folder(Path(self.model_path))
        if self.spec.embedding is not None:
            self._check_entry(self.spec.embedding, folder)
        self._counted_bytes = self._limit_of(folder)

    def _check_entry(self, embedding: EmbeddingSpec, folder: EmbedderFolder) -> None:
        """Refuse what the catalog says and the model does not do."""
        if embedding.pooling not in (*POOLINGS, "model"):
            raise InvalidRequestError(
                f"{self.engine_id} is to pool by {embedding.pooling}, and OpenVINO pools by "
                f"{' or '.join(sorted(POOLINGS))}; correct its entry."
            )
        if embedding.dimension != folder.shape.width or embedding.max_tokens < 1:
            raise InvalidRequestError(
                f"The vectors of {self.engine_id} have {folder.shape.width} numbers, but its catalog entry says "
                f"{embedding.dimension}, of texts of {embedding.max_tokens} tokens; correct the entry."
            )

    def _limit_of(self, folder: EmbedderFolder) -> int:
        """Private memory that the child may take at most."""
        threads = self._threads()
        # Two networks are there while the faster one is looked for.
        networks = 2 if not self.options.precision else 1
        tokenizer = (folder.path / TOKENIZER).stat().st_size * TOKENIZER_GROWTH
        texts = threads * (folder.work_bytes + THREAD_BYTES)
        return networks * folder.shape.memory_bytes + tokenizer + texts + MARGIN_BYTES

    def _memory_bytes(self) -> int:
        return self.options.memory_bytes or self._counted_bytes

    def _load_parameters(self) -> LoadParameters:
        embedding = self.spec.embedding
        return {
            "path": str(Path(self.model_path).absolute()),
            "precision": self.options.precision,
            "embedding": asdict(embedding) if embedding else None,
            "threads": self._threads(),
            "cpu_seconds": self.options.load_cpu_seconds,
        }
