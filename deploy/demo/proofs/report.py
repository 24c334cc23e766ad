"""The proofs as tables; each line is something that was measured in this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

PHASES = ("before", "during", "after", "rolled back")


@dataclass(frozen=True, slots=True)
class Proof:
    """One claim, what was measured for it, and whether it holds."""

    claim: str
    measured: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Phased:
    """One claim measured in each phase: text and verdict by the names in ``PHASES``."""

    claim: str
    cells: dict[str, tuple[str, bool]]

    @property
    def holds(self) -> bool:
        return all(holds for _, holds in self.cells.values())


def print_phases(console: Console, rows: Sequence[Phased]) -> None:
    """Show the same facts before, during and after the migration, and after the rollback."""
    table = Table(title="The same questions, before, during, after and back again", expand=False)
    table.add_column("Ada asks, and sees", max_width=34)
    for phase in PHASES:
        table.add_column(phase, max_width=24)
    for row in rows:
        cells = (row.cells.get(phase) for phase in PHASES)
        table.add_row(escape(row.claim), *(_cell(cell) for cell in cells))
    console.print(table)


def print_proofs(console: Console, proofs: Sequence[Proof]) -> None:
    """Show the remaining claims, one a line."""
    table = Table(title="Proofs", expand=False)
    table.add_column("")
    table.add_column("Claim", max_width=44)
    table.add_column("Measured", max_width=62)
    for proof in proofs:
        table.add_row(_mark(holds=proof.holds), escape(proof.claim), escape(proof.measured))
    console.print(table)


def _cell(cell: tuple[str, bool] | None) -> str:
    if cell is None:
        return ""
    text, holds = cell
    return f"{_mark(holds=holds)} {escape(text)}"


def _mark(*, holds: bool) -> str:
    return "[green]✓[/]" if holds else "[bold red]✗[/]"
