"""The fault matrix as a page: made from the cases that the tests run, so that it says no more than they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from migrations_app.states import PlanKind
from tests.faults.harness import VICTIMS, Case, quick_selection, slow_selection
from tests.faults.protocol import FAULTS, ProtocolCase, protocol_cases
from tests.faults.test_plan_kinds import CASES as OTHER_KINDS

PAGE = "docs/fault-matrix.md"
HEAD = """\
# The fault matrix

What happens to a plan of each kind when something fails at one of its boundaries: it ends as it would have, and every effect is there
once; where real processes die, `check_invariants` finds nothing either. Made by `.venv/bin/python -m tests.faults` from the tests' own tables; a test holds it to them.

`bash deploy/test.sh all` runs every case, `bash deploy/test.sh` the marked ones (**bold**), `bash deploy/test.sh chaos` mixes all of it at random.
Boundaries: `queued` (the message is there), `claimed`, `half` (in the middle of the work), `before_commit`, `after`.

The chaos run's last line, on 2026-11-29; the failed plans are those whose new embedder understood the texts worse, which stops a plan:
`GOOD: seed 20261, 200 plans of 50 people, 88 faults in 738 s; 16 cancelled, 163 completed, 5 failed, 16 rolled_back; 0 have not ended, 0 findings of the checker, 0.00% recomputed (5245 texts embedded, 5147 needed, 98 cut short by kills).`

"""
PROCESSES = """
## Processes and servers

Real workers under their supervisor, real engines, PostgreSQL and Redis; `SIGKILL` at exactly that point
(`tests/faults/test_matrix.py`, `test_plan_kinds.py`). Compared with an undisturbed run: every row, every text, every vector.

"""
PROTOCOL = """
## The protocol

The worker's own runner and the real transitions on PostgreSQL; the steps are played, so that each case takes milliseconds
(`tests/faults/test_protocol.py`). Frozen workers, lost and doubled messages, drains and lost connections in real Celery workers: `tests/worker/test_workers.py`.
Every order of a few moves: `tests/plans/states/test_schedules.py`; random long ones: `test_machine.py`. Both must find four mutants ([why so](decisions/the-protocol-is-tested-as-it-is.md)).

"""


def process_cases() -> list[Case]:
    """Return the cases that kill real processes."""
    return [*quick_selection(), *slow_selection(), *OTHER_KINDS]


def ordinary_cases() -> list[Case | ProtocolCase]:
    """Return what runs with every change."""
    chosen = [case for case in protocol_cases() if case.is_ordinary]
    return [*quick_selection(), *chosen]


def page() -> str:
    """Return the page's text."""
    protocol, processes = protocol_cases(), process_cases()
    count = (
        f"{len(protocol) + len(processes)} cases, {len(ordinary_cases())} of them in the ordinary "
        "run.\n"
    )
    kills = _table("killed", VICTIMS, _kills(processes))
    faults = _table("fault", tuple(FAULTS), {(c.fault, c.kind): [_cell(c)] for c in protocol})
    return HEAD + count + PROCESSES + kills + PROTOCOL + faults


def _kills(cases: Iterable[Case]) -> dict[tuple[str, PlanKind], list[str]]:
    """Return by victim and kind at which steps and boundaries it is killed."""
    quick = set(quick_selection())
    found: dict[tuple[str, PlanKind], list[str]] = {}
    for case in dict.fromkeys(cases):
        place = f"{case.step} {case.point}"
        shown = f"**{place}**" if case in quick else place
        found.setdefault((case.victim, case.kind), []).append(shown)
    return found


def _cell(case: ProtocolCase) -> str:
    place = f"{case.step} {case.point}"
    return f"**{place}**" if case.is_ordinary else place


def _table(corner: str, rows: tuple[str, ...], cells: dict[tuple[str, PlanKind], list[str]]) -> str:
    kinds = list(PlanKind)
    counts = Counter(kind for (_, kind), places in cells.items() for _ in places)
    lines = [
        f"| {corner} | " + " | ".join(f"{kind} ({counts[kind]})" for kind in kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for row in rows:
        filled = ["<br>".join(cells.get((row, kind), [])) or "—" for kind in kinds]
        lines.append(f"| {row.replace('_', ' ')} | " + " | ".join(filled) + " |")
    return "\n".join(lines) + "\n"
