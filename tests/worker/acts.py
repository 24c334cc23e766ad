"""A step ``verify`` that does what its plan's preview says; loaded by the workers of the tests.

The acts leave lines in a journal, so that a test can count what really ran.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from engines.exceptions import TransientTransferError
from migrations_app.plans.transitions import Outcome
from migrations_app.steps import HANDLERS
from migrations_app.steps.base import StepContext


def act(ctx: StepContext) -> Outcome:
    """Write a line; then, as asked, wait with or without checkpoints until the test says go."""
    orders = ctx.plan.preview
    folder = Path(orders["folder"])
    note(folder, f"begin {ctx.claim.fence}")
    if orders["act"] == "fail once" and ctx.claim.fence == 1:
        raise TransientTransferError("The line went dead.")
    pause = threading.Event()
    while orders["act"] != "quick" and not (folder / "go").exists():
        pause.wait(0.05)
        if orders["act"] == "wait":
            ctx.checkpoint()
    return Outcome(
        f"Done under fence {ctx.claim.fence}.",
        effects=lambda: note(folder, f"effect {ctx.claim.fence}"),
    )


def note(folder: Path, line: str) -> None:
    with (folder / "journal").open("a") as journal:
        journal.write(f"{line} {os.getpid()}\n")


HANDLERS["verify"] = act
