from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from deploy.demo.errors import DemoError
from deploy.demo.progress_view import StepWaitsError, follow
from deploy.demo.rest import Api, ApiProblemError
from tests.demo.plan_server import plan_server


def step(number: int, kind: str, status: str, progress: float = 0.0, **more: str) -> dict[str, Any]:
    row = {"position": number, "kind": kind, "status": status, "progress": progress}
    return {**row, "detail": "", "error": "", **more}


def plan(status: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"status": status, "steps": list(steps)}


def shown_lines(output: io.StringIO) -> list[str]:
    return [line.strip() for line in output.getvalue().splitlines()]


def test_without_a_terminal_each_change_is_one_line_and_the_last_answer_comes_back() -> None:
    looks = [
        plan("in_progress", step(0, "probe", "pending"), step(1, "settle", "pending")),
        plan(
            "in_progress",
            step(0, "probe", "in_progress", 0.3, detail="Half."),
            step(1, "settle", "pending"),
        ),
        plan(
            "in_progress",
            step(0, "probe", "in_progress", 0.4, detail="Half."),
            step(1, "settle", "pending"),
        ),
        plan(
            "completed",
            step(0, "probe", "completed", 0.4, detail="Proved."),
            step(1, "settle", "completed", 1.0),
        ),
    ]
    output = io.StringIO()

    with plan_server([(200, look) for look in looks]) as web, Api(web, "token") as api:
        ended = follow(Console(file=output, width=100), api, "1")

    assert ended == looks[-1]
    assert shown_lines(output) == [
        "probe          30%  ▸ Half.",
        "probe         100%  ✓ Proved.",
        "settle        100%  ✓ completed",
    ]


def test_on_a_terminal_each_step_has_a_bar() -> None:
    look = plan("completed", step(0, "probe", "completed", 1.0, detail="Proved [all]."))
    output = io.StringIO()

    with plan_server([(200, look)]) as web, Api(web, "token") as api:
        follow(Console(file=output, width=100, force_terminal=True), api, "1")

    assert "probe" in output.getvalue()
    assert "100%" in output.getvalue()
    assert "Proved [all]." in output.getvalue()


def test_a_step_that_waits_for_an_operator_ends_the_watch_with_its_sentence() -> None:
    look = plan("in_progress", step(0, "probe", "needs_operator", error="The disk is full."))

    with (
        plan_server([(200, look)]) as web,
        Api(web, "token") as api,
        pytest.raises(StepWaitsError, match=r"The step probe gave up: The disk is full\."),
    ):
        follow(Console(file=io.StringIO()), api, "1")


def test_a_problem_is_raised_with_status_code_and_sentence() -> None:
    problem = {"code": "conflict", "detail": "Another plan is in progress."}

    with (
        plan_server([(409, problem)]) as web,
        Api(web, "token") as api,
        pytest.raises(ApiProblemError, match=r"Another plan is in progress\.") as raised,
    ):
        api.get("plans")

    assert (raised.value.status, raised.value.problem) == (409, problem)


def test_a_server_that_is_gone_is_an_error_with_a_sentence() -> None:
    with plan_server([(200, {})]) as web:
        pass

    with Api(web, "token") as api, pytest.raises(DemoError, match="did not answer GET plans"):
        api.get("plans")
