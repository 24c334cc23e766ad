"""The rows of mass moves."""

from __future__ import annotations

from tests.doors.door import STAFF, Door

MOVES, MOVE = "migrations_app.moves", "migrations_app.massmove"
WHO = ("auth.user move_people", "engines.enginepreference move_people")

MOVE_DOORS: dict[str, Door] = {
    f"{MOVES}.mass_moves.start_mass_move": Door(
        ("api:mass-move-list",), ("move start",), WHO, not_meant={"page": STAFF}
    ),
    f"{MOVES}.mass_moves.cancel_mass_move": Door(
        ("api:mass-move-cancel",), ("move cancel",), (MOVE,), not_meant={"page": STAFF}
    ),
    f"{MOVES}.mass_moves.retry_mass_move": Door(
        ("api:mass-move-retry",), ("move retry",), (MOVE,), not_meant={"page": STAFF}
    ),
    f"{MOVES}.meaning.preview_moves": Door(
        ("api:mass-move-preview",), ("move preview",), WHO, not_meant={"page": STAFF}
    ),
}
MOVE_INNER: dict[str, str] = {
    f"{MOVES}.mass_moves.require_target": "It reads the name of the engine that a preview is about.",
    f"{MOVES}.meaning.sum_up": "It adds up what a preview said of each.",
}
