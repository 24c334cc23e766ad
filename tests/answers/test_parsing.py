"""Types are read alike however many ask first."""

from __future__ import annotations

import subprocess
import sys

import pytest

RACE = """
import sys, threading
import msgspec
from engines import parsing

reads = {
    "convert": lambda kind: parsing.convert({"one": FIELDS}, kind),
    "decode": lambda kind: parsing.decode(msgspec.json.encode({"one": FIELDS}), kind),
}[sys.argv[1]]
FIELDS = {f"field{number}": 1 for number in range(40)}
sys.setswitchinterval(1e-6)
for _ in range(50):
    inner = msgspec.defstruct("Inner", [(name, "int | None | list[str]", None) for name in FIELDS])
    outer = msgspec.defstruct("Outer", [("one", inner)])
    barrier, read = threading.Barrier(4), []

    def ask():
        barrier.wait()
        read.append(reads(outer))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [msgspec.to_builtins(each) for each in read] == [{"one": FIELDS}] * 4
"""


@pytest.mark.parametrize("way", ["convert", "decode"])
def test_several_threads_may_be_the_first_to_ask_for_a_type(way: str) -> None:
    """Of its own accord msgspec ends the process there, so a web process in its first moment."""
    raced = subprocess.run(
        [sys.executable, "-c", RACE, way], capture_output=True, text=True, check=False
    )
    assert (raced.returncode, raced.stderr) == (0, "")
