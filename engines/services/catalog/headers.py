"""Headers of model files: from this host's own copy, else from the first megabytes at the Hub."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from engines.gguf.header import GgufHeader
from engines.gguf.parts import read_model_header
from engines.models import CopyStatus, ModelCopy, ModelRevision
from engines.services.catalog.copies import is_present, remote_files
from engines.services.catalog.hub import hub_token
from engines.transfer.model_header import read_remote_model


def local_header(revision: ModelRevision) -> GgufHeader | None:
    """Return the header of this host's verified copy, or None without one."""
    copy = ModelCopy.objects.filter(
        revision=revision, host__name=settings.SAM_HOST_NAME, status=CopyStatus.DOWNLOADED
    ).first()
    return read_model_header(Path(copy.path)) if copy is not None and is_present(copy) else None


def header_of(revision: ModelRevision) -> GgufHeader:
    """Return a revision's header, asking the Hub when no copy is here.

    Raises UnsafeModelFileError, and what asking the Hub raises.
    """
    here = local_header(revision)
    if here is not None:
        return here
    remotes = remote_files(revision)
    return read_remote_model(remotes, token=hub_token(remotes[0].url))
