"""Lists at 10,000 rows, through the web process as it runs: REST, pages and admin."""

from __future__ import annotations

import tempfile
import time
import uuid
from pathlib import Path
from statistics import quantiles

import httpx2
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from engines.models import (
    ApiToken,
    CatalogModel,
    Conversation,
    Document,
    EnginePreference,
    KnowledgeBase,
    Message,
    Notice,
    TokenUsage,
)
from engines.models.notices import NoticeKind
from migrations_app.models import Backup, MassMove, MassMoveLine, Plan
from migrations_app.states import PlanKind, PlanStatus
from tests.openai_api.web import WebProcess
from tests.pages.fixtures import session_of, web_environment

ROWS, ROUNDS = 10_000, 40
WANTED_MS = 100.0
ADDRESSES = (
    "/api/v1/plans",
    "/api/v1/catalog",
    "/api/v1/conversations",
    "/api/v1/conversations/{conversation}/messages",
    "/api/v1/knowledge-bases/{base}/documents",
    "/api/v1/notices",
    "/api/v1/people",
    "/api/v1/mass-moves",
    "/api/v1/mass-moves/{move}/people",
    "/api/v1/backups",
    "/api/v1/usage",
    "/",
    "/chat/",
    "/chat/{conversation}/",
    "/plans/",
    "/migrate/",
    "/notices/",
    "/engines/",
    "/knowledge/",
    "/knowledge/{base}/",
    "/admin/migrations_app/plan/",
    "/admin/engines/catalogmodel/",
    "/admin/auth/user/",
    "/admin/migrations_app/massmove/",
    "/admin/migrations_app/massmove/{move}/change/",
    "/admin/migrations_app/backup/",
    "/admin/engines/enginepreference/",
    "/admin/engines/tokenusage/",
    "/admin/migrations_app/auditentry/",
    "/settings/backups/",
    "/settings/tokens/",
    "/settings/usage/",
    "/healthz",
    "/admin/",
)


def run(console: Console) -> None:
    """Ask for each list many times, one after the other."""
    user, addresses = make_rows(ROWS)
    table = Table(title=f"Lists at {ROWS} rows, ms over HTTP")
    for column in ("list", "p50", "p95", "wanted p95"):
        table.add_column(column, justify="left" if column == "list" else "right")
    with (
        tempfile.TemporaryDirectory() as folder,
        WebProcess(Path(folder), web_environment()) as web,
        httpx2.Client(
            base_url=web.address,
            cookies={settings.SESSION_COOKIE_NAME: session_of(user)},
            timeout=60,
        ) as client,
    ):
        for address in addresses:
            table.add_row(address, *_time(client, address), f"{WANTED_MS:.0f}")
    console.print(table)


def _time(client: httpx2.Client, address: str) -> tuple[str, str]:
    taken = []
    for _ in range(ROUNDS + 2):
        started = time.perf_counter()
        client.get(address).raise_for_status()
        taken.append((time.perf_counter() - started) * 1000)
    # The first ones load templates and code.
    cut = quantiles(taken[2:], n=20)
    return f"{cut[9]:.1f}", f"{cut[18]:.1f}"


def make_rows(rows: int) -> tuple[User, list[str]]:
    """Write so many rows of each kind; return who may read them all, and the lists' addresses."""
    user = User.objects.create_superuser(f"bench-{uuid.uuid4().hex[:8]}")
    base = KnowledgeBase.objects.create(owner=user, name="Bench")
    conversation = Conversation.objects.create(user=user, title="Bench")
    _make_texts(rows, user, base, conversation)
    _make_plans(rows, user)
    User.objects.bulk_create(
        User(username=f"bench-{user.pk}-{n}", email=f"b{n}@example.org") for n in range(rows)
    )
    move = _make_people_rows(rows, user)
    with connection.cursor() as cursor:
        # As autovacuum would have done it by the time that people have so much.
        cursor.execute("ANALYZE")
    keys = {"base": base.pk, "conversation": conversation.pk, "move": move.pk}
    return user, [address.format(**keys) for address in ADDRESSES]


def _make_people_rows(rows: int, user: User) -> MassMove:
    """Write a row about each of the people: a place in a mass move, an engine, a day's use, a backup."""
    people = list(User.objects.filter(username__startswith=f"bench-{user.pk}-"))
    engine = CatalogModel.objects.filter(model_id="bench-0").get()
    plans = list(Plan.objects.filter(user=user).values_list("pk", flat=True))
    move = MassMove.objects.create(to_engine=engine, created_by=user)
    MassMoveLine.objects.bulk_create(
        MassMoveLine(
            move=move,
            user=person,
            handled_at=None if n % 3 == 0 else timezone.now(),
            plan_id=plans[n] if n % 3 == 1 else None,
            refusal=f"Reason {n % 7}." if n % 3 == 2 else "",
        )
        for n, person in enumerate(people)
    )
    EnginePreference.objects.bulk_create(
        EnginePreference(user=person, engine=engine) for person in people
    )
    TokenUsage.objects.bulk_create(
        TokenUsage(user=person, day=timezone.now().date(), tokens_in=1) for person in people
    )
    Backup.objects.bulk_create(
        Backup(user=user, artifact_key=f"backups/{n}", sha256=f"{n:064x}", file_size=n)
        for n in range(rows)
    )
    ApiToken.objects.bulk_create(
        ApiToken(user=user, name=f"Token {n}", sha256=n.to_bytes(32)) for n in range(rows)
    )
    return move


def _make_texts(rows: int, user: User, base: KnowledgeBase, conversation: Conversation) -> None:
    Document.objects.bulk_create(
        Document(base=base, title=f"Paper {n}", text="text", sha256=f"{n:064x}")
        for n in range(rows)
    )
    Conversation.objects.bulk_create(
        Conversation(user=user, title=f"Talk {n}") for n in range(rows)
    )
    Message.objects.bulk_create(
        Message(
            conversation=conversation,
            position=n,
            role=Message.Role.ASSISTANT if n % 2 else Message.Role.USER,
            content="Some words that were said.",
        )
        for n in range(rows)
    )


def _make_plans(rows: int, user: User) -> None:
    engines = CatalogModel.objects.bulk_create(
        CatalogModel(
            model_id=f"bench-{n}",
            display_name=f"Bench {n}",
            model_family="qwen",
            huggingface_repo="bench/model",
            filename=f"{n}.gguf",
        )
        for n in range(rows)
    )
    Plan.objects.bulk_create(
        Plan(
            kind=PlanKind.MIGRATE,
            user=user,
            created_by=user,
            from_engine=engine,
            to_engine=engine,
            status=PlanStatus.CANCELLED,
            finished_at=timezone.now(),
        )
        for engine in engines
    )
    Notice.objects.bulk_create(
        Notice(user=user, kind=NoticeKind.values[0], title=f"Notice {n}") for n in range(rows)
    )
