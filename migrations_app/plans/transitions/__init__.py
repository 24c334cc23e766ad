"""The only writer of a status. Every move locks step, then plan; checks the table of moves; leaves an event.

A holder proves itself with a ``Claim``: step, fence and owner. Whoever lost the fence changes nothing.
"""

from __future__ import annotations

from migrations_app.plans.transitions.claims import (
    MAX_ATTEMPTS,
    MAX_FAILURES,
    CancelAskedError,
    Claim,
    LeaseLostError,
    Outcome,
    cancel_step,
    claim_step,
    fail_step,
    finish_step,
    note_waiting,
    release_step,
    yield_step,
)
from migrations_app.plans.transitions.host_room import (
    call_ready,
    call_waiting,
    is_waited_for,
    lock_room,
)
from migrations_app.plans.transitions.moves import describe_left_out, is_held, is_switched
from migrations_app.plans.transitions.pauses import request_pause, resume_plan
from migrations_app.plans.transitions.pending import (
    OPTIONS_OF,
    PlanChange,
    change_plan,
    confirm_plan,
    drop_unconfirmed,
    withdraw_confirmation,
)
from migrations_app.plans.transitions.requests import (
    ask_operator,
    complete_with_warning,
    mark_rolled_back,
    move_plan,
    request_cancel,
    retry_step,
    start_plan,
)

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_FAILURES",
    "OPTIONS_OF",
    "CancelAskedError",
    "Claim",
    "LeaseLostError",
    "Outcome",
    "PlanChange",
    "ask_operator",
    "call_ready",
    "call_waiting",
    "cancel_step",
    "change_plan",
    "claim_step",
    "complete_with_warning",
    "confirm_plan",
    "describe_left_out",
    "drop_unconfirmed",
    "fail_step",
    "finish_step",
    "is_held",
    "is_switched",
    "is_waited_for",
    "lock_room",
    "mark_rolled_back",
    "move_plan",
    "note_waiting",
    "release_step",
    "request_cancel",
    "request_pause",
    "resume_plan",
    "retry_step",
    "start_plan",
    "withdraw_confirmation",
    "yield_step",
]
