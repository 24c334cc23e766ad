"""Where a catalog entry wants a model computed; checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engines.exceptions import InvalidRequestError
from engines.specs import MAX_GPUS, EngineSpec

SPLIT_MODES = ("none", "layer", "row")
ANY_GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Offload:
    """Devices and layers asked for; see EngineSpec for the meaning of each field."""

    device: str = "auto"
    gpu_layers: int = -1
    split_mode: str = "layer"
    main_gpu: int = 0
    tensor_split: Sequence[float] = ()

    @classmethod
    def of(cls, spec: EngineSpec) -> Offload:
        """Read a spec; InvalidRequestError names the contradiction."""
        wanted = cls(
            device=spec.device.strip().lower() or "auto",
            gpu_layers=spec.gpu_layers,
            split_mode=spec.split_mode,
            main_gpu=spec.main_gpu,
            tensor_split=spec.tensor_split,
        )
        for problem in wanted._problems():
            raise InvalidRequestError(f"{problem} Correct the entry of {spec.engine_id}.")
        return wanted

    @property
    def needs_gpu(self) -> bool:
        """Whether a GPU was asked for by name, kind or number of layers."""
        return self.gpu_layers > 0 or self.device not in ("auto", "cpu")

    @property
    def names(self) -> list[str]:
        """Devices asked for by name or the beginning of one; empty means any."""
        if self.device in ("auto", "cpu", ANY_GPU):
            return []
        return [name.strip() for name in self.device.split(",") if name.strip()]

    def _problems(self) -> list[str]:
        checks = {
            f"split_mode is one of {', '.join(SPLIT_MODES)}.": self.split_mode in SPLIT_MODES,
            "gpu_layers is a number of layers, or -1 for all.": self.gpu_layers >= -1,
            f"main_gpu is a number from 0 to {MAX_GPUS - 1}.": 0 <= self.main_gpu < MAX_GPUS,
            "tensor_split is a list of shares of 0 or more, not all 0.": self._shares_are_usable(),
            "The device cpu cannot have layers on a GPU.": self.device != "cpu"
            or self.gpu_layers < 1,
            "A GPU was asked for, and none of the layers for it.": not (
                self.needs_gpu and self.gpu_layers == 0
            ),
        }
        return [sentence for sentence, holds in checks.items() if not holds]

    def _shares_are_usable(self) -> bool:
        shares = self.tensor_split
        usable = all(math.isfinite(share) and share >= 0 for share in shares)
        return not shares or (usable and sum(shares) > 0 and len(shares) <= MAX_GPUS)
