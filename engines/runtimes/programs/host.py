"""What a host has of the programs that run models, as its settings say."""

from __future__ import annotations

from dataclasses import dataclass

from engines.runtimes.base import BaseModelEngine
from engines.runtimes.programs.finding import LLAMA_SERVER, VLLM, find_program
from engines.runtimes.programs.llama_server import LlamaServerEngine, LlamaServerOptions
from engines.runtimes.programs.options import VllmOptions


@dataclass(frozen=True, slots=True)
class HostPrograms:
    """Names or paths; empty means the usual name on the PATH."""

    llama_server: str = ""
    vllm: str = ""
    vllm_arguments: tuple[str, ...] = ()
    """Given to vLLM besides its own."""
    folders: str = ""
    """Where each engine has a folder for its socket and its adapters; empty means the temporary one."""

    def options_of(self, kind: type[BaseModelEngine]) -> LlamaServerOptions | VllmOptions | None:
        """Return the options of an engine that runs such a program; None for the others."""
        if issubclass(kind, LlamaServerEngine):
            return LlamaServerOptions(program=self.llama_server, adapter_folders=self.folders)
        if getattr(kind, "options_kind", None) is VllmOptions:
            return VllmOptions(
                program=self.vllm, arguments=self.vllm_arguments, folders=self.folders
            )
        return None

    def require_program(self, kind: type[BaseModelEngine]) -> None:
        """InvalidRequestError where the program of such an engine is not on this host."""
        options = self.options_of(kind)
        if isinstance(options, LlamaServerOptions):
            find_program(LLAMA_SERVER, options.program)
        elif options is not None:
            find_program(VLLM, options.program)
