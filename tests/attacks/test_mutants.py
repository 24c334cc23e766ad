"""Models, adapters and archives changed at random: refused in a sentence, or used; nobody else notices.

``--mutant SEED`` tries one again; a failure names the seeds of what did not hold.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engines.archive import MasterKeyRing, verify_archive
from engines.exceptions import EngineError, InvalidRequestError, SamError, UnsafeModelFileError
from engines.gguf.reader import read_header
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.specs import AdapterSpec, EngineSpec
from tests.archive.conftest import Sealed, ring, seal
from tests.attacks.mutants import mutant
from tests.attacks.plugin import AttackSize, Tally

__all__ = ["ring", "seal"]

pytestmark = [pytest.mark.attack, pytest.mark.timeout(3600)]

OPTIONS = LlamaOptions(
    load_seconds=120.0, request_seconds=120.0, load_cpu_seconds=30, memory_bytes=2 * 1024**3
)
LONGEST_SENTENCE = 1500
SPARE_FILES = 8


def require_sentence(error: SamError) -> str:
    sentence = str(error)
    assert sentence.endswith((".", "!", "?")), sentence
    assert sentence.isprintable()
    assert len(sentence) < LONGEST_SENTENCE
    return type(error).__name__


class Mutants:
    """Tries mutants one after another, and tells at the end which did not hold."""

    def __init__(self, kind: str, whole: Path, tally: Tally) -> None:
        self._kind = kind
        self._data = whole.read_bytes()
        self._head = read_header(whole).data_offset if whole.suffix == ".gguf" else 0
        self._tally = tally
        self.outcomes: Counter[str] = Counter()

    def try_all(self, seeds: list[int], path: Path, outcome: Callable[[Path], str]) -> None:
        """Write each mutant to ``path`` and have ``outcome`` say what becomes of it."""
        broken = {}
        for seed in seeds:
            path.write_bytes(mutant(self._data, seed, head=self._head))
            try:
                self.outcomes[outcome(path)] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, its seed is told
                broken[seed] = repr(error)
            self._tally.add(f"{self._kind} mutants")
        for name, count in self.outcomes.items():
            self._tally.add(f"{self._kind} mutants: {name}", count)
        assert broken == {}, f"try one again with --mutant SEED: {broken}"


def held() -> tuple[int, int]:
    """Open files and child processes of this process."""
    own = psutil.Process()
    return own.num_fds(), len(own.children(recursive=True))


@pytest.fixture
def neighbour(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    """Somebody else's engine, which must not notice."""
    spec = EngineSpec("neighbour", "Neighbour", str(tiny_llama), threads=1)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        yield engine


def said(engine: LlamaCppEngine) -> tuple[object, str]:
    pid = engine.get_engine_info()["pid"]
    return pid, engine.generate("Stones", temperature=0, seed=1, max_tokens=8)


def outcome_of_model(path: Path) -> str:
    spec = EngineSpec("mutant", "Mutant", str(path), threads=1)
    with LlamaCppEngine.from_spec(spec, OPTIONS) as engine:
        try:
            engine.load_model()
            engine.generate("Hello", max_tokens=4, temperature=0)
        except SamError as error:
            return require_sentence(error)
    return "answers"


def test_a_mutated_model_costs_its_own_child_at_most(
    tiny_llama: Path,
    tmp_path: Path,
    neighbour: LlamaCppEngine,
    attack_size: AttackSize,
    tally: Tally,
) -> None:
    before, held_before = said(neighbour), held()

    seeds = attack_size.mutants(part=16, whole=500)
    Mutants("GGUF", tiny_llama, tally).try_all(seeds, tmp_path / "mutant.gguf", outcome_of_model)

    assert said(neighbour) == before
    files, children = held()
    assert files <= held_before[0] + SPARE_FILES
    assert children == held_before[1]


def test_a_mutated_adapter_is_refused_or_heard_by_its_owner_alone(
    tiny_llama: Path,
    tiny_lora: Path,
    tmp_path: Path,
    neighbour: LlamaCppEngine,
    attack_size: AttackSize,
    tally: Tally,
) -> None:
    _, alone = said(neighbour)
    held_before = held()

    def outcome(path: Path) -> str:
        try:
            with neighbour.with_adapters([AdapterSpec(str(path))]) as voice:
                voice.generate("Stones", temperature=0, max_tokens=4)
        except (SamError, InvalidRequestError, UnsafeModelFileError, EngineError) as error:
            return require_sentence(error)
        return "heard"

    seeds = attack_size.mutants(part=16, whole=300)
    Mutants("adapter", tiny_lora, tally).try_all(seeds, tmp_path / "mutant.gguf", outcome)

    # A child that an adapter ended was started again.
    assert said(neighbour)[1] == alone
    files, children = held()
    assert files <= held_before[0] + SPARE_FILES
    assert children == held_before[1]


def test_a_mutated_archive_is_never_read_as_another(
    seal: Callable[..., Sealed],
    ring: MasterKeyRing,
    tmp_path: Path,
    attack_size: AttackSize,
    tally: Tally,
) -> None:
    sealed = seal(contents={"manifest.json": b"{}", "rows.jsonl": os.urandom(5000), "empty": b""})
    original = sealed.path.read_bytes()

    def outcome(path: Path) -> str:
        if path.read_bytes() == original:
            return "unchanged"
        try:
            verify_archive(path, sealed.summary.wrapped_key, ring)
        except SamError as error:
            return require_sentence(error)
        raise AssertionError("it was read")

    seeds = attack_size.mutants(part=60, whole=300)
    Mutants("archive", sealed.path, tally).try_all(seeds, tmp_path / "mutant.sam", outcome)
