"""Rows of the step re_embed: a model on this host, a base full of texts, a plan at that step."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from engines.models import (
    CatalogModel,
    Chunk,
    Embedding,
    Host,
    HostStatus,
    KnowledgeBase,
    ModelRevision,
    VectorIndex,
)
from engines.services.catalog.copies import copy_of, mark_downloaded
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import start_plan
from migrations_app.states import PlanKind

INSERT_ROWS = 2_000


def embedder_here(name: str, path: Path) -> ModelRevision:
    """Make a catalog entry of a model whose file lies on this host."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    model = CatalogModel.objects.create(
        model_id=name,
        display_name=name,
        model_family=name,
        huggingface_repo=f"bench/{name}",
        filename=path.name,
    )
    revision = ModelRevision.objects.create(
        model=model, commit=digest[:40], sha256=digest, file_size=len(content)
    )
    mark_downloaded(copy_of(revision, this_host()), path, digest)
    return revision


def this_host() -> Host:
    facts = {"status": HostStatus.ACTIVE, "last_seen": timezone.now()}
    return Host.objects.update_or_create(name=settings.SAM_HOST_NAME, defaults=facts)[0]


def base_with(texts: Sequence[str]) -> KnowledgeBase:
    """Make a person's base of these texts, none of them embedded."""
    owner = User.objects.create_user(f"bench-{time.monotonic_ns()}")
    base = KnowledgeBase.objects.create(owner=owner, name="Knowledge", write_seq=len(texts))
    chunks = [
        Chunk(
            base=base,
            position=number,
            text=text,
            content_hash=hashlib.sha256(text.encode()).digest(),
            created_seq=number + 1,
        )
        for number, text in enumerate(texts)
    ]
    Chunk.objects.bulk_create(chunks, batch_size=INSERT_ROWS)
    return base


def forget_vectors(base: KnowledgeBase) -> None:
    """Have everything to embed again."""
    Plan.objects.filter(base=base).delete()
    VectorIndex.objects.filter(base=base).delete()
    Embedding.objects.all().delete()


def re_embed_step(base: KnowledgeBase, revision: ModelRevision) -> int:
    """Start a plan whose one step embeds the base; returns the step's key."""
    host = this_host()
    plan = Plan.objects.create(
        kind=PlanKind.RE_EMBED,
        user=base.owner,
        base=base,
        host=host,
        to_engine=revision.model,
        to_revision=revision,
        embedder_revision=revision,
    )
    step = Step.objects.create(plan=plan, position=0, kind="re_embed", host=host)
    start_plan(plan.pk, who="bench")
    return step.pk
