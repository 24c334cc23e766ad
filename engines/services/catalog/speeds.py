"""How fast a host works, measured while it did real work; the latest few pieces of work are kept."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, QuerySet, Sum

from engines.models import Host, ModelCopy, ModelRevision, SpeedSample, Work

MIN_TEXTS = 16
"""Fewer texts say more about loading than about embedding."""
MIN_BYTES = 1 << 20
"""Fewer bytes say more about connecting than about the line."""
MIN_TOKENS = 4
MIN_SECONDS = 1e-4
SAMPLES_KEPT = 25
"""Of one host, kind of work and model."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What the kept samples add up to; ``size`` in characters or bytes."""

    texts: int
    size: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Return the size done in a second."""
        return self.size / max(self.seconds, MIN_SECONDS)

    @property
    def texts_per_second(self) -> float:
        """Return the texts done in a second."""
        return self.texts / max(self.seconds, MIN_SECONDS)


def note_embedding_speed(
    revision: ModelRevision, host: Host, *, texts: int, characters: int, seconds: float
) -> None:
    """Keep how fast a host embedded; too few texts say nothing."""
    if texts >= MIN_TEXTS:
        _copies(revision, host).update(texts_per_second=_rate(texts, seconds))
        _keep(
            SpeedSample(
                host=host,
                revision=revision,
                work=Work.EMBED,
                texts=texts,
                size=characters,
                seconds=seconds,
            )
        )


def note_download_speed(host: Host, *, size: int, seconds: float) -> None:
    """Keep how fast bytes came to a host; too few say nothing."""
    if size >= MIN_BYTES:
        _keep(SpeedSample(host=host, work=Work.DOWNLOAD, size=size, seconds=seconds))


def note_answer_speed(revision: ModelRevision, host: Host, *, tokens: int, seconds: float) -> None:
    """Keep how fast a host answered one request; too few tokens say nothing."""
    if tokens >= MIN_TOKENS:
        _copies(revision, host).update(tokens_per_second=_rate(tokens, seconds))


def embedding_speed(revision: ModelRevision, host: Host) -> Speed | None:
    """Return how fast a host embedded with a model lately; None when it has not yet."""
    return _sum(_samples(host, Work.EMBED, revision))


def download_speed(host: Host) -> Speed | None:
    """Return how fast model files came to a host lately; None when none has."""
    return _sum(_samples(host, Work.DOWNLOAD, None))


def _samples(host: Host, work: Work, revision: ModelRevision | None) -> QuerySet[SpeedSample]:
    return SpeedSample.objects.filter(host=host, work=work, revision=revision)


def _sum(samples: QuerySet[SpeedSample]) -> Speed | None:
    found = samples.aggregate(
        Count("id"), texts=Sum("texts"), size=Sum("size"), seconds=Sum("seconds")
    )
    if not found["id__count"]:
        return None
    return Speed(found["texts"], found["size"], found["seconds"])


def _keep(sample: SpeedSample) -> None:
    """Add a sample, and drop what is older than the latest few. A tie between two hosts' threads is harmless."""
    sample.save()
    same = _samples(sample.host, Work(sample.work), sample.revision)
    kept = same.order_by("-pk").values_list("pk", flat=True)[:SAMPLES_KEPT]
    oldest = min(kept, default=0)
    same.filter(pk__lt=oldest).delete()


def _copies(revision: ModelRevision, host: Host) -> QuerySet[ModelCopy]:
    return ModelCopy.objects.filter(revision=revision, host=host)


def _rate(count: int, seconds: float) -> float:
    return round(count / max(seconds, MIN_SECONDS), 3)
