"""JSON, one value or one a line, as lines of ``name: value``; notebooks as their cells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.reading.embedded import leave_embedded
from engines.reading.kinds import ending_of
from engines.reading.limits import MAX_DEPTH
from engines.reading.result import MARKDOWN, TEXT, Reading, Source, TextBuilder
from engines.reading.text import decode_text

NOT_JSON = "It is no JSON that can be read; check it, or rename it to .txt to add it as it stands."
TOO_DEEP = f"Its JSON is nested deeper than {MAX_DEPTH} levels; flatten it."
_BY_LINE = (".jsonl", ".ndjson")


def read(source: Source) -> Reading:
    """Read all values."""
    decoded = decode_text(source.content)
    note = decoded.note
    ending = ending_of(source.name)
    builder = TextBuilder()
    if ending in _BY_LINE or _has_values_by_line(decoded.text):
        lines = decoded.text.split("\n")
        values = [(f"line {n}", _parse(line)) for n, line in enumerate(lines, 1) if line.strip()]
    else:
        whole = _parse(decoded.text)
        if ending == ".ipynb" and isinstance(whole, dict) and isinstance(whole.get("cells"), list):
            _add_cells(builder, whole["cells"])
            return builder.build(MARKDOWN, note)
        is_list = isinstance(whole, list)
        values = (
            [(f"item {n}", one) for n, one in enumerate(whole, 1)] if is_list else [("", whole)]
        )
    for place, value in values:
        if place:
            builder.mark(place)
        builder.add_block("\n".join(_lines(value)), is_markdown=False)
    return builder.build(TEXT, note)


def _has_values_by_line(text: str) -> bool:
    """Whether the first line is an object of its own and another follows, as databases export them under any name."""
    first, _, rest = text.strip().partition("\n")
    second = rest.lstrip()[:1]
    if not first.startswith("{") or second != "{":
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(text: str) -> Any:
    try:
        # Numbers as they are written: 1.10 is no 1.1 to who looks for it, and 1e999 is not infinite.
        return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=_keep_all)
    except ValueError as error:
        raise InvalidRequestError(NOT_JSON) from error
    except RecursionError as error:
        raise InvalidRequestError(TOO_DEEP) from error


def _keep_all(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object with all values of a name that comes again, where JSON's readers keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        found = {name: [] for name in found}
        for name, value in pairs:
            found[name].append(value)
    return found


def _lines(value: Any) -> Iterator[str]:
    """Yield a line for each value that holds no others, named by the way to it."""
    waiting: list[tuple[str, int, Any]] = [("", 0, value)]
    while waiting:
        name, depth, one = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidRequestError(TOO_DEEP)
        if isinstance(one, dict):
            below = [(f"{name}.{key}" if name else str(key), inner) for key, inner in one.items()]
        elif isinstance(one, list):
            below = [(name, inner) for inner in one]
        else:
            shown = one if isinstance(one, str) else json.dumps(one)
            yield f"{name}: {shown}" if name else shown
            continue
        waiting += [(key, depth + 1, inner) for key, inner in reversed(below)]


def _add_cells(builder: TextBuilder, cells: list[Any]) -> None:
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict):
            raise InvalidRequestError(NOT_JSON)
        words = cell.get("source", "")
        text = "".join(map(str, words)) if isinstance(words, list) else str(words)
        builder.mark(f"cell {number}")
        if cell.get("cell_type") == "code":
            builder.add_code(text)
            builder.add_code("\n".join(_outputs(cell.get("outputs"))))
        else:
            builder.add_markdown(leave_embedded(text))


def _outputs(outputs: Any) -> Iterator[str]:
    """Yield what a cell of code wrote, as text; pictures and pages are left where they are."""
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        words = output.get("text") or (data.get("text/plain") if isinstance(data, dict) else None)
        if words:
            text = "".join(map(str, words)) if isinstance(words, list) else str(words)
            yield text.strip("\n")
        if output.get("output_type") == "error":
            yield f"{output.get('ename', '')}: {output.get('evalue', '')}"
