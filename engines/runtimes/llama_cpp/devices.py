"""Puts a model on the devices asked for, and sees to it that it really is there.

Imported in an engine's child only. Source of the C interface: ggml-backend.h, llama.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llama_cpp import llama_cpp as api
from llama_cpp._ggml import libggml

from engines.exceptions import EngineError
from engines.runtimes.offload import Offload

ALL_LAYERS = 0x7FFFFFFF
GPU_KINDS = frozenset({1, 2})
"""``enum ggml_backend_dev_type``: a GPU, and one that shares the host's memory."""
SPLIT_MODES = {
    "none": api.LLAMA_SPLIT_MODE_NONE,
    "layer": api.LLAMA_SPLIT_MODE_LAYER,
    "row": api.LLAMA_SPLIT_MODE_ROW,
}
BUILD = "docs/gpu.md says how to build llama.cpp for this host's GPU."


@dataclass(frozen=True, slots=True)
class Device:
    """One device llama.cpp can compute on."""

    handle: int
    name: str
    description: str
    is_gpu: bool


def devices() -> list[Device]:
    """Every device of this build and host."""
    return [_device(number) for number in range(_call("count", ctypes.c_size_t))]


def gpu_names(offload: Offload) -> list[str]:
    """Names of the GPUs a model with this offload is spread over."""
    return [gpu.name for gpu in _choose_gpus(offload, devices())]


def apply_offload(parameters: Any, offload: Offload) -> list[Any]:
    """Write the offload into llama.cpp's model parameters.

    The returned arrays must live until the model is loaded. Raises EngineError when a GPU was
    asked for that is not there.
    """
    chosen = _choose_gpus(offload, devices())
    layers = offload.gpu_layers if offload.gpu_layers >= 0 else ALL_LAYERS
    parameters.n_gpu_layers = layers if chosen else 0
    parameters.split_mode = SPLIT_MODES[offload.split_mode]
    parameters.main_gpu = offload.main_gpu
    # llama.cpp reads the list up to its first NULL.
    handles = (ctypes.c_void_p * (len(chosen) + 1))(*(gpu.handle for gpu in chosen), None)
    parameters.devices = ctypes.cast(handles, ctypes.c_void_p)
    shares = (ctypes.c_float * int(api.llama_max_devices()))(*offload.tensor_split)
    if offload.tensor_split:
        parameters.tensor_split = shares
    return [handles, shares]


def require_offloaded(offload: Offload, offloaded: str) -> None:
    """EngineError when fewer layers than asked for are on a GPU; ``offloaded`` is ``n/m`` or empty."""
    if not offload.needs_gpu:
        return
    # llama.cpp falls back to the CPU with a line in its log and no error.
    there, _, total = (offloaded or "0/0").partition("/")
    wanted = min(offload.gpu_layers, int(total)) if offload.gpu_layers > 0 else int(total)
    if int(there) < max(wanted, 1):
        raise EngineError(
            f"A GPU was asked for, but {there} of {total} layers are on it; ask for fewer layers, "
            f"or for the device auto. {BUILD}"
        )


def _choose_gpus(offload: Offload, found: Sequence[Device]) -> list[Device]:
    """The GPUs to use, in the order asked for."""
    if offload.device == "cpu" or offload.gpu_layers == 0:
        return []
    gpus = [device for device in found if device.is_gpu]
    if offload.needs_gpu and not gpus:
        raise EngineError(
            "A GPU was asked for, but llama.cpp finds none here"
            f"{'' if api.llama_supports_gpu_offload() else ' (it was built for the CPU only)'}; "
            f"ask for the device auto or cpu. {BUILD}"
        )
    chosen = [_find_gpus(name, gpus) for name in offload.names] or [gpus]
    # Two names may mean the same GPU.
    return list(dict.fromkeys(gpu for some in chosen for gpu in some))


def _find_gpus(name: str, gpus: Sequence[Device]) -> list[Device]:
    """The GPU of this name, else those whose names begin with it."""
    same = [gpu for gpu in gpus if gpu.name.lower() == name]
    found = same or [gpu for gpu in gpus if gpu.name.lower().startswith(name)]
    if not found:
        raise EngineError(
            f"There is no GPU {name!r} here; there are {', '.join(gpu.name for gpu in gpus)}."
        )
    return found


def _device(number: int) -> Device:
    handle = _call("get", ctypes.c_void_p, ctypes.c_size_t(number))
    device = ctypes.c_void_p(handle)
    return Device(
        handle=handle,
        name=_call("name", ctypes.c_char_p, device).decode("utf-8", "replace"),
        description=_call("description", ctypes.c_char_p, device).decode("utf-8", "replace"),
        is_gpu=_call("type", ctypes.c_int, device) in GPU_KINDS,
    )


def _call(name: str, kind: Any, *arguments: Any) -> Any:
    function = getattr(libggml, f"ggml_backend_dev_{name}")
    function.restype = kind
    function.argtypes = [type(argument) for argument in arguments]
    return function(*arguments)
