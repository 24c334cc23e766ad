"""Building the file of a large base: rows spilled to a file, lists found, written, and proved on themselves.

Memory is bounded: the rows are in a file that is mapped, centres are found on a sample, and beside that a few
bytes a row are held. A build that is killed leaves scratch files and nothing else; it is repeated as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.files.durable import BLOCK, durable_file
from engines.files.private import private_folder
from engines.vectors.approximate_file import (
    ApproximateShape,
    Measured,
    header_of,
)
from engines.vectors.approximate_index import ApproximateIndex, map_file
from engines.vectors.clusters import BLOCK_ROWS, Layout, Rows, lay_out, spread_evenly, unit_blocks
from engines.vectors.hits import SPARE
from engines.vectors.index_file import (
    HashingFile,
    IndexFile,
    check_ids,
    check_shape,
    unit_rows,
    write_index,
)

PROMISED_RECALL = 0.99
"""Share of the ten nearest passages that a search of an approximate file finds."""
WANTED_RECALL = 0.995
"""Asked of the sample, so that what the sample does not show still leaves what is promised."""
NEAREST = 10
SAMPLE = 200
"""Rows of which two questions each are made."""
DRAWN = 0.5
"""How far a question between passages is drawn to the other one."""
FIRST_PROBES = 4
SAME_SCORE = 1e-5
"""More than single precision moves a cosine."""

Batches = Iterable[NDArray[np.floating]]
Checkpoint = Callable[[], None]


def build_index(
    path: Path,
    ids: NDArray[np.int64],
    batches: Batches,
    *,
    dimension: int,
    approximate_from: int,
    checkpoint: Checkpoint,
) -> IndexFile:
    """Write the file of these rows: exact, or approximate from so many rows on (0: never).

    A base whose rows cannot be found well enough in lists gets an exact file too. Arguments and errors are
    those of ``write_index``; ``checkpoint`` may raise to stop, and nothing is left then.
    """
    if not approximate_from or len(ids) < approximate_from:
        return write_index(path, ids, batches, dimension=dimension)
    check_shape(len(ids), dimension)
    check_ids(ids)
    spilled, lists = path.with_suffix(".rows"), path.with_suffix(".lists")
    try:
        rows = _spill(spilled, batches, (len(ids), dimension))
        file = _write_approximate(path, ids, rows, lists, checkpoint)
        # Compressed to eight bits they are too much alike: then each is compared as it is.
        return file or write_index(path, ids, _exact(rows, checkpoint), dimension=dimension)
    finally:
        spilled.unlink(missing_ok=True)
        lists.unlink(missing_ok=True)


def _spill(path: Path, batches: Batches, shape: tuple[int, int]) -> Rows:
    """Keep the rows in a file, so that the database is read once; returns them mapped."""
    written = 0
    private_folder(path.parent)
    with path.open("xb") as file:
        for batch in batches:
            if batch.ndim != 2 or batch.shape[1] != shape[1]:  # noqa: PLR2004 - a matrix
                raise IndexFileError(
                    f"A batch of vectors has the shape {batch.shape}; the index takes (rows, {shape[1]})."
                )
            written += len(batch)
            file.write(batch.astype("<f2").tobytes())
    if written != shape[0]:
        raise IndexFileError(
            f"There are {shape[0]} ids but {written} vectors; build the index again."
        )
    return np.memmap(path, "<f2", "r", shape=shape)


def _exact(rows: Rows, checkpoint: Checkpoint) -> Batches:
    for _, block in unit_blocks(rows):
        checkpoint()
        yield block


def _write_approximate(
    path: Path, ids: NDArray[np.int64], rows: Rows, scratch: Path, checkpoint: Checkpoint
) -> IndexFile | None:
    layout = lay_out(rows, checkpoint)
    shape = ApproximateShape(len(rows), rows.shape[1], len(layout.centres))
    with scratch.open("xb") as file:
        # Whatever is measured is put in its place below.
        file.write(header_of(shape, Measured(1, 0, 0.0)))
        _write_body(file, ids, rows, layout, checkpoint)
    with scratch.open("rb") as written:
        measured = _measure(map_file(written), ids, rows, checkpoint)
    if measured is None:
        return None
    with scratch.open("rb") as body, durable_file(path) as file:
        out = HashingFile(file)
        header = header_of(shape, measured)
        out.write(header)
        body.seek(len(header))
        while block := body.read(BLOCK):
            out.write(block)
    return IndexFile(path, out.digest.hexdigest(), shape.count, shape.dimension, measured.recall)


def _write_body(
    file: BinaryIO,
    ids: NDArray[np.int64],
    rows: Rows,
    layout: Layout,
    checkpoint: Checkpoint,
) -> None:
    shape = ApproximateShape(len(rows), rows.shape[1], len(layout.centres))
    sizes = np.bincount(layout.lists, minlength=shape.lists)
    file.write(shape.before_centres() + layout.centres.astype("<f4").tobytes())
    file.write(shape.between() + layout.bounds.as_bytes())
    file.write(shape.before_sizes() + sizes.astype("<u8").tobytes())
    # Stable, so that the ids of a list ascend as all do.
    members = np.argsort(layout.lists, kind="stable")
    for of_list in np.split(members, np.cumsum(sizes)[:-1]):
        checkpoint()
        for at in range(0, len(of_list), BLOCK_ROWS):
            block = unit_rows(rows[of_list[at : at + BLOCK_ROWS]])
            file.write(layout.bounds.compress(block).tobytes())
        file.write(np.ascontiguousarray(ids[of_list], "<i8").tobytes())


def _measure(
    index: ApproximateIndex, ids: NDArray[np.int64], rows: Rows, checkpoint: Checkpoint
) -> Measured | None:
    """Return the fewest lists, in steps, with which enough is found; None when all are not enough."""
    asked = spread_evenly(len(rows), SAMPLE)
    passages = unit_rows(rows[asked])
    # No question is a passage: people's lie between those that answer them and others.
    between = unit_rows(passages + DRAWN * np.roll(passages, 1, axis=0))
    groups = [
        _Group(passages, ids[asked], _worst_of(NEAREST + 1, passages, rows, checkpoint)),
        _Group(between, ids[asked] * 0 - 1, _worst_of(NEAREST, between, rows, checkpoint)),
    ]
    probes = min(FIRST_PROBES, index.lists)
    while True:
        recall = min(_recall(group, index, ids, rows, probes, checkpoint) for group in groups)
        if recall >= WANTED_RECALL:
            return Measured(probes, 2 * len(asked), recall)
        if probes == index.lists:
            return Measured(probes, 2 * len(asked), recall) if recall >= PROMISED_RECALL else None
        probes = min(probes + probes // 2, index.lists)


@dataclass(frozen=True, slots=True)
class _Group:
    """Questions, whose own row each is and is not to be found, and how near the tenth nearest row is."""

    questions: NDArray[np.float32]
    own: NDArray[np.int64]
    needed: NDArray[np.float32]


def _recall(
    group: _Group,
    index: ApproximateIndex,
    ids: NDArray[np.int64],
    rows: Rows,
    probes: int,
    checkpoint: Checkpoint,
) -> float:
    found = 0
    for question, own, needed in zip(group.questions, group.own, group.needed, strict=True):
        checkpoint()
        candidates = index.search(question, NEAREST + SPARE, probes=probes).ids
        others = np.searchsorted(ids, candidates[candidates != own])
        exact = np.sort(unit_rows(rows[others]) @ question)[::-1][:NEAREST]
        # By score: of texts that are alike any may be the tenth.
        found += int((exact >= needed - SAME_SCORE).sum())
    return min(found / (len(group.questions) * NEAREST), 1.0)


def _worst_of(
    nearest: int, questions: NDArray[np.float32], rows: Rows, checkpoint: Checkpoint
) -> NDArray[np.float32]:
    """Return the exact score of each question's ``nearest``-th row."""
    best = np.full((len(questions), nearest), -np.inf, np.float32)
    for _, block in unit_blocks(rows):
        checkpoint()
        together = np.concatenate([best, questions @ block.T], axis=1)
        best = -np.partition(-together, nearest - 1, axis=1)[:, :nearest]
    worst: NDArray[np.float32] = best.min(axis=1)
    return worst
