"""Files that a person sends become documents: each whole or not at all, with a line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from engines.exceptions import SamError
from engines.models import KnowledgeBase
from engines.reading.names import clean_path
from engines.reading.reader import make_shown
from engines.services.knowledge.folders import Delivery, FileLine, Outcome, take_delivery
from migrations_app.api.parsers import uploaded_to_disk
from migrations_app.serving.answers import embed_for_writer

MAX_LINES = 200
WORDS = {
    Outcome.ADDED: "added",
    Outcome.UPDATED: "replaced",
    Outcome.MOVED: "moved",
    Outcome.UNCHANGED: "already there",
    Outcome.DELETED: "deleted",
    Outcome.MISSING: "missing",
    Outcome.REFUSED: "refused",
}


@dataclass(slots=True)
class Intake:
    """What became of files, a line each."""

    lines: list[FileLine] = field(default_factory=list)

    @property
    def counts(self) -> Counter[Outcome]:
        """Return how many became what."""
        return Counter(line.outcome for line in self.lines)

    @property
    def added(self) -> int:
        """Return how many are new."""
        return self.counts[Outcome.ADDED]

    @property
    def replaced(self) -> int:
        """Return how many have another text now."""
        return self.counts[Outcome.UPDATED]

    @property
    def moved(self) -> int:
        """Return how many are at another path now."""
        return self.counts[Outcome.MOVED]

    @property
    def kept(self) -> int:
        """Return how many were there already."""
        return self.counts[Outcome.UNCHANGED]

    @property
    def missing(self) -> int:
        """Return how many documents of an archive it does not hold any more."""
        return self.counts[Outcome.MISSING]

    @property
    def refused(self) -> list[FileLine]:
        """Return the lines of those that were refused."""
        return [line for line in self.lines if line.outcome is Outcome.REFUSED]

    @property
    def taken(self) -> list[FileLine]:
        """Return the lines of those that are in the base now."""
        return [line for line in self.lines if line.outcome is not Outcome.REFUSED]

    @property
    def shown_refused(self) -> list[FileLine]:
        """Return the refused ones that a page lists."""
        return self.refused[:MAX_LINES]

    @property
    def shown_taken(self) -> list[tuple[str, FileLine]]:
        """Return the others that a page lists, with the word for each."""
        return [(WORDS[line.outcome], line) for line in self.taken[:MAX_LINES]]

    @property
    def not_shown(self) -> int:
        """Return how many more were refused."""
        return len(self.refused) - len(self.shown_refused)

    @property
    def sentence(self) -> str:
        """Say it by number."""
        counts = self.counts
        parts = [f"{counts[one]} {word}" for one, word in WORDS.items() if counts[one]]
        return ", ".join(parts) or "Nothing was in it"


def take_files(
    base: KnowledgeBase,
    files: Sequence[UploadedFile[Any]],
    *,
    folder: str = "",
    path: str = "",
    replaces: bool,
) -> Intake:
    """Make documents of files and of what is in their archives.

    ``folder`` is where a file lay on its person's machine, and ``path`` all of its name as it is there, which
    the form's own field for it does not tell; with ``replaces`` the document of its path gets the new text.
    Raises nothing of SAM: what is refused is listed.
    """
    intake = Intake()
    for upload in files:
        name = path or (f"{folder}/{upload.name}" if folder else str(upload.name))
        try:
            wanted = clean_path(name)
        except SamError as error:
            intake.lines.append(FileLine(make_shown(name), Outcome.REFUSED, said=str(error)))
            continue
        with uploaded_to_disk(upload, "file") as stored:
            delivery = Delivery(stored, wanted, replaces=replaces)
            intake.lines += take_delivery(base.pk, delivery, embed_for_writer)
    return intake
