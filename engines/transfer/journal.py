"""What the next process must know about the bytes that an earlier one left in a part file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.files.durable import rename_durably

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Journal:
    """Facts about a part: whole size, the server's validator, bytes known to be on the disk."""

    size: int
    etag: str
    synced: int
    boot: str

    def usable_bytes(self, on_disk: int) -> int:
        """Return how many bytes of the part can be trusted to have been written.

        After a killed process the page cache still holds all of them; after a restart of the
        machine (another boot id, or none to compare) only what was synced is sure.
        """
        if on_disk > self.size:
            return 0
        same_boot = bool(self.boot) and self.boot == boot_id()
        return on_disk if same_boot else min(on_disk, self.synced)


def read_journal(path: Path) -> Journal | None:
    """Return the journal, or None when there is none that can be read."""
    try:
        with path.open("rb") as file:
            facts: object = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return _parse(facts) if isinstance(facts, dict) else None


def _parse(facts: dict[str, object]) -> Journal | None:
    """Build a journal from what a file says, unless a value has the wrong type or sign."""
    size, synced = facts.get("size"), facts.get("synced")
    etag, boot = facts.get("etag"), facts.get("boot")
    if type(size) is not int or type(synced) is not int or synced < 0:
        return None
    if not isinstance(etag, str) or not isinstance(boot, str):
        return None
    return Journal(size, etag, synced, boot)


def write_journal(path: Path, journal: Journal) -> None:
    """Replace the journal as one step; only the holder of the part's lock may."""
    aside = _aside(path)
    with aside.open("w") as file:
        json.dump(asdict(journal), file)
        file.flush()
        os.fsync(file.fileno())
    # A torn journal would cost the whole part: it is replaced as one step.
    rename_durably(aside, path)


def remove_journal(path: Path) -> None:
    """Remove a journal, and what a process that was killed while it wrote one left beside it."""
    path.unlink(missing_ok=True)
    _aside(path).unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_suffix(".new")


def boot_id() -> str:
    """Name this run of the machine; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
