from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_cpp import llama_supports_gpu_offload

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ModelStatus
from engines.runtimes.llama_cpp.devices import Device, _choose_gpus, devices, require_offloaded
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.offload import Offload
from engines.specs import EngineSpec

CPU = Device(1, "CPU", "A processor", is_gpu=False)
GPUS = [Device(number + 2, f"CUDA{number}", "A card", is_gpu=True) for number in range(2)]
VULKAN = Device(9, "Vulkan0", "Another card", is_gpu=True)


def _spec(path: str = "/m.gguf", **fields: Any) -> EngineSpec:
    return EngineSpec("e", "E", path, threads=1, **fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"split_mode": "diagonal"}, "split_mode is one of none, layer, row"),
        ({"gpu_layers": -2}, "gpu_layers is a number of layers, or -1"),
        ({"main_gpu": 16}, "main_gpu is a number from 0 to 15"),
        ({"tensor_split": (0.0, 0.0)}, "tensor_split is a list of shares"),
        ({"tensor_split": (float("nan"),)}, "tensor_split is a list of shares"),
        ({"device": "cpu", "gpu_layers": 3}, "cpu cannot have layers on a GPU"),
        ({"device": "gpu", "gpu_layers": 0}, "none of the layers for it"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    fields: dict[str, Any], sentence: str
) -> None:
    engine = LlamaCppEngine.from_spec(_spec(**fields))

    with pytest.raises(InvalidRequestError, match=sentence):
        engine.load_model()
    assert engine.status is ModelStatus.ERROR
    assert engine.is_loaded is False


@pytest.mark.parametrize("fields", [{"device": "gpu"}, {"gpu_layers": 1}, {"device": "cuda"}])
def test_gpu_that_was_asked_for_holds_layers_or_loading_fails(
    tiny_llama: Path, fields: dict[str, Any]
) -> None:
    with LlamaCppEngine.from_spec(_spec(str(tiny_llama), **fields)) as engine:
        if llama_supports_gpu_offload() and any(device.is_gpu for device in devices()):
            engine.load_model()
            assert engine.get_engine_info()["offloaded_layers"] != "0"
        else:
            with pytest.raises(EngineError, match=r"asked for, but llama.cpp finds none.*gpu\.md"):
                engine.load_model()
            assert engine.status is ModelStatus.ERROR


def test_cpu_is_the_cpu_and_info_says_so(tiny_llama: Path) -> None:
    spec = _spec(str(tiny_llama), device="cpu", use_flash_attention=False)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        info = engine.get_engine_info()
        answer = engine.generate("Once upon", temperature=0, max_tokens=8)

    assert (info["offloaded_layers"], info["gpus"]) == ("0", [])
    assert "CPU" in info["devices"]
    with LlamaCppEngine.from_spec(_spec(str(tiny_llama))) as engine:
        engine.load_model()
        assert engine.generate("Once upon", temperature=0, max_tokens=8) == answer


def test_quantising_a_gguf_file_while_loading_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(InvalidRequestError, match="quantised already"):
        LlamaCppEngine.from_spec(_spec(str(tiny_llama), quantization="4bit")).load_model()


@pytest.mark.parametrize(
    ("device", "names"),
    [
        ("auto", ["CUDA0", "CUDA1", "Vulkan0"]),
        ("gpu", ["CUDA0", "CUDA1", "Vulkan0"]),
        ("cpu", []),
        ("cuda", ["CUDA0", "CUDA1"]),
        ("CUDA1,cuda0", ["CUDA1", "CUDA0"]),
        ("vulkan", ["Vulkan0"]),
    ],
)
def test_devices_are_chosen_by_name_or_its_beginning(device: str, names: list[str]) -> None:
    chosen = _choose_gpus(Offload.of(_spec(device=device)), [CPU, *GPUS, VULKAN])

    assert [gpu.name for gpu in chosen] == names


def test_device_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(EngineError, match="no GPU 'cuda7' here; there are CUDA0, CUDA1"):
        _choose_gpus(Offload.of(_spec(device="CUDA7")), [CPU, *GPUS])
    with pytest.raises(EngineError, match=r"llama\.cpp finds none"):
        _choose_gpus(Offload.of(_spec(device="CUDA7")), [CPU])


@pytest.mark.parametrize(
    ("fields", "offloaded", "fits"),
    [
        ({}, "", True),
        ({"device": "gpu"}, "33/33", True),
        ({"device": "gpu"}, "20/33", False),
        ({"gpu_layers": 20}, "20/33", True),
        ({"gpu_layers": 20}, "12/33", False),
        ({"gpu_layers": 99}, "33/33", True),
        ({"gpu_layers": 1}, "", False),
    ],
)
def test_fewer_layers_on_the_gpu_than_asked_for_are_an_error(
    fields: dict[str, Any], offloaded: str, fits: bool
) -> None:
    offload = Offload.of(_spec(**fields))
    if fits:
        require_offloaded(offload, offloaded)
        return
    with pytest.raises(EngineError, match="layers are on it; ask for fewer"):
        require_offloaded(offload, offloaded)
