"""How much is attacked, with which seed, and the table of what was tried (a plugin of pytest)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

PART, WHOLE = "part", "whole"
SEED = 20_261_129
TRIED = "attacks tried"
"""The property of a report under which a test tells what it tried."""


@dataclass(frozen=True)
class AttackSize:
    """What one run tries: ``part`` of it with every change, ``whole`` when attacks are asked for."""

    is_whole: bool
    seed: int
    only: int | None
    """One mutant's seed, to try it alone."""

    def choose(self, *, part: int, whole: int) -> int:
        return whole if self.is_whole else part

    def mutants(self, *, part: int, whole: int) -> list[int]:
        """The seeds of the mutants to try."""
        if self.only is not None:
            return [self.only]
        return [self.seed + number for number in range(self.choose(part=part, whole=whole))]


@dataclass(frozen=True)
class Tally:
    """Counts what a test tries, for the table at the end."""

    counts: dict[str, int]

    def add(self, what: str, count: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + count


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("attacks")
    group.addoption("--attacks", choices=[PART, WHOLE], default=PART, help="how much is attacked")
    group.addoption("--attack-seed", type=int, default=SEED, help="of everything that is drawn")
    group.addoption("--mutant", type=int, help="the seed of one mutant, to try it alone")


@pytest.fixture(scope="session")
def attack_size(request: pytest.FixtureRequest) -> AttackSize:
    option = request.config.getoption
    return AttackSize(option("--attacks") == WHOLE, option("--attack-seed"), option("--mutant"))


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """What this test tried; told whether it passes or not."""
    counts: dict[str, int] = {}
    request.node.user_properties.append((TRIED, counts))
    return Tally(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table: what was tried, how often, and whether it held."""
    tried: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            counts: dict[str, int] = dict(getattr(report, "user_properties", ())).get(TRIED, {})
            if report.when == "call":
                tried.update(counts)
                broken.update(dict.fromkeys(counts, int(outcome == "failed")))
    if not tried:
        return
    seed = terminalreporter.config.getoption("--attack-seed")
    terminalreporter.section(f"attacks; seed {seed}, mutants {seed}, {seed + 1}, …")
    width = max(map(len, tried))
    for what, count in sorted(tried.items()):
        told = f"{broken[what]} tests FAILED" if broken[what] else "held"
        terminalreporter.write_line(f"{what:{width}}  {count:>7}  {told}")
