"""A question to an engine that may not be offered yet: what it says on a host, and how fast it is there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet

from engines.exceptions import ConflictError, HostUnavailableError, InvalidRequestError
from engines.models import CatalogModel, CopyStatus, Host, ModelCopy, ModelRevision, ModelRole
from engines.services.answers.messages import AnswerRequest, WholeAnswer
from engines.services.catalog.copies import refuse_unsafe
from engines.services.hosts import find_host, present_hosts
from engines.services.people.usage import estimate_tokens, reserved_tokens
from migrations_app.limits.held import ANSWERS, holding
from migrations_app.serving.client import LiveClient
from migrations_app.serving.protocol import GENERATE, WARM, WarmRequest

MAX_QUESTION = 2000
"""Characters."""
MAX_TOKENS = 300
TRIAL_SECONDS = 110.0
"""For loading and answering together: clients wait two minutes for a whole answer."""
SHORTEST_SECONDS = 1e-3


@dataclass(frozen=True, slots=True)
class Trial:
    """What an engine said to a question, on which host, and how long that took."""

    engine_id: str
    runtime: str
    host: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    load_seconds: float
    """Until it was in memory; next to nothing when it was there already."""
    answer_seconds: float
    """From the question to the last word."""
    losses: list[str]
    """What of a conversation its chat template loses in every form: a move to this engine would be refused."""

    @property
    def tokens_per_second(self) -> float:
        """Return the tokens of the answer by the time of the whole answer, reading the question included."""
        return round(self.completion_tokens / max(self.answer_seconds, SHORTEST_SECONDS), 1)

    @property
    def is_cut(self) -> bool:
        """Whether the answer was longer than a trial shows."""
        return self.finish_reason == "length"


def hosts_to_try(model: CatalogModel) -> QuerySet[Host]:
    """Return the hosts that are up and have the file in force."""
    held = ModelCopy.objects.filter(
        revision=model.current_revision_id, status=CopyStatus.DOWNLOADED
    )
    return present_hosts().filter(pk__in=held.values("host")).order_by("name")


def ask_model(
    model: CatalogModel, question: str, *, host_name: str | None, actor: User | None
) -> Trial:
    """Ask a model on a host, always the same way (temperature 0), and keep nothing.

    Raises InvalidRequestError for what cannot be asked, ConflictError for a model that only embeds,
    HostUnavailableError when its file is on no host that is up, TooManyAtOnceError,
    QuotaExceededError, and what the host answers with.
    """
    if actor is None or actor.pk is None:
        raise InvalidRequestError("An answer is counted for somebody: say who asks (--user NAME).")
    if not 0 < len(question.strip()) <= MAX_QUESTION:
        raise InvalidRequestError(f"Ask something of at most {MAX_QUESTION} characters.")
    if model.role != ModelRole.CHAT:
        raise ConflictError(f"{model.model_id} only {model.only_does}: it answers no question.")
    host, revision = _place(model, host_name)
    wanted = estimate_tokens(len(question), MAX_TOKENS)
    with holding(actor.pk, ANSWERS), reserved_tokens(actor.pk, wanted) as reserved:
        request = AnswerRequest(
            user_id=actor.pk,
            revision_id=revision.pk,
            messages=[{"role": "user", "content": question}],
            max_tokens=MAX_TOKENS,
            temperature=0.0,
            reservation_id=reserved.pk if reserved else None,
        )
        answer, measured = _ask(request, revision, host)
    end = answer.end
    return Trial(
        engine_id=answer.engine_id,
        runtime=model.runtime,
        host=host.name,
        text=answer.text,
        finish_reason=end.finish_reason if end else "",
        prompt_tokens=end.prompt_tokens if end else 0,
        completion_tokens=end.completion_tokens if end else 0,
        load_seconds=measured.load_seconds,
        answer_seconds=measured.answer_seconds,
        losses=measured.losses,
    )


class _Measured(NamedTuple):
    load_seconds: float
    answer_seconds: float
    losses: list[str]


def _ask(
    request: AnswerRequest, revision: ModelRevision, host: Host
) -> tuple[WholeAnswer, _Measured]:
    """Return the answer, and what was seen of the engine meanwhile."""
    client, began = LiveClient(settings.REDIS_URL), time.monotonic()
    warm = WarmRequest(revision_id=revision.pk, user_id=request.user_id, find_losses=True)
    ready = client.call(WARM, warm, host=host.name, timeout=TRIAL_SECONDS)
    loaded = time.monotonic()
    left = max(began + TRIAL_SECONDS - loaded, 1.0)
    answer = client.call(GENERATE, request, host=host.name, timeout=left)
    answered = time.monotonic()
    return answer, _Measured(round(loaded - began, 2), round(answered - loaded, 2), ready.losses)


def _place(model: CatalogModel, host_name: str | None) -> tuple[Host, ModelRevision]:
    """Return the host that is asked and the revision that answers there."""
    revision, chosen = model.current_revision, find_host(host_name) if host_name else None
    if revision is not None and chosen is not None:
        # Without this a file that crashed its process would only be said to be missing.
        for copy in ModelCopy.objects.filter(revision=revision, host=chosen):
            if copy.status == CopyStatus.UNSAFE:
                refuse_unsafe(copy)
    hosts = hosts_to_try(model)
    host = (hosts.filter(pk=chosen.pk) if chosen else hosts).first()
    if revision is None or host is None:
        where = f"{chosen.name} is not up or does not have" if chosen else "No host that is up has"
        raise HostUnavailableError(
            f"{where} the file of {model.model_id}; download it there, then ask again."
        )
    return host, revision
