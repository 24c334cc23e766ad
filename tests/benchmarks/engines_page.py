"""The engines page with 10,000 engines: what its data costs to work out, and its pages through HTTP."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx2
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from engines.fit.qwen3 import qwen3_models
from engines.models import CatalogModel, CopyStatus, Host, HostStatus, ModelCopy, ModelRevision
from engines.services.catalog.search.library import LibraryFilter, load_page, search_library
from migrations_app.library import catalog_shown_to
from migrations_app.pages.engines.cards import cards_for
from migrations_app.pages.engines.library import PER_PAGE
from tests.benchmarks.sam_stack import SamStack

ENGINES = 10_000
COPIES = 300
ROUNDS = 100
GIB = 2**30
PAGES = {
    "first page": "",
    "search": "?q=engine+77",
    "filters": "?family=qwen&can=tools&language=german&licence=apache-2.0&fits=on",
    "fastest first": "?order=speed",
    "last page": "?page=9999",
}


def run(console: Console) -> None:
    """Measure and print two tables."""
    person = _furnish()
    console.print(_data(person))
    with tempfile.TemporaryDirectory() as folder, SamStack(Path(folder)) as sam:
        console.print(_pages(sam.address.removesuffix("/v1"), person))


def _furnish() -> User:
    """Write a large catalog, two hosts, and files of a few hundred engines."""
    person = User.objects.create_user(f"bench-engines-{time.monotonic_ns()}")
    shapes = [found.shape().as_dict() for found in qwen3_models()]
    models = CatalogModel.objects.bulk_create(
        CatalogModel(
            model_id=f"engine-{number}",
            display_name=f"Engine {number}",
            model_family=("qwen", "llama", "gemma", "mistral")[number % 4],
            licence=("apache-2.0", "mit", "llama3.1")[number % 3],
            tags=[("german", "english", "multilingual", "code")[number // 4 % 4]],
            huggingface_repo=f"org/engine-{number}",
            filename="model.gguf",
            context_length=8192,
            recommended=number % 500 == 0,
        )
        for number in range(ENGINES)
    )
    revisions = ModelRevision.objects.bulk_create(
        ModelRevision(
            model=model,
            commit=f"{number:040x}",
            sha256=f"{number:064x}",
            file_size=(1 + number % 40) * GIB,
            shape=shapes[number % len(shapes)],
        )
        for number, model in enumerate(models)
    )
    for model, revision in zip(models, revisions, strict=True):
        model.current_revision = revision
    CatalogModel.objects.bulk_update(models, ["current_revision"], batch_size=1000)
    for name in ("bench-gpu-1", "bench-gpu-2"):
        host = Host.objects.create(
            name=name, status=HostStatus.ACTIVE, memory_bytes=64 * GIB, last_seen=timezone.now()
        )
        ModelCopy.objects.bulk_create(
            ModelCopy(
                revision=revision,
                host=host,
                status=CopyStatus.DOWNLOADED,
                path="/m",
                checksum="c",
                tokens_per_second=10 + number % 90,
            )
            for number, revision in enumerate(revisions[:COPIES])
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return person


def _data(person: User) -> Table:
    """Time the data of a page: all of it, and without the answers of the database."""
    spent = [0.0]

    def clocked(execute: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            spent[0] += time.perf_counter() - begun

    whole: list[float] = []
    own: list[float] = []
    for _ in range(ROUNDS):
        rows = load_page(search_library(catalog_shown_to(person), LibraryFilter())[:PER_PAGE])
        spent[0] = 0.0
        begun = time.perf_counter()
        with connection.execute_wrapper(clocked):
            cards_for(person, rows)
        took = time.perf_counter() - begun
        whole.append(1000 * took)
        own.append(1000 * (took - spent[0]))
    table = Table(
        "what", "median ms", "p95 ms", title=f"Data of a page: {PER_PAGE} of {ENGINES:,} engines"
    )
    for name, times in (("all of it", whole), ("without the database's answers", own)):
        table.add_row(name, f"{median(times):.2f}", f"{_p95(times):.2f}")
    return table


def _pages(address: str, person: User) -> Table:
    table = Table("page", "median ms", "p95 ms", title=f"GET /engines/ with {ENGINES:,} engines")
    cookies = {settings.SESSION_COOKIE_NAME: _session_of(person)}
    with httpx2.Client(base_url=address, cookies=cookies, timeout=60) as client:
        for name, query in PAGES.items():
            times = [_time(client, query) for _ in range(ROUNDS + 5)][5:]
            table.add_row(name, f"{median(times):.1f}", f"{_p95(times):.1f}")
    return table


def _time(client: httpx2.Client, query: str) -> float:
    begun = time.perf_counter()
    answer = client.get(f"/engines/{query}")
    took = 1000 * (time.perf_counter() - begun)
    if answer.status_code != httpx2.codes.OK:
        raise RuntimeError(f"/engines/{query} answered {answer.status_code}")
    return took


def _session_of(person: User) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.save()
    return str(session.session_key)


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]
