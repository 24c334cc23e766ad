"""Models in several GGUF files, as llama.cpp's gguf-split writes them: names, and one header of all parts.

``name-00001-of-00003.gguf`` and so on. The first part holds the model's metadata; the others say only
which part they are, and hold tensors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engines.exceptions import ArtifactMissingError
from engines.gguf.consistency import COMPANIONS
from engines.gguf.cursor import refuse
from engines.gguf.header import GgufHeader, shown
from engines.gguf.reader import read_header

MAX_PARTS = 512
"""More than any published model has; each costs a question to the Hub."""
COUNT_KEY, NUMBER_KEY, TENSORS_KEY = "split.count", "split.no", "split.tensors.count"
IN_PARTS = "Ollama takes models in one file; name one that is not in parts."
_NAME = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)
_CUT = re.compile(r"\.gguf[.-](?:part[0-9]+of[0-9]+|split-[a-z]+|part-?[a-z0-9]+)$", re.IGNORECASE)
"""How large files are named that were cut anywhere, not by gguf-split."""
_MARKS = ("mmproj", "imatrix")
"""In the names of files that lie beside models and are none."""
_QUANTISED = re.compile(r"(?<![a-z0-9])i?q[1-8]_", re.IGNORECASE)
"""In the name of a model: beside it, "imatrix" says how it was quantised."""


@dataclass(frozen=True, slots=True)
class PartName:
    """A file's name taken apart; ``number`` counts from 1."""

    stem: str
    number: int
    count: int

    @classmethod
    def parse(cls, name: str) -> PartName | None:
        """Return the parts of a name that llama.cpp would read so, or None for a model in one file."""
        found = _NAME.fullmatch(name)
        if found is None or int(found["count"]) == 1 == int(found["number"]):
            return None
        return cls(found["stem"], int(found["number"]), int(found["count"]))

    @property
    def is_possible(self) -> bool:
        """Whether there can be such a part."""
        return 1 <= self.number <= self.count <= MAX_PARTS

    @property
    def first(self) -> str:
        """The name of the first part: the one that names the whole."""
        return self.named(1)

    def named(self, number: int) -> str:
        """Return the name of another part of the same model."""
        return f"{self.stem}-{number:05}-of-{self.count:05}.gguf"


def part_names(name: str) -> tuple[str, ...]:
    """Return the names of all files of the model that ``name`` is of, the first part first."""
    part = PartName.parse(name)
    if part is None or not part.is_possible:
        return (name,)
    return tuple(part.named(number) for number in range(1, part.count + 1))


def part_paths(path: Path) -> tuple[Path, ...]:
    """Return the files of the model whose first or only file ``path`` is."""
    return tuple(path.with_name(name) for name in part_names(path.name))


def find_misnomer(name: str) -> str | None:
    """Return a sentence, which says what to choose, for a file's name that is not a model's."""
    last = name.rpartition("/")[2]
    part = PartName.parse(name)
    if part is not None and not part.is_possible:
        return (
            f"{last} says that it is part {part.number} of {part.count}; give the first part, whose "
            "name has -00001-of- and the number of parts, at most 512."
        )
    if part is not None and part.number > 1:
        return (
            f"{last} is part {part.number} of {part.count} of a model, which is named by its first: "
            f"choose {part.first}, and SAM fetches all {part.count}."
        )
    if _CUT.search(last):
        return (
            f"{last} is a piece of a file that was cut, and no model by itself: choose a file that ends in "
            ".gguf, or join the pieces in their order (cat) and add the whole with `sam catalog add`."
        )
    companion = next((mark for mark in _MARKS if mark in last.lower()), None)
    is_model = companion == "imatrix" and _QUANTISED.search(last) is not None
    if companion is not None and not is_model:
        return (
            f"{last} is {COMPANIONS[companion]}, not a model by itself: choose the GGUF file beside "
            f"it that has no {companion} in its name."
        )
    return None


def read_model_header(path: Path) -> GgufHeader:
    """Read and check a model's header, with the tensors of all its parts.

    Raises UnsafeModelFileError also when the parts do not belong together or ``path`` is not the
    first of them, ArtifactMissingError when one is not there.
    """
    part = PartName.parse(path.name)
    if part is not None and (part.number != 1 or not part.is_possible):
        refuse(f"{shown(path.name)} is not the first part of a model; choose {shown(part.first)}")
    paths = part_paths(path)
    missing = [each.name for each in paths[1:] if not each.is_file()]
    if missing and path.is_file():
        raise ArtifactMissingError(
            f"{path.name} is in {len(paths)} parts, and {', '.join(missing[:3])} "
            f"{'is' if len(missing) == 1 else 'are'} not beside it; download the model again."
        )
    return merge_headers([read_header(each) for each in paths])


def merge_headers(headers: Sequence[GgufHeader]) -> GgufHeader:
    """Return the header of a whole model from those of its parts, in their order.

    Tensors keep the offsets that they have in their own part. Raises UnsafeModelFileError for parts
    of different models, or one that is missing or too many.
    """
    first = headers[0]
    count = max(first.number(COUNT_KEY, 1), 1)
    if count != len(headers):
        # llama.cpp finds the other parts by the name, so name and header must agree.
        refuse(
            f"it says that the model has {count} parts, and its name says {len(headers)}; give the "
            "parts the names that they were published with"
        )
    for number, header in enumerate(headers if count > 1 else ()):
        _require_part(header, number, count)
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        refuse("a tensor is in two of its parts")
    if count > 1 and first.number(TENSORS_KEY) != len(tensors):
        refuse(
            f"it says that all parts have {first.number(TENSORS_KEY)} tensors, and they have "
            f"{len(tensors)}"
        )
    return replace(first, tensors=tensors)


def _require_part(header: GgufHeader, number: int, count: int) -> None:
    found = header.number(NUMBER_KEY, -1), header.number(COUNT_KEY)
    if found != (number, count):
        refuse(
            f"its part {number + 1} of {count} says that it is part {found[0] + 1} of {found[1]}; "
            "the parts are of different models, or were renamed"
        )
