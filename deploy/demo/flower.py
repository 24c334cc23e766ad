"""What Flower's own API says about the tasks of a plan."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import httpx2

from deploy.demo.errors import DemoError
from migrations_app.models import Step
from migrations_app.states import task_name
from samproject.supervisor.roster import FLOWER_USER

_PATIENCE_SECONDS = 20.0
"""Events reach Flower a little after the database."""

_LOOK_SECONDS = 0.5
_NUMBER = re.compile(r"\d+")


def task_states(flower: str, password_file: Path, plan_id: str) -> dict[str, str]:
    """Return task name → state for a plan's steps, waiting a moment for the last events."""
    steps = {
        str(step.pk): task_name(step.plan.kind, step.kind)
        for step in Step.objects.filter(plan_id=plan_id).select_related("plan").order_by("position")
    }
    pause = threading.Event()
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        seen = _seen(flower, password_file.read_text().strip(), steps)
        if set(seen.values()) == {"SUCCESS"} or time.monotonic() > end:
            return seen
        pause.wait(_LOOK_SECONDS)


def _seen(flower: str, password: str, steps: dict[str, str]) -> dict[str, str]:
    """Fold the messages of a step: one that ended well counts, a doubled wake-up does not."""
    states = dict.fromkeys(steps.values(), "not seen")
    for task in _tasks(flower, password):
        number = _NUMBER.search(str(task["args"]))
        name = steps.get(number[0], "") if number else ""
        if name and name == task["name"] and states[name] != "SUCCESS":
            states[name] = str(task["state"])
    return states


def _tasks(flower: str, password: str) -> list[dict[str, object]]:
    try:
        answer = httpx2.get(
            f"{flower}/api/tasks", auth=(FLOWER_USER, password), trust_env=False
        ).raise_for_status()
    except httpx2.HTTPError as error:
        raise DemoError(f"Flower's API did not answer: {error}.") from error
    tasks: dict[str, dict[str, object]] = answer.json()
    return list(tasks.values())
