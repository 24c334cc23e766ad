"""All open streams of a web process: one task reads Redis and the database for all of them.

The database is the truth about what changed; Redis carries how far work is, and wakes us. While Redis is
away the database is read at a slower pace, and every stream says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from migrations_app.live.access import Permit, refusals
from migrations_app.live.beginning import read_beginning
from migrations_app.live.cursor import Cursor
from migrations_app.live.listener import Listener
from migrations_app.live.messages import End, Mode, PlanState, ProgressOf
from migrations_app.live.notices import NoticeTail
from migrations_app.live.states import PersonState, person_states, plan_states, running_progress
from migrations_app.live.tail import ChangeRow, Owned, Tail
from migrations_app.models import Plan
from migrations_app.serving.news import (
    News,
    PersonNews,
    PlanNews,
    ProgressNews,
    parse_news,
)
from migrations_app.serving.progress import STALE_SECONDS, PlanProgress, without_pace
from migrations_app.serving.redis_keys import NEWS_KEY, stream_reading_client
from migrations_app.serving.threads import in_thread
from migrations_app.states import PLAN_FINAL

logger = logging.getLogger(__name__)

BLOCK_MILLISECONDS = 1000
AWAY_SECONDS = 1.0
"""Pause before Redis is asked again that did not answer."""
LOOK_SECONDS, SLOW_LOOK_SECONDS = 5.0, 2.0
"""How often the database is asked without a reason, and while Redis gives none."""
CHECK_SECONDS = 15.0
"""How often it is asked whether listeners may still listen."""
NEWS_PER_READ = 500

LIVE = Mode(live=True)
WITHOUT_REDIS = Mode(
    live=False, reason="Redis is away: what changes is read from the database every few seconds."
)
WITHOUT_DATABASE = Mode(
    live=False, reason="The database does not answer; what is shown may be out of date."
)
PLAN_ENDED = End(reason="The plan has ended.", again=False)
CLOSING = End(reason="The server is ending; connect again.", again=True)
BROKEN = End(reason="Something went wrong on our side; connect again.", again=True)
DATABASE_ERRORS = (OperationalError, InterfaceError)


@dataclass(frozen=True, slots=True)
class _Told:
    owned: Owned
    progress: PlanProgress
    at: float


class LiveHub:
    """The listeners of one event loop; its task lives as long as there are any."""

    def __init__(self, url: str) -> None:
        self._redis = stream_reading_client(url)
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._tail = Tail()
        self._notices = NoticeTail()
        self._mode = LIVE
        self._has_redis = self._has_database = True
        self._last_news: str | None = None
        self._told: dict[str, _Told] = {}
        self._people: set[int] = set()
        """Whose engine or adapters may have changed."""
        self._look_at = self._check_at = 0.0
        self._is_closing = False

    async def listen(self, permit: Permit, cursor: Cursor | None) -> AsyncGenerator[bytes]:
        """Yield the stream of one listener, from its cursor on, until it ends or is closed."""
        listener = Listener(permit, cursor)
        self._add(listener)
        try:
            await self._begin(listener)
            async for part in listener.stream():
                yield part
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End all streams now, and those that still come: this process is ending."""
        self._is_closing = True
        for listener in self._listeners:
            listener.push(CLOSING)

    def _add(self, listener: Listener) -> None:
        self._listeners.add(listener)
        if self._is_closing:
            listener.push(CLOSING)
        if self._task is None:
            self._ready = asyncio.Event()
            self._task = asyncio.create_task(self._run())

    async def _begin(self, listener: Listener) -> None:
        await self._ready.wait()
        if listener.is_ended:
            return
        permit, cursor, settled = listener.permit, listener.came_with, self._tail.settled
        listener.settle(settled)
        try:
            beginning = await in_thread(lambda: read_beginning(permit.scope, cursor, settled))
        except DATABASE_ERRORS:
            listener.push(BROKEN)
            return
        listener.begin(beginning, self._mode)
        _push_person(listener, beginning.person)
        if permit.scope.plan and _is_final(beginning.plans):
            listener.push(PLAN_ENDED)

    async def _run(self) -> None:
        try:
            await self._start()
            while self._listeners:
                await self._round()
        finally:
            self._task = None
            self._ready.set()
            for listener in self._listeners:
                # Only after an error: without listeners this ends by itself.
                listener.push(BROKEN)
            await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _start(self) -> None:
        self._last_news = None
        self._check_at = asyncio.get_running_loop().time() + CHECK_SECONDS
        while self._listeners:
            try:
                await in_thread(self._tail.begin)
                await in_thread(self._notices.begin)
            except DATABASE_ERRORS as error:
                logger.warning("live streams wait for the database: %s", error)
                await asyncio.sleep(AWAY_SECONDS)
            else:
                break
        self._ready.set()

    async def _round(self) -> None:
        is_woken = self._take(await self._read_news())
        now = asyncio.get_running_loop().time()
        try:
            if is_woken or now >= self._look_at:
                await self._look()
            if now >= self._check_at:
                self._check_at = now + CHECK_SECONDS
                await self._check()
        except DATABASE_ERRORS as error:
            logger.warning("live streams go on without the database: %s", error)
            self._look_at = now + SLOW_LOOK_SECONDS
            self._has_database = False
        self._tell_mode()
        self._forget_paces(now)

    async def _read_news(self) -> list[News]:
        try:
            if self._last_news is None:
                newest: Any = await self._redis.xrevrange(NEWS_KEY, count=1)
                self._last_news = newest[0][0].decode() if newest else "0-0"
                # What was told before is in the database, and is looked at now.
                self._look_at = 0.0
            found = cast(
                "list[Any]",
                await self._redis.xread(
                    {NEWS_KEY: self._last_news}, block=BLOCK_MILLISECONDS, count=NEWS_PER_READ
                ),
            )
        except RedisError as error:
            if self._has_redis:
                logger.warning("live streams go on without Redis: %s", error)
            self._last_news, self._has_redis = None, False
            await asyncio.sleep(AWAY_SECONDS)
            return []
        self._has_redis = True
        entries = found[0][1] if found else []
        if entries:
            self._last_news = entries[-1][0].decode()
        return [news for _, fields in entries if (news := parse_news(fields)) is not None]

    def _take(self, many: Iterable[News]) -> bool:
        """Pass on what news say themselves; True when the database is to be asked."""
        is_woken = False
        for news in many:
            if isinstance(news, ProgressNews):
                self._take_progress(Owned(news.plan, news.user, news.created_by), news.progress)
            elif isinstance(news, PersonNews):
                self._people.add(news.user)
                is_woken = True
            else:
                is_woken = is_woken or isinstance(news, PlanNews)
        return is_woken

    def _take_progress(self, owned: Owned, progress: PlanProgress) -> None:
        now = asyncio.get_running_loop().time()
        self._told[owned.plan] = _Told(owned, progress, now)
        event = ProgressOf(plan=owned.plan, now=progress)
        for listener in self._listeners_of(owned):
            listener.push_progress(event)

    async def _look(self) -> None:
        """Ask the database what changed, and while Redis is away also how far work is."""
        pause = LOOK_SECONDS if self._has_redis else SLOW_LOOK_SECONDS
        self._look_at = asyncio.get_running_loop().time() + pause
        rows = await in_thread(self._tail.read)
        self._has_database = True
        heard = [row for row in rows if self._listeners_of(row.owned)]
        for row in heard:
            for listener in self._listeners_of(row.owned):
                listener.push(row.change)
        for listener in self._listeners:
            listener.settle(self._tail.settled)
        if heard:
            await self._tell_states(heard)
        await self._tell_notices()
        if self._people:
            await self._tell_people()
        if not self._has_redis:
            for owned, progress in await in_thread(running_progress):
                self._take_progress(owned, progress)

    async def _tell_states(self, rows: list[ChangeRow]) -> None:
        owners = {row.owned.plan: row.owned for row in rows}
        self._people |= {owned.user for owned in owners.values() if owned.user is not None}
        states = await in_thread(lambda: plan_states(Plan.objects.filter(pk__in=owners)))
        for state in states:
            is_final = _is_final([state])
            if is_final:
                self._told.pop(state.id, None)
            for listener in self._listeners_of(owners[state.id]):
                listener.push(state)
                if is_final and listener.permit.scope.plan:
                    listener.push(PLAN_ENDED)

    async def _tell_notices(self) -> None:
        listeners = self._hearing_persons()
        users = {listener.permit.scope.user_id for listener in listeners}
        for user_id, notice in await in_thread(lambda: self._notices.read(users)):
            self._people.add(user_id)
            for listener in listeners:
                if listener.permit.scope.user_id == user_id:
                    listener.push(notice)

    async def _tell_people(self) -> None:
        people, self._people = self._people, set()
        listeners = self._hearing_persons()
        wanted = people & {one.permit.scope.user_id for one in listeners}
        if not wanted:
            return
        states = await in_thread(lambda: person_states(wanted))
        for listener in listeners:
            _push_person(listener, states.get(listener.permit.scope.user_id))

    async def _check(self) -> None:
        """End the streams of those who may not listen any more, and look again at the others' engines."""
        permits = {listener.permit for listener in self._listeners}
        refused = await in_thread(lambda: refusals(permits))
        for listener in self._listeners:
            if listener.permit in refused:
                listener.push(End(reason=refused[listener.permit], again=False))
        self._people |= {permit.scope.user_id for permit in permits}
        await self._tell_people()

    def _forget_paces(self, now: float) -> None:
        """Take back the time left of what nobody told anything about for a while."""
        for plan, told in list(self._told.items()):
            if now - told.at > STALE_SECONDS:
                del self._told[plan]
                event = ProgressOf(plan=plan, now=without_pace(told.progress))
                for listener in self._listeners_of(told.owned):
                    listener.push_progress(event)

    def _tell_mode(self) -> None:
        if not self._has_database:
            self._mode = WITHOUT_DATABASE
        else:
            self._mode = LIVE if self._has_redis else WITHOUT_REDIS
        for listener in self._listeners:
            listener.push_state(self._mode)

    def _hearing_persons(self) -> list[Listener]:
        return [one for one in self._listeners if one.permit.scope.hears_person]

    def _listeners_of(self, owned: Owned) -> list[Listener]:
        return [one for one in self._listeners if one.permit.scope.includes(owned)]


def _push_person(listener: Listener, state: PersonState | None) -> None:
    if state is not None:
        for event in (state.engine, state.adapters, state.unread):
            listener.push_state(event)


def _is_final(states: Iterable[PlanState]) -> bool:
    return all(state.status in PLAN_FINAL for state in states)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, LiveHub] = WeakKeyDictionary()


def live_hub() -> LiveHub:
    """Return the hub of the running event loop; a client of Redis belongs to one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = LiveHub(settings.REDIS_URL)
    return _hubs[loop]
