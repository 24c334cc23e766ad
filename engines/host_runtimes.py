"""The runtimes of this process, with the keys of their servers and this host's options."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from engines.runtimes.llama_cpp.engine import LlamaOptions
from engines.runtimes.programs.host import HostPrograms
from engines.runtimes.registry import EngineRegistry


@cache
def engine_registry() -> EngineRegistry:
    """Return the registry of this process; a plugin installed later needs a restart."""
    return EngineRegistry(settings.SAM_ENGINE_KEYS, _llama_options(), host_programs())


def host_programs() -> HostPrograms:
    """Return what this host's settings say of the programs that run models."""
    return HostPrograms(
        llama_server=settings.SAM_LLAMA_SERVER,
        vllm=settings.SAM_VLLM,
        vllm_arguments=tuple(settings.SAM_VLLM_ARGUMENTS),
        folders=str(settings.SAM_DATA_DIR / "engine-adapters"),
    )


def _llama_options() -> LlamaOptions:
    """What is set by hand is taken; the rest is measured once per model."""
    return LlamaOptions(
        embedding_lanes=settings.SAM_EMBEDDING_LANES,
        pack_tokens=settings.SAM_EMBEDDING_PACK_TOKENS,
        openvino=settings.SAM_OPENVINO,
        adapter_folders=str(settings.SAM_DATA_DIR / "engine-adapters"),
        batch_settings=str(settings.SAM_BATCH_SETTINGS) if settings.SAM_MEASURE_EMBEDDING else "",
    )
