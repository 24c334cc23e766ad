"""The transformers runtime: a folder of safetensors files, computed in a supervised child process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from engines.exceptions import ArtifactMissingError, InvalidRequestError, UnsafeModelFileError
from engines.runtimes.child.engine import ChildEngine, ChildOptions
from engines.runtimes.hugging_face.memory_limit import memory_limit
from engines.runtimes.hugging_face.parameters import LoadParameters
from engines.runtimes.model_files import CONFIG, read_config
from engines.runtimes.text.response_format import Json

QUANTIZATIONS = ("", "4bit", "8bit")
DEVICES = ("auto", "cpu", "cuda", "gpu")


@dataclass(frozen=True, slots=True)
class HuggingFaceOptions(ChildOptions):
    """The child's options; its libraries take longer to start."""

    start_seconds: float = 180.0
    """Importing torch is slow the first time."""


class HuggingFaceEngine(ChildEngine[HuggingFaceOptions]):
    """A model as the Hugging Face Hub publishes it, in a folder of this host.

    ``model_path`` is the folder; ``embedding_model`` of the spec may name another that embeds.
    Nothing is fetched, no code of a model is run, and only safetensors files are read.
    """

    handler = "engines.runtimes.hugging_face.child:HuggingFaceHandler"
    options_kind = HuggingFaceOptions
    # Otherwise torch makes a folder for compiled code while it is imported, and the box has none to write to.
    environment = (("TORCHINDUCTOR_CACHE_DIR", "/"),)
    _counted_bytes = 0

    @classmethod
    def list_models(cls, place: str) -> list[str]:
        """Return the sub-folders that hold a model, sorted."""
        return sorted(str(path.parent) for path in Path(place).glob(f"*/{CONFIG}"))

    def check(self) -> None:
        """Refuse contradictory settings and a folder that is not a model; nothing is loaded."""
        self._check_files()

    def _check_files(self) -> None:
        """Refuse contradictory settings, folders that are not a model, and models with their own code."""
        for problem in self._problems():
            raise InvalidRequestError(f"{problem} Correct the entry of {self.engine_id}.")
        folders = [
            Path(folder) for folder in (self.model_path, self.spec.embedding_model) if folder
        ]
        configs = [(folder, _checked_config(folder)) for folder in folders]
        self._counted_bytes = memory_limit(self.spec, configs, self._threads())

    def _problems(self) -> list[str]:
        spec = self.spec
        checks = {
            f"device is one of {', '.join(DEVICES)} for this runtime.": spec.device in DEVICES,
            "quantization is 4bit, 8bit or empty.": spec.quantization in QUANTIZATIONS,
            "The transformers runtime does not support GGUF adapters.": not spec.adapters,
            "The transformers runtime cannot place single layers; leave gpu_layers at its default and name a device.": (
                spec.gpu_layers < 1
            ),
        }
        return [sentence for sentence, holds in checks.items() if not holds]

    def _readable(self) -> tuple[str, ...]:
        return tuple(
            str(Path(folder).absolute())
            for folder in (self.model_path, self.spec.embedding_model)
            if folder
        )

    def _memory_bytes(self) -> int:
        return self.options.memory_bytes or self._counted_bytes

    def _load_parameters(self) -> LoadParameters:
        spec = self.spec
        other = spec.embedding_model
        return {
            "path": str(Path(self.model_path).absolute()),
            "embedding_path": str(Path(other).absolute()) if other else "",
            "family": spec.family,
            "device": spec.device,
            "quantization": spec.quantization,
            "flash_attention": spec.use_flash_attention,
            "context_length": spec.context_length,
            "embedding": asdict(spec.embedding) if spec.embedding else None,
            "threads": self._threads(),
            "cpu_seconds": self.options.load_cpu_seconds,
        }


def _checked_config(folder: Path) -> Json:
    """Return the configuration of a folder that holds a model and nothing that runs."""
    config = folder / CONFIG
    if not config.is_file():
        raise ArtifactMissingError(f"{folder.name} holds no {CONFIG}; download the whole model.")
    if not any(folder.glob("*.safetensors")):
        raise UnsafeModelFileError(
            f"{folder.name} holds no safetensors file; other formats can run code and are never "
            "loaded. Choose a revision with safetensors."
        )
    # trust_remote_code is off, so such a model would fail later, with a sentence that asks to turn it on.
    found = read_config(config)
    if "auto_map" in found:
        raise UnsafeModelFileError(
            f"{folder.name} needs code of its own, which is never run; choose a model that the "
            "transformers library knows."
        )
    return found
