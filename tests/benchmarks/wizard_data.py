"""What the wizard's first page needs, computed: the seed promised under a millisecond."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import quantiles

from django.contrib.auth.models import Group, User
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from engines.fit.qwen3 import qwen3_models
from engines.models import CatalogModel, EnginePreference, Host, HostStatus, ModelRevision
from engines.services.catalog.engine_options import (
    all_engine_options,
    choosable_engines,
    engine_options,
)

ENGINES, HOSTS, ROUNDS = 24, 3, 300
SEED_MILLISECONDS = 1.0
GIB = 1024**3


def run(console: Console) -> None:
    """Measure computing the choices from rows at hand, and reading the rows as well."""
    user = _library()
    all_engine_options(user)
    table = Table(title=f"Wizard data: {ENGINES} engines on {HOSTS} hosts, ms")
    for column in ("what", "p50", "p95", "seed"):
        table.add_column(column, justify="left" if column == "what" else "right")
    seed = f"{SEED_MILLISECONDS:.1f}"
    table.add_row(
        "data of the first page, database included",
        *_time(lambda: all_engine_options(user)),
        seed,
    )
    table.add_row(
        "the same after a search, or with a catalog too large to keep",
        *_time(lambda: engine_options(user, choosable_engines(user, "bench")[:ENGINES])),
        "",
    )
    console.print(table)


def _time(work: Callable[[], object]) -> tuple[str, str]:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    cut = quantiles(taken, n=20)
    return f"{cut[9]:.2f}", f"{cut[18]:.2f}"


def _library() -> User:
    """Make a catalog with the shapes of real models, hosts, and a person in a group."""
    shapes = [model.shape().as_dict() for model in qwen3_models()]
    models = []
    for number in range(ENGINES):
        model = CatalogModel.objects.create(
            model_id=f"bench-{number}",
            display_name=f"Bench {number}",
            model_family="qwen",
            huggingface_repo=f"bench/{number}",
            filename="model.gguf",
        )
        revision = ModelRevision.objects.create(
            model=model,
            commit=f"{number:040x}",
            sha256=f"{number:064x}",
            file_size=1000,
            shape=shapes[number % len(shapes)],
        )
        CatalogModel.objects.filter(pk=model.pk).update(current_revision=revision)
        models.append((model, revision))
    for number in range(HOSTS):
        Host.objects.create(
            name=f"bench-{number}",
            status=HostStatus.ACTIVE,
            last_seen=timezone.now(),
            memory_bytes=64 * GIB,
            gpus=["GPU"],
            vram_bytes=24 * GIB,
        )
    user = User.objects.create_user(f"bench-{time.monotonic_ns()}")
    user.groups.add(Group.objects.get_or_create(name="bench")[0])
    model, revision = models[0]
    EnginePreference.objects.create(user=user, engine=model, revision=revision)
    return user
