"""How soon 200 open pages hear what a worker tells, by one web process; and what polling costs."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx2
from django.contrib.auth.models import User
from django.db import connection
from msgspec import json
from rich.console import Console
from rich.table import Table

from migrations_app.models import Plan, Step
from migrations_app.plans.time_left import Amount
from migrations_app.plans.transitions import claim_step
from migrations_app.states import PlanKind
from tests.benchmarks.sam_stack import SamStack
from tests.tokens import token_for
from tests.worker.plans import make_host, make_plan
from worker.steps.context import WorkerContext
from worker.steps.lease import StepLease

LISTENERS = 200
REPORTS = 40
PAUSE = 0.5
"""Between a worker's reports, as in earnest."""
MOST_SECONDS = 1.0
POLLS = 200
PATIENCE = 120.0


def run(console: Console) -> None:
    """Measure and print a table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SamStack(Path(folder), SAM_LISTENERS_AT_ONCE="0") as sam,
    ):
        address = sam.address.removesuffix("/v1")
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        console.print(asyncio.run(_measure(address)))


def _worker() -> tuple[Plan, WorkerContext, str]:
    """Return a running plan, a worker's hands on its step, and its person's token."""
    user = User.objects.create_user(f"bench-live-{time.monotonic_ns()}")
    # No host has this name, so no worker takes the step from us.
    plan = make_plan(PlanKind.VERIFY, make_host("bench-elsewhere"))
    Plan.objects.filter(pk=plan.pk).update(created_by=user)
    step = Step.objects.select_related("plan").get(plan=plan)
    claim = claim_step(step.pk, "bench")
    if claim is None:
        raise RuntimeError("another worker took the step")
    context = WorkerContext(step, claim, StepLease("bench", claim, time.monotonic()), None)
    return plan, context, token_for(user)


async def _measure(address: str) -> Table:
    plan, context, token = await asyncio.to_thread(_worker)
    headers = {"Authorization": f"Bearer {token}"}
    limits = httpx2.Limits(max_connections=LISTENERS + 10)
    heard: list[float] = []
    told: dict[float, float] = {}
    begun = time.perf_counter()
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE, limits=limits) as client:
        url = f"{address}/api/v1/plans/{plan.pk}"
        ready = [asyncio.Event() for _ in range(LISTENERS)]
        listeners = [
            asyncio.create_task(_listen(client, f"{url}/events", is_ready, told, heard))
            for is_ready in ready
        ]
        await _all(is_ready.wait() for is_ready in ready)
        opened = time.perf_counter() - begun
        connections = await asyncio.to_thread(_count_connections)
        for number in range(1, REPORTS + 1):
            told[float(number)] = time.perf_counter()
            await asyncio.to_thread(_report, context, number)
            await asyncio.sleep(PAUSE)
        await asyncio.sleep(MOST_SECONDS)
        polls = await _poll(client, f"{url}/progress")
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    return _table(heard, opened, connections, polls)


async def _all(many: Any) -> None:
    waits: list[Awaitable[Any]] = list(many)
    await asyncio.gather(*waits)


def _report(context: WorkerContext, number: int) -> None:
    context._reporter.tell(number / REPORTS, f"{number}", Amount(number, REPORTS, "texts"))
    connection.close()


async def _listen(
    client: httpx2.AsyncClient,
    url: str,
    is_ready: asyncio.Event,
    told: dict[float, float],
    heard: list[float],
) -> None:
    name = ""
    async with client.stream("GET", url) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
                if name == "plan":
                    is_ready.set()
            elif line.startswith("data: ") and name == "progress":
                done = json.decode(line.removeprefix("data: "))["now"]["done"]
                heard.append(time.perf_counter() - told[done])


async def _poll(client: httpx2.AsyncClient, url: str) -> list[float]:
    etag, seconds = "", []
    for _ in range(POLLS):
        begun = time.perf_counter()
        answer = await client.get(url, headers={"If-None-Match": etag} if etag else {})
        seconds.append(time.perf_counter() - begun)
        etag = answer.headers["etag"]
    return seconds


def _count_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (count,) = cursor.fetchone() or (0,)
    connection.close()
    return int(count)


def _table(heard: list[float], opened: float, connections: int, polls: list[float]) -> Table:
    table = Table("", "measured", "wanted", title=f"{LISTENERS} listeners of one web process")
    cuts = quantiles(heard, n=100)
    table.add_row("told → heard, median ms", f"{median(heard) * 1000:.0f}", "")
    table.add_row(
        "told → heard, p99 ms", f"{cuts[98] * 1000:.0f}", f"below {MOST_SECONDS * 1000:.0f}"
    )
    table.add_row("told → heard, worst ms", f"{max(heard) * 1000:.0f}", "")
    table.add_row("heard", f"{len(heard)} of {LISTENERS * REPORTS}", "all, but what came too fast")
    table.add_row("all streams opened, s", f"{opened:.1f}", "")
    table.add_row(
        "connections to the database, all processes", str(connections), "no more than without"
    )
    table.add_row("a poll, median ms", f"{median(polls) * 1000:.0f}", "")
    return table
