"""One model in this process, chosen by type, size and domain, for scripts and the command line.

It needs no database; people's own engines are served by the API.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engines.exceptions import ArtifactMissingError, InvalidRequestError
from engines.fit.memory import Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import Placement, place
from engines.fit.qwen3 import QUANTISATION, Qwen3Model, qwen3_model
from engines.gguf.parts import IN_PARTS, part_paths, read_model_header
from engines.machine import environment, measure
from engines.runtime_names import ALIASES, GGUF_RUNTIMES, list_runtimes
from engines.runtimes.base import BaseModelEngine, ChatMessage, Facts
from engines.runtimes.registry import EngineRegistry
from engines.runtimes.servers.base import RemoteEngine
from engines.runtimes.streaming import StreamingEngine
from engines.sharing.ollama import share_with_store
from engines.specs import EmbeddingSpec, EngineSpec
from engines.transfer.verify import Content

Value = TypeVar("Value")

DEFAULT_CONTEXT = 8192
SUFFIX = ".gguf"
OLLAMA_MODELS = ".ollama/models"
MANAGED = "managed"


@dataclass(frozen=True, slots=True)
class Domain:
    """What a kind of work changes: a system message, the temperature, and models made for it.

    ``models`` gives, by size, the names at Hugging Face and at Ollama.
    """

    system: str = ""
    temperature: float | None = None
    models: dict[str, tuple[str, str]] = field(default_factory=dict)


DOMAINS = {
    "": Domain(),
    "general": Domain(),
    "code": Domain(
        "You write correct, readable code and say briefly why it is so.",
        0.2,
        {"qwen3_moe_small": ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3-coder:30b")},
    ),
    "math": Domain("You solve problems step by step and check the result.", 0.2),
    "writing": Domain("You write vivid, well-formed prose.", 0.9),
}


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How the model is run; the names are the specification's."""

    model_id: str = ""
    """A file, or the model's name at its server; empty takes it from the size."""
    cache_dir: str = ""
    """Folder in which a GGUF file of the wanted size is looked for."""
    device: str = "auto"
    quantization: str = ""
    use_flash_attention: bool = True
    embedding_model_id: str = ""
    """Another model of the same type that embeds; empty means the model itself."""
    ollama_host: str = ""
    share_with_ollama: bool = False
    """Whether a GGUF file is given to Ollama too when it is loaded."""
    ollama_models: str = ""
    """Ollama's folder; empty means its usual one in the home folder."""
    context_length: int = DEFAULT_CONTEXT
    threads: int = 0
    """CPU threads; 0 means all cores."""
    family: str = ""


