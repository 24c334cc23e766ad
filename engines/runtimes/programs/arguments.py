"""What a llama-server is started with, from an entry's spec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engines.runtimes.offload import Offload
from engines.runtimes.programs.server import ServerLayout
from engines.specs import EngineSpec

BATCH, GPU_BATCH = 128, 512
"""Tokens of a prompt in one batch, for which all other answers wait. Longer than in the runtime llama_cpp: the vectors of
an engine that answers are of texts that fit one."""
ALL_LAYERS = 9999
OF_THE_MODEL = "model"
"""A pooling that the file decides."""


@dataclass(frozen=True, slots=True)
class ServerWish:
    """What besides the spec decides."""

    model: str
    layout: ServerLayout
    threads: int
    batch: int
    pooling: str
    lora: tuple[str, ...] = ()


def server_arguments(spec: EngineSpec, wish: ServerWish) -> list[str]:
    """Return the arguments; source: llama.cpp's tools/server/README.md."""
    layout, threads, batch = wish.layout, str(wish.threads), str(wish.batch)
    return [
        *("--model", wish.model, "--parallel", str(layout.parallel)),
        # One cache for all, as in the runtime llama_cpp; nothing of a prompt is kept beside it.
        *("--kv-unified", "--ctx-size", str(layout.context), "--cache-ram", "0"),
        *("--ctx-checkpoints", "0", "--slot-prompt-similarity", "0"),
        *("--batch-size", batch, "--ubatch-size", batch),
        *("--threads", threads, "--threads-batch", threads, "--poll", "0"),
        *("--flash-attn", "auto" if spec.use_flash_attention else "off"),
        # Tokens come from SAM: the file's own template is not even read.
        *("--no-jinja", "--chat-template", "chatml"),
        *("--offline", "--no-webui", "--no-slots", "--fit", "off"),
        "--embeddings",
        *(() if wish.pooling == OF_THE_MODEL else ("--pooling", wish.pooling)),
        *(("--lora-init-without-apply", "--lora", ",".join(wish.lora)) if wish.lora else ()),
        *_devices(Offload.of(spec)),
    ]


def _devices(offload: Offload) -> Iterator[str]:
    if offload.device == "cpu" or offload.gpu_layers == 0:
        yield from ("--device", "none", "--n-gpu-layers", "0")
        return
    if offload.names:
        yield from ("--device", ",".join(name.upper() for name in offload.names))
    layers = offload.gpu_layers if offload.gpu_layers >= 0 else ALL_LAYERS
    yield from ("--n-gpu-layers", str(layers))
    yield from ("--split-mode", offload.split_mode, "--main-gpu", str(offload.main_gpu))
    if offload.tensor_split:
        yield from ("--tensor-split", ",".join(f"{share:g}" for share in offload.tensor_split))
