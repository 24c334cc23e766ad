"""How much disk a host has for model files: what is free, and what its limit leaves."""

from __future__ import annotations

from engines.exceptions import DiskFullError
from engines.models import CopyStatus, Host, ModelCopy, ModelRevision
from engines.specs import ModelSource

HELD = (CopyStatus.DOWNLOADED, CopyStatus.DOWNLOADING)


def free_disk_of(host: Host) -> int:
    """Return the bytes that a host may still fill with model files."""
    most = host.parsed_limits().disk_bytes
    if not most:
        return host.disk_free_bytes
    return max(min(host.disk_free_bytes, most - _held_bytes(host)), 0)


def require_disk_limit(host: Host, revision: ModelRevision) -> None:
    """Raise DiskFullError when a model would take a host's files beyond its limit.

    What is on its way there counts as well, so that two downloads do not share the same room.
    """
    most = Host.objects.get(pk=host.pk).parsed_limits().disk_bytes
    held = _held_bytes(host, besides=revision) if most else 0
    if most and held + revision.file_size > most:
        raise DiskFullError(
            f"{host.name} may hold {most} bytes of model files and has {held}; {revision} needs "
            f"{revision.file_size} more. Delete models that nobody needs, or have an operator raise "
            "the limit disk_bytes."
        )


def _held_bytes(host: Host, *, besides: ModelRevision | None = None) -> int:
    copies = ModelCopy.objects.filter(host=host, status__in=HELD)
    if besides is not None:
        copies = copies.exclude(revision=besides)
    held = [copy.revision for copy in copies.select_related("revision__model")]
    return sum(revision.file_size for revision in held if revision.source == ModelSource.FILE)
