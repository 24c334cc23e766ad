"""Where a request for words goes next when an engine cannot be made ready: other hosts, then other engines.

Only for the active engine, and never silently: the payload says for whom an engine answers, and the answer
repeats it. Who names an engine gets that one or an error. Searching is not touched: an index is only ever
asked by its own embedder.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from django.conf import settings
from django.contrib.auth.models import User
from redis.exceptions import RedisError

from engines.exceptions import HostUnavailableError, SamError
from engines.services.engine_choice import effective_engine
from engines.services.people.fallbacks import fallbacks_for
from migrations_app.serving.hosts import hosts_for
from migrations_app.serving.redis_keys import redis_client

logger = logging.getLogger(__name__)


class Ways:
    """The ways of one request; ``payload`` and ``failed_hosts`` are those of the present one."""

    def __init__(self, kind: Literal["generate", "stream"], payload: Mapping[str, Any]) -> None:
        self.payload = dict(payload)
        self.failed_hosts: set[str] = set()
        self.first_error: SamError | None = None
        """Why the active engine does not answer, once another one was tried."""
        self._kind = kind
        self._asked = dict(payload)
        self._instead: list[dict[str, Any]] | None = None

    def hosts(self, request_id: str) -> list[str]:
        """Return the hosts to ask, the first one to ask at the front; raises what hosts_for raises."""
        redis = redis_client(settings.REDIS_URL)
        without = self.failed_hosts
        try:
            return hosts_for(
                redis, self._kind, self.payload, request_id=request_id, without=without
            )
        except RedisError as error:
            raise HostUnavailableError(
                f"Redis does not answer, so no host can be asked ({error}); try again in a moment."
            ) from error

    def turn(self, error: SamError) -> bool:
        """Take the next way after an error; False when it is no engine's or no way is left."""
        if not error.at_load:
            return False
        if error.host:
            self.failed_hosts.add(error.host)
            if self._is_open():
                return True
        self.failed_hosts.clear()
        return self._take_another_engine(error)

    def told(self, error: SamError) -> SamError:
        """Return what the person is told: of several engines that failed, about the active one."""
        return self.first_error if error.at_load and self.first_error is not None else error

    def _take_another_engine(self, error: SamError) -> bool:
        if self._instead is None:
            self._instead = self._engines_instead(error)
        while self._instead:
            self.payload = self._instead.pop(0)
            self.first_error = self.first_error or error
            if self._is_open():
                logger.warning("another engine answers: %s", error)
                return True
        return False

    def _engines_instead(self, error: SamError) -> list[dict[str, Any]]:
        if "revision_id" in self._asked:
            return []
        user = User.objects.get(pk=self._asked["user_id"])
        engine, revision = effective_engine(user)
        if engine is None or revision is None:
            return []
        cause = {
            "engine_id": engine.model_id,
            "revision_id": revision.pk,
            "reason": str(error),
        }
        return [
            {**self._asked, "revision_id": other.pk, "fallback_for": cause}
            for other in fallbacks_for(user, engine)
        ]

    def _is_open(self) -> bool:
        """Whether a host is left for the present payload."""
        try:
            return bool(self.hosts(""))
        except SamError as error:
            if not error.at_load:
                raise
            return False
