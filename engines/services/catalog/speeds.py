"""How fast a model was on a host, measured while it did real work."""

from __future__ import annotations

from django.db.models import QuerySet

from engines.models import Host, ModelCopy, ModelRevision

MIN_TEXTS = 16
"""Fewer texts say more about loading than about embedding."""
MIN_TOKENS = 4
MIN_SECONDS = 1e-4


def note_embedding_speed(
    revision: ModelRevision, host: Host, *, texts: int, seconds: float
) -> None:
    """Keep how fast a host embedded; too few texts say nothing."""
    if texts >= MIN_TEXTS:
        _copies(revision, host).update(texts_per_second=_rate(texts, seconds))


def note_answer_speed(revision: ModelRevision, host: Host, *, tokens: int, seconds: float) -> None:
    """Keep how fast a host answered one request; too few tokens say nothing."""
    if tokens >= MIN_TOKENS:
        _copies(revision, host).update(tokens_per_second=_rate(tokens, seconds))


def embedding_speed(revision: ModelRevision, host: Host) -> float | None:
    """Return the texts a second that were measured on a host; None when nobody measured yet."""
    return _copies(revision, host).values_list("texts_per_second", flat=True).first()


def _copies(revision: ModelRevision, host: Host) -> QuerySet[ModelCopy]:
    return ModelCopy.objects.filter(revision=revision, host=host)


def _rate(count: int, seconds: float) -> float:
    return round(count / max(seconds, MIN_SECONDS), 3)
