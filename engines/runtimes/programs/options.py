"""How vLLM is run; apart from its engine, which needs an extra."""

from __future__ import annotations

from dataclasses import dataclass

from engines.runtimes.servers.base import RemoteOptions


@dataclass(frozen=True, slots=True)
class VllmOptions(RemoteOptions):
    """Also the program, and how long it may take to start. Times in seconds."""

    program: str = ""
    """A name or a path; empty means ``vllm`` on the PATH."""
    arguments: tuple[str, ...] = ()
    """Of the host's administrator: how many GPUs, which share of their memory, which parsers."""
    folders: str = ""
    """Where it has a folder for its socket; empty means the temporary one."""
    load_seconds: float = 1800.0
    """It compiles for the model and the card when it starts."""
