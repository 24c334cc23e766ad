"""Where a request for words goes next when an engine cannot be made ready: other hosts, then other engines.

Only for the active engine, and never silently: the request says for whom an engine answers, and the answer
repeats it. Who names an engine gets that one or an error. Searching is not touched: an index is only ever
asked by its own embedder.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib.auth.models import User
from msgspec import structs
from redis.exceptions import RedisError

from engines.exceptions import HostUnavailableError, SamError
from engines.services.answers.messages import AnswerRequest, FallbackCause
from engines.services.engine_choice import effective_engine
from engines.services.people.fallbacks import fallbacks_for
from migrations_app.serving.hosts import hosts_for
from migrations_app.serving.protocol import RequestKind
from migrations_app.serving.redis_keys import redis_client

logger = logging.getLogger(__name__)


class FallbackPlan:
    """Whom one request asks; ``request`` and ``failed_hosts`` are those of the present try."""

    def __init__(self, kind: RequestKind[AnswerRequest], request: AnswerRequest) -> None:
        self.request = request
        self.failed_hosts: set[str] = set()
        self._first_error: SamError | None = None
        """Why the active engine does not answer, once another one was tried."""
        self._kind = kind
        self._asked = request
        self._others: list[AnswerRequest] | None = None

    def hosts(self, request_id: str) -> list[str]:
        """Return the hosts to ask, the first one to ask at the front; raises what hosts_for raises."""
        redis = redis_client(settings.REDIS_URL)
        without = self.failed_hosts
        try:
            return hosts_for(
                redis, self._kind, self.request, request_id=request_id, without=without
            )
        except RedisError as error:
            raise HostUnavailableError(
                f"Redis does not answer, so no host can be asked ({error}); try again in a moment."
            ) from error

    def advance(self, error: SamError) -> bool:
        """Go on to the next host or engine; False when the error is no engine's or none is left."""
        if not error.at_load:
            return False
        if error.host:
            self.failed_hosts.add(error.host)
            if self._has_host():
                return True
        self.failed_hosts.clear()
        return self._take_another_engine(error)

    def error_for_client(self, error: SamError) -> SamError:
        """Return what the person is told: of several engines that failed, about the active one."""
        return self._first_error if error.at_load and self._first_error is not None else error

    def _take_another_engine(self, error: SamError) -> bool:
        if self._others is None:
            self._others = self._other_engines(error)
        while self._others:
            self.request = self._others.pop(0)
            self._first_error = self._first_error or error
            if self._has_host():
                logger.warning("another engine answers: %s", error)
                return True
        return False

    def _other_engines(self, error: SamError) -> list[AnswerRequest]:
        if self._asked.revision_id is not None:
            return []
        user = User.objects.get(pk=self._asked.user_id)
        engine, revision = effective_engine(user)
        if engine is None or revision is None:
            return []
        cause = FallbackCause(engine.model_id, revision.pk, str(error))
        return [
            structs.replace(self._asked, revision_id=other.pk, fallback_for=cause)
            for other in fallbacks_for(user, engine)
        ]

    def _has_host(self) -> bool:
        """Whether a host is left for the present request."""
        try:
            return bool(self.hosts(""))
        except SamError as error:
            if not error.at_load:
                raise
            return False
