"""Files of which somebody could compute the digest: nothing in them may crash a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.vectors import build_index
from tests.vectors.conftest import some_vectors

_OPEN_MUTANTS = """
import hashlib, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from engines.exceptions import IndexFileError
from engines.vectors import open_index

original, scratch = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
head = int(sys.argv[3])
chance = np.random.default_rng(7)
refused = answered = 0
for number in range(240):
    mutant = bytearray(original)
    reach = head if number % 2 else len(mutant)
    for _ in range(chance.integers(1, 9)):
        mutant[chance.integers(reach)] = chance.integers(256)
    if number % 8 == 0:
        del mutant[chance.integers(len(mutant)):]
    scratch.write_bytes(mutant)
    digest = hashlib.sha256(mutant).hexdigest()
    try:
        index = open_index(scratch, sha256=digest, count=60, dimension=8)
        with np.errstate(all="ignore"):
            index.search(np.ones(8, np.float32), 5, exclude=np.array([8]))
            index.search(np.ones(8, np.float32), 60)
            index.holds(index.ids()[:5], np.ones((5, 8), np.float32))
        answered += 1
    except IndexFileError:
        refused += 1
print(refused, answered)
"""


@pytest.mark.parametrize(("approximate_from", "head"), [(0, 90), (1, 170)])
def test_mutants_with_a_right_checksum_never_crash_the_process(
    tmp_path: Path, approximate_from: int, head: int
) -> None:
    file = build_index(
        tmp_path / "index",
        np.arange(60) * 3 + 5,
        [some_vectors(60, 8)],
        dimension=8,
        approximate_from=approximate_from,
        checkpoint=lambda: None,
    )
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_MUTANTS, file.path, tmp_path / "scratch", str(head)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    refused, answered = map(int, done.stdout.split())
    assert refused + answered == 240
    assert refused > 120
    assert answered > 0
