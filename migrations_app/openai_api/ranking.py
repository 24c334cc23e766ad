"""How well texts answer a question, for people's programs: a rank model, asked part by part."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import User
from msgspec import UNSET

from engines.models import ModelRevision
from engines.services.people.usage import add_usage
from migrations_app.limits.admission import Admission
from migrations_app.openai_api.access import ranker_for
from migrations_app.openai_api.request_bodies import RankBody, RankDocument
from migrations_app.openai_api.response_bodies import EmbeddingUsage, RankList, RankResult
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import batched_texts
from migrations_app.serving.protocol import RANK, RankRequest

RANK_SECONDS = 60.0


@dataclass
class _Judged:
    """What is known of the texts so far."""

    scores: list[float]
    cut: set[int]
    tokens: int = 0


def rank_texts(user: User, asked: RankBody) -> RankList:
    """Return the texts in the order in which they answer a question.

    Raises RefusedError, QuotaExceededError when the pairs have more tokens than the person's day has left, and
    what the host answers with. Parts that were read before an error are counted.
    """
    texts = asked.texts
    admission = Admission(user, len(asked.query) * len(texts) + sum(map(len, texts)), 1)
    try:
        model, revision = ranker_for(user, asked.model)
        judged = _judge(user, revision, asked, admission.reservation_id)
    finally:
        admission.release()
    order = sorted(range(len(texts)), key=lambda number: (-judged.scores[number], number))
    results = [
        RankResult(
            index=number,
            relevance_score=judged.scores[number],
            document=RankDocument(text=texts[number]) if asked.return_documents else UNSET,
            truncated=number in judged.cut,
        )
        for number in order[: asked.top_n]
    ]
    usage = EmbeddingUsage(judged.tokens, judged.tokens)
    return RankList(model=model.model_id, results=results, usage=usage)


def _judge(
    user: User, revision: ModelRevision, asked: RankBody, reservation_id: int | None
) -> _Judged:
    live, judged = LiveClient(settings.REDIS_URL), _Judged([], set())
    try:
        for texts in batched_texts(asked.texts):
            request = RankRequest(
                revision_id=revision.pk,
                question=asked.query,
                texts=list(texts),
                user_id=user.pk,
                reservation_id=reservation_id,
                tokens_before=judged.tokens,
            )
            reply = live.call(RANK, request, timeout=RANK_SECONDS)
            judged.cut |= {len(judged.scores) + number for number in reply.cut}
            judged.scores += reply.scores
            judged.tokens += reply.tokens
    finally:
        if judged.tokens:
            add_usage(user.pk, judged.tokens, 0)
    return judged
