"""The folders where other programs keep weights: searched before a download, offered the result."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engines.exceptions import (
    ArtifactMissingError,
    DigestMismatchError,
    SharingError,
    UnsafeNameError,
)
from engines.gguf.parts import part_names
from engines.sharing.huggingface import find_in_cache, share_with_cache
from engines.sharing.links import share_file
from engines.sharing.ollama import find_in_store, share_with_store
from engines.transfer.part import claim_part
from engines.transfer.remote_file import Progress, RemoteFile
from engines.transfer.verify import Content

UNUSABLE = (SharingError, DigestMismatchError, ArtifactMissingError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SharedPlaces:
    """Hugging Face's cache and Ollama's models folder; neither has to exist."""

    hf_cache: Path
    ollama_models: Path

    def find(self, content: Content) -> list[Path]:
        """Files that are named by this digest and have its size; they are not verified yet."""
        return [
            *find_in_cache(self.hf_cache, content),
            *find_in_store(self.ollama_models, content),
        ]

    def adopt(
        self,
        target: Path,
        content: Content,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> Path | None:
        """Make ``target`` a name of verified bytes that this host has already; None when there are none.

        The part of an interrupted download is removed. Raises FetchedElsewhereError when
        another process is fetching this file, TransferCancelledError.
        """
        found = self.find(content)
        if not found:
            return None
        # The download's own lock: a fetch of the same file must not run meanwhile.
        with claim_part(target, content.sha256, content.size) as part:
            for source in found:
                try:
                    share_file(source, target, content, progress=progress, cancelled=cancelled)
                except UNUSABLE as error:
                    # Another program's damaged file is no reason to fail: the next one, else the network.
                    logger.warning("%s is not used: %s", source, error)
                else:
                    part.discard()
                    return source
        return None

    def offer(self, file: Path, remote: RemoteFile, *, branch: str) -> list[str]:
        """Put ``file`` where Hugging Face's programs and Ollama find it; a sentence for each refusal.

        A folder that does not exist belongs to a program that is not used here: it is left out.
        """
        content = Content(remote.sha256 or "", remote.size)
        is_part = len(part_names(remote.filename)) > 1
        ways: list[tuple[Path, Callable[[], Path]]] = [
            (self.hf_cache, lambda: share_with_cache(file, self.hf_cache, remote, branch=branch)),
            (self.ollama_models, lambda: share_with_store(file, self.ollama_models, content)),
        ]
        refusals = []
        # Ollama makes no model of parts.
        for folder, share in ways[:1] if is_part else ways:
            if folder.is_dir():
                try:
                    share()
                except (*UNUSABLE, UnsafeNameError, OSError) as error:
                    refusals.append(f"Not shared with {folder}: {error}")
        return refusals
