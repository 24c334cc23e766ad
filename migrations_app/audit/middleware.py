"""Names the person behind each request for the audit, and the door they came through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from migrations_app.audit.actor import Actor, acting_as
from migrations_app.audit.rows import AuditDoor
from migrations_app.local_caller import LocalCaller, find_local_caller

Answer = Callable[[HttpRequest], HttpResponseBase]
LaterAnswer = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
_DOORS = {"/api/": AuditDoor.REST, "/admin/": AuditDoor.ADMIN}


@sync_and_async_middleware
def name_person(get_response: Answer | LaterAnswer) -> Answer | LaterAnswer:
    """Record what a request changes as done by whoever asked."""
    if iscoroutinefunction(get_response):
        later = cast("LaterAnswer", get_response)

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            with acting_as(lambda: _actor_of(request)):
                return await later(request)

        return answer_later
    now = cast("Answer", get_response)

    def answer(request: HttpRequest) -> HttpResponseBase:
        with acting_as(lambda: _actor_of(request)):
            return now(request)

    return answer


def _actor_of(request: HttpRequest) -> Actor:
    # REST's views put there whom the token belongs to.
    user: Any = request.user
    caller: LocalCaller | None = find_local_caller(request)
    if caller is not None:
        return Actor(user.get_username(), user.pk, AuditDoor.COMMAND_LINE, caller.machine_user)
    doors = (door for path, door in _DOORS.items() if request.path_info.startswith(path))
    return Actor(user.get_username(), user.pk, next(doors, AuditDoor.PAGE))
