"""What each step does, by its kind; every handler may run twice, be killed anywhere, or come late."""

from __future__ import annotations

from collections.abc import Callable

from migrations_app.plans.transitions import Outcome
from migrations_app.steps.backup import back_up
from migrations_app.steps.base import StepContext
from migrations_app.steps.fetch import delete_model, download_model, fetch_engine, verify_model
from migrations_app.steps.probe import probe, probe_back
from migrations_app.steps.re_embed import catch_up, re_embed
from migrations_app.steps.restore import index_anew, put_back, read_archive
from migrations_app.steps.settle import resettle, settle
from migrations_app.steps.switch import cut_back, cut_over

StepHandler = Callable[[StepContext], Outcome]

HANDLERS: dict[str, StepHandler] = {
    "fetch_engine": fetch_engine,
    "back_up": back_up,
    "re_embed": re_embed,
    "probe": probe,
    "cut_over": cut_over,
    "settle": settle,
    "catch_up": catch_up,
    "probe_back": probe_back,
    "cut_back": cut_back,
    "resettle": resettle,
    "download": download_model,
    "verify": verify_model,
    "delete": delete_model,
    "read_archive": read_archive,
    "put_back": put_back,
    "index_anew": index_anew,
}