class ModelManager:
    """Generates and embeds with one model, loaded at first use; thread-safe where its engine is."""

    def __init__(
        self,
        model_type: str = "gguf",
        model_size: str = "",
        domain: str = "",
        registry: EngineRegistry | None = None,
        **options: Any,
    ) -> None:
        """Options are the fields of ModelOptions. Nothing is loaded yet.

        Raises InvalidRequestError or NotFoundError for a type, size, domain or option there is not.
        """
        self.domain = _find_named("domain", DOMAINS, domain)
        self.options = _options(options)
        self.size = qwen3_model(model_size) if model_size else None
        self._registry = registry or EngineRegistry()
        own = {name: name for name in (*list_runtimes(), *self._registry.runtimes)}
        self.runtime = _find_named("type of model", own | ALIASES, model_type)
        self._registry.require(self.runtime)
        self._engines: dict[bool, BaseModelEngine] = {}
        self._lock = threading.RLock()

    def generate_response(self, prompt: str, **options: Any) -> str:
        """Return the whole answer; options are those of GenerationOptions."""
        engine = self._engine()
        return engine.generate(
            _build_prompt(engine, self.domain, prompt), **self._sampling(options)
        )

    def generate_stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """Give the answer in pieces; closing the iterator stops the model."""
        engine = self._engine()
        return engine.stream(_build_prompt(engine, self.domain, prompt), **self._sampling(options))

    def generate_embeddings(self, text: str) -> list[float]:
        """Return the vector of one text; TextNotEmbeddableError when it has none."""
        return self._engine(embeds=True).embed(text)

    def generate_batch_embeddings(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors in the order of the texts; TextNotEmbeddableError names the first without."""
        vectors: list[list[float]] = self._engine(embeds=True).embed_many(texts).tolist()
        return vectors

    def get_model_info(self) -> Facts:
        """Return facts about the model for JSON; loads nothing."""
        engine = self._engines.get(False)
        size = self.size
        return {
            "runtime": self.runtime,
            "model": self.model_id(),
            "size": size.size if size else None,
            "native_context": size.native_context if size else None,
            "extended_context": size.extended_context if size else None,
            "engine": engine.get_engine_info() if engine else None,
        }

    def get_environment_info(self) -> dict[str, object]:
        """Return facts about this machine for JSON: container, WSL, processor, GPUs, runtimes."""
        backends = {
            backend.name: backend.problem or "usable" for backend in self._registry.backends()
        }
        return {**environment(), "runtimes": backends}

    def list_models(self) -> list[str]:
        """Return what the runtime finds in ``cache_dir`` or at its server."""
        place_ = self.options.ollama_host or self.options.cache_dir
        return self._registry.models(self.runtime, place_)

    def fit(self, load: Load | None = None) -> Placement:
        """Judge the model for this machine, from its file's header or from the size's known shape.

        Raises InvalidRequestError where neither is there.
        """
        machine = measure(Path(self.options.cache_dir or "."))
        return place(self._shape(), load or Load(self.options.context_length), machine)

    def model_id(self) -> str:
        """Return the file or the name the runtime is given.

        Raises InvalidRequestError when nothing says which, ArtifactMissingError for a missing file.
        """
        if self.options.model_id:
            return self._require_file(self.options.model_id)
        if self.size is None:
            raise InvalidRequestError("Name a model_id or a model_size, such as qwen3_medium.")
        if self.runtime in GGUF_RUNTIMES:
            return str(_find_file(self.size, self.options.cache_dir))
        made_for = self.domain.models.get(self.size.size, (self.size.huggingface, self.size.ollama))
        return made_for[self.runtime == "ollama"]

    def share_with_ollama(self) -> Path:
        """Give Ollama a name of the model's file in its store by hard link; return that name.

        Raises InvalidRequestError for a model without a GGUF file, ArtifactMissingError,
        UnsafeModelFileError, SharingError where the disk does not allow it.
        """
        path = Path(self.model_id())
        if path.suffix != SUFFIX:
            raise InvalidRequestError(
                "Only GGUF files are shared with Ollama; name one as model_id."
            )
        if len(part_paths(path)) > 1:
            raise InvalidRequestError(IN_PARTS)
        read_model_header(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        store = Path(self.options.ollama_models or Path.home() / OLLAMA_MODELS)
        return share_with_store(path, store, Content(digest, path.stat().st_size))

    def close(self) -> None:
        """End what was loaded; safe to call twice."""
        # Closed outside the lock: a child may take seconds to end.
        with self._lock:
            engines, self._engines = self._engines, {}
        for engine in engines.values():
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _engine(self, *, embeds: bool = False) -> BaseModelEngine:
        """The engine, loaded; one of its own where another file embeds, or the file is made for it."""
        own = embeds and self.runtime in GGUF_RUNTIMES and self._embeds_apart()
        # Held while the model loads: a second caller needs the same engine and has nothing else to do.
        with self._lock:
            if own not in self._engines:
                spec = self._embedder_spec() if own else self._spec()
                self._engines[own] = self._registry.create(spec)
            engine = self._engines[own]
            if not engine.is_loaded:
                if self.options.share_with_ollama and not own:
                    self.share_with_ollama()
                engine.load_model()
            return engine

    def _embeds_apart(self) -> bool:
        """Whether vectors need an engine that only embeds; a file made for it says how it pools."""
        return bool(
            self.options.embedding_model_id
            or read_model_header(Path(self.model_id())).facts().pooling
        )

    def _spec(self) -> EngineSpec:
        given, model = self.options, self.model_id()
        return EngineSpec(
            engine_id=MANAGED,
            model_name=self.size.model_id if self.size else Path(model).name,
            model_path=model,
            family=given.family or ("qwen" if self.size else ""),
            runtime=self.runtime,
            context_length=given.context_length,
            device=given.device,
            quantization=given.quantization,
            use_flash_attention=given.use_flash_attention,
            threads=given.threads,
            endpoint=given.ollama_host,
            embedding_model=given.embedding_model_id,
        )

    def _embedder_spec(self) -> EngineSpec:
        path = self._require_file(self.options.embedding_model_id or self.model_id())
        facts = read_model_header(Path(path)).facts()
        embedding = EmbeddingSpec(
            dimension=facts.embedding_length,
            max_tokens=facts.context_length,
            pooling=facts.pooling or "mean",
        )
        return EngineSpec(
            engine_id=f"{MANAGED}-embedder",
            model_name=Path(path).name,
            model_path=path,
            runtime=self.runtime,
            device=self.options.device,
            threads=self.options.threads,
            embedding=embedding,
        )

    def _require_file(self, name: str) -> str:
        """Return the name; InvalidRequestError for a folder where one file is needed."""
        if self.runtime in GGUF_RUNTIMES and Path(name).is_dir():
            raise InvalidRequestError(
                f"{Path(name).name} is a folder, and a GGUF model is a file: name one in it. A folder of "
                "safetensors is loaded with the type huggingface (--type huggingface)."
            )
        return name

    def _shape(self) -> ModelShape:
        path = Path(self.options.model_id)
        if path.suffix == SUFFIX:
            return ModelShape.from_header(read_model_header(path))
        if self.size is not None:
            return self.size.shape()
        raise InvalidRequestError(
            "Only GGUF files and the sizes of Qwen 3 can be judged; name one of these."
        )

    def _sampling(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options.get("temperature") is None and self.domain.temperature is not None:
            return {**options, "temperature": self.domain.temperature}
        return options


def _build_prompt(engine: BaseModelEngine, domain: Domain, prompt: str) -> Any:
    """Messages for an engine with a chat template, text for any other."""
    system: list[ChatMessage] = [{"role": "system", "content": domain.system}]
    messages: list[ChatMessage] = [{"role": "user", "content": prompt}]
    if _takes_messages(engine):
        return [*(system if domain.system else []), *messages]
    return f"{domain.system}\n\n{prompt}" if domain.system else prompt


def _takes_messages(engine: BaseModelEngine) -> bool:
    usual = isinstance(engine, RemoteEngine)
    found = engine.get_engine_info().get("chat_template", usual)
    return isinstance(engine, StreamingEngine) and bool(found)


def _find_file(size: Qwen3Model, folder: str) -> Path:
    """The file of a size below a folder, by its usual name."""
    wanted = f"{size.huggingface.rpartition('/')[2]}*{QUANTISATION}{SUFFIX}"
    found = sorted(Path(folder).rglob(f"*{wanted}")) if folder else []
    if not found:
        raise ArtifactMissingError(
            f"There is no file like {wanted} in {folder or 'any folder'}; "
            f"run `sam download start {size.model_id}`, or name the file as model_id."
        )
    return found[0]


def _find_named(what: str, known: Mapping[str, Value], name: str) -> Value:
    if name not in known:
        names = ", ".join(sorted(filter(None, known)))
        raise InvalidRequestError(f"There is no {what} {name[:100]!r}; there are {names}.")
    return known[name]


def _options(given: Mapping[str, Any]) -> ModelOptions:
    unknown = sorted(set(given) - {option.name for option in fields(ModelOptions)})
    if unknown:
        known = ", ".join(sorted(option.name for option in fields(ModelOptions)))
        raise InvalidRequestError(f"There is no option {unknown[0][:100]!r}; there are {known}.")
    return ModelOptions(**given)
