"""How long the switch of a person takes, and whether more knowledge makes it slower."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import psycopg
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from engines.models import (
    CatalogModel,
    Chunk,
    Embedding,
    Fingerprint,
    Host,
    KnowledgeBase,
    ModelRevision,
    VectorIndex,
)
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from migrations_app.models import IndexSwitch, Plan, Step
from migrations_app.plans.transitions import Claim, Outcome, finish_step
from migrations_app.states import PlanKind, PlanStatus, StepStatus
from migrations_app.steps.switch import switch_back_effects, switch_effects
from samproject.supervisor.roles import OWNER

DIMENSION = 384
TAIL = 20
"""Chunks written after the index file: what the switch has to look at."""
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of the switch's whole transaction."""

    chunks: int
    median_ms: float
    worst_ms: float


def run(console: Console) -> None:
    """Measure and print a table."""
    timings = measure()
    table = Table("chunks", "median ms", "worst ms", title="The switch, its whole transaction")
    for timing in timings:
        table.add_row(f"{timing.chunks:,}", f"{timing.median_ms:.1f}", f"{timing.worst_ms:.1f}")
    console.print(table)
    few, many = timings[0], timings[-1]
    ratio = many.median_ms / few.median_ms
    console.print(f"{many.chunks:,} against {few.chunks:,} chunks: {ratio:.2f} times")


def measure(sizes: tuple[int, ...] = (1_000, 20_000)) -> list[Timing]:
    """Time the switch of persons whose knowledge differs in size, turn by turn."""
    people = {size: person_with_knowledge(size) for size in sizes}
    let_the_server_settle()
    let_the_collector_settle()
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(ROUNDS):
        for size, user in people.items():
            times[size].append(switch_once(user))
    return [Timing(size, median(ms), max(ms)) for size, ms in times.items()]


def let_the_server_settle() -> None:
    """Do now what PostgreSQL would do about so many new rows in the middle of a round.

    Its autovacuum comes whenever it is due, and reads and writes all of them beside one switch.
    """
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    place = connection.get_connection_params()
    # The role of SAM may not; the owner of the server, who is whoever runs this, may.
    where = {"host": place["host"], "port": place["port"], "user": OWNER, "dbname": "postgres"}
    with psycopg.connect(**where, autocommit=True) as owner:
        owner.execute("CHECKPOINT")


def let_the_collector_settle() -> None:
    """Keep what making people left behind out of Python's full collections: one takes 75 ms and more.

    A worker that switches has no such heap; without this, one round of fifteen measures the collector.
    """
    gc.collect()
    gc.freeze()


def engine(name: str) -> tuple[ModelRevision, Fingerprint]:
    """Return an engine of this name that embeds, and its space."""
    model, _ = CatalogModel.objects.get_or_create(
        model_id=name,
        defaults={
            "display_name": name,
            "model_family": name,
            "huggingface_repo": f"bench/{name}",
            "filename": "model.gguf",
        },
    )
    digest = name.encode().hex().ljust(64, "0")[:64]
    revision, _ = ModelRevision.objects.get_or_create(
        model=model, commit=digest[:40], defaults={"sha256": digest, "file_size": 1}
    )
    facts = {"dimension": DIMENSION, "max_tokens": 512}
    fingerprint, _ = Fingerprint.objects.get_or_create(
        digest=digest, defaults={"revision": revision, "facts": facts}
    )
    return revision, fingerprint


def person_with_knowledge(chunks: int) -> User:
    """Make a person whose base is embedded in two spaces and lives in the first."""
    user = User.objects.create_user(f"bench-{chunks}-{time.monotonic_ns()}")
    base = KnowledgeBase.objects.create(owner=user, name="Knowledge", write_seq=chunks)
    hashes = [np.random.default_rng([chunks, n]).bytes(32) for n in range(chunks)]
    Chunk.objects.bulk_create(
        [
            Chunk(base=base, position=n, text=f"text {n}", content_hash=key, created_seq=n + 1)
            for n, key in enumerate(hashes)
        ],
        batch_size=2_000,
    )
    for name in ("bench-a", "bench-b"):
        _, fingerprint = engine(name)
        _embed(fingerprint, hashes)
        VectorIndex.objects.create(
            base=base, fingerprint=fingerprint, file_key="index/none", base_seq=chunks - TAIL
        )
    base.live_index = base.indexes.order_by("pk")[0]
    base.save(update_fields=["live_index"])
    return user


def _embed(fingerprint: Fingerprint, hashes: list[bytes]) -> None:
    vector = np.ones(DIMENSION, dtype=np.float16).tobytes()
    Embedding.objects.bulk_create(
        [Embedding(fingerprint=fingerprint, content_hash=key, vector=vector) for key in hashes],
        batch_size=2_000,
    )


def switch_once(user: User) -> float:
    """Switch the person to whichever engine is not active; returns milliseconds."""
    return _time_switch(_plan_of(user))


def switch_and_return(user: User) -> tuple[float, float]:
    """Switch the person, then take it back; returns the milliseconds of each."""
    there = _plan_of(user)
    switched = _time_switch(there)
    there.refresh_from_db()
    back = _plan_of(user, rolls_back=there)
    return switched, _time_switch(back)


def _plan_of(user: User, rolls_back: Plan | None = None) -> Plan:
    base = KnowledgeBase.objects.get(owner=user)
    target = base.indexes.exclude(live_for=base).get()
    plan = plan_at_its_switch(user, base, target)
    if rolls_back is not None:
        plan.kind, plan.rolls_back = PlanKind.ROLLBACK, rolls_back
        plan.save(update_fields=["kind", "rolls_back"])
    return plan


def _time_switch(plan: Plan) -> float:
    step = plan.steps.get()
    is_back = plan.kind == PlanKind.ROLLBACK
    effects = switch_back_effects(plan, "bench") if is_back else switch_effects(plan)
    begun = time.perf_counter()
    finish_step(Claim(step.pk, step.fence, "bench"), Outcome("Switched.", effects=effects))
    return (time.perf_counter() - begun) * 1000


def plan_at_its_switch(user: User, base: KnowledgeBase, target: VectorIndex) -> Plan:
    """Make a plan of which only the switch is left, claimed under fence 1."""
    revision = target.fingerprint.revision
    preference = preference_of(user)
    if preference.revision is None:
        write_preference(preference, EngineChoice(None, None, ""), why="Benchmark.")
    host, _ = Host.objects.get_or_create(name="bench")
    plan = Plan.objects.create(
        kind=PlanKind.MIGRATE,
        user=user,
        host=host,
        to_engine=revision.model,
        to_revision=revision,
        embedder_revision=revision,
        preference_version=preference.version,
        status=PlanStatus.IN_PROGRESS,
        started_at=timezone.now(),
    )
    IndexSwitch.objects.create(plan=plan, base=base, from_index=base.live_index, to_index=target)
    Step.objects.create(
        plan=plan,
        position=0,
        kind="cut_over",
        status=StepStatus.IN_PROGRESS,
        fence=1,
        lease_until=timezone.now(),
        ready_at=timezone.now(),
    )
    return plan
