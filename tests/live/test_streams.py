"""Streams of a real web process, told by what a worker does on the real database and Redis."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.contrib.auth.models import User
from django.db import connection
from redis import Redis

from engines.models import ApiToken, EnginePreference, NoticeKind
from engines.services.people.notices import Message, notify
from engines.services.people.tokens import end_tokens
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.transitions import claim_step, release_step
from migrations_app.serving.news import PersonNews, tell
from tests.live.conftest import LISTENED, Owner, Work, plan_of
from tests.live.sse_client import Listening
from tests.openai_api.web import WebProcess
from tests.redis_admin import admin_redis
from tests.tokens import token_for
from tests.worker.plans import first_step
from tests.worker.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def plan_stream(web: WebProcess, plan: Plan) -> str:
    return f"{web.address}/api/v1/plans/{plan.pk}/events"


def own_stream(web: WebProcess, query: str = "") -> str:
    return f"{web.address}/api/v1/events{query}"


def numbers(plan: Plan) -> list[int]:
    return list(PlanEvent.objects.filter(plan=plan).order_by("pk").values_list("pk", flat=True))


def heard(listening: Listening) -> list[int]:
    return [data["id"] for data in listening.named("change")]


def test_a_plan_is_told_from_its_first_change_to_its_end(web: WebProcess, owner: Owner) -> None:
    plan = plan_of(owner.user)
    before = numbers(plan)
    with Listening(plan_stream(web, plan), owner.token) as listening:
        assert listening.first("plan")["status"] == "in_progress"
        work = Work(plan)
        work.report(10, 100)
        told = listening.first("progress")
        work.finish()
        end = listening.first("end")
        listening.ended.wait(60)

    assert heard(listening) == [number for number in numbers(plan) if number not in before]
    assert told["plan"] == str(plan.pk)
    assert (told["now"]["done"], told["now"]["total"], told["now"]["unit"]) == (10, 100, "texts")
    assert listening.named("plan")[-1]["status"] == "completed"
    assert listening.named("plan")[-1]["percentage"] == 100.0
    assert end["again"] is False
    assert listening.events[-1].name == "end"
    assert listening.headers is not None
    assert listening.headers["x-accel-buffering"] == "no"
    assert listening.headers["cache-control"] == "no-store"
    assert "content-encoding" not in listening.headers


def test_a_person_hears_of_their_own_plans_engine_adapters_and_notices_and_of_nobody_elses(
    web: WebProcess, owner: Owner
) -> None:
    stranger = User.objects.create_user("bob")
    with Listening(own_stream(web), owner.token) as listening:
        assert listening.first("engine")["model_id"] is None
        assert listening.first("adapters")["adapters"] == []
        foreign, mine = plan_of(stranger), plan_of(owner.user)
        Work(foreign).finish()
        notify([stranger], Message(NoticeKind.PLAN_DONE, "Not for you"))
        notify([owner.user], Message(NoticeKind.PLAN_DONE, "For you", link="/migrate/"))
        Work(mine).finish()
        listening.wait_for(lambda plan: plan["status"] == "completed", "plan")
        notice = listening.first("notice")
        listening.wait_for(lambda unread: unread["count"] == 1, "unread")

    assert {data["plan"] for data in listening.named("change")} == {str(mine.pk)}
    assert {data["id"] for data in listening.named("plan")} == {str(mine.pk)}
    assert (len(listening.named("notice")), notice["title"]) == (1, "For you")
    assert notice["link"] == "/migrate/"


def test_an_engine_that_is_chosen_is_told_once(
    web: WebProcess, owner: Owner, tiny_llama: Path
) -> None:
    from tests.worker.live.test_live import make_revision  # noqa: PLC0415
    from tests.worker.plans import make_host  # noqa: PLC0415

    revision = make_revision(tiny_llama, make_host())
    with Listening(own_stream(web), owner.token) as listening:
        listening.first("engine")
        EnginePreference.objects.create(user=owner.user, engine=revision.model, revision=revision)
        for _ in range(2):
            tell(PersonNews(user=owner.user.pk))
        chosen = listening.wait_for(lambda state: state["model_id"] is not None, "engine")
        plan_of(owner.user)
        listening.first("change")

    assert chosen["revision_id"] == revision.pk
    assert len(listening.named("engine")) == 2


class Mover(threading.Thread):
    """Makes as many changes as the state machine allows: taken, given back, taken …"""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step
        self._stop_wanted = threading.Event()

    def run(self) -> None:
        while not self._stop_wanted.wait(0.02):
            claim = claim_step(self._step.pk, "me")
            if claim is not None:
                release_step(claim, why="Again.")
            Step.objects.filter(pk=self._step.pk).update(attempts=0)
        connection.close()

    def end(self) -> None:
        self._stop_wanted.set()
        self.join(60)


def test_nothing_is_lost_or_doubled_by_a_killed_web_process_and_an_emptied_redis(
    tmp_path: Path, environment: dict[str, str], owner: Owner, redis_client: Redis
) -> None:
    plan = plan_of(owner.user)
    step = first_step(plan)
    before = numbers(plan)
    mover = Mover(step)
    mover.start()
    last_id, found = "", []
    try:
        for life in range(3):
            with WebProcess(tmp_path, environment) as web:
                where = own_stream(web) if life else plan_stream(web, plan)
                with Listening(where, owner.token, last_id=last_id) as listening:
                    listening.first("change")
                    admin_redis().flushall()
                    count = len(heard(listening))
                    wait_until(lambda: len(heard(listening)) > count + 5, "changes after the wipe")  # noqa: B023
                    if life == 2:
                        mover.end()
                        wait_until(
                            lambda: heard(listening)[-1] == numbers(plan)[-1], "the last one"
                        )
                    web.kill()
                    listening.ended.wait(60)
            (tmp_path / "web.log").unlink()
            last_id = listening.last_id
            found += heard(listening)
    finally:
        mover.end()

    assert found == sorted(found)
    first = found[0]
    assert found == [number for number in numbers(plan) if number >= first and number not in before]


def test_without_redis_the_database_is_told_and_the_stream_says_so(
    tmp_path: Path, environment: dict[str, str], owner: Owner
) -> None:
    nowhere = {**environment, "REDIS_URL": f"unix://{tmp_path}/none.sock"}
    plan = plan_of(owner.user)
    with (
        WebProcess(tmp_path, nowhere) as web,
        Listening(plan_stream(web, plan), owner.token) as listening,
    ):
        mode = listening.wait_for(lambda mode: not mode["live"], "mode")
        work = Work(plan)
        plan.steps.update(progress=0.25, detail="A quarter.")
        now = listening.wait_for(lambda data: data["now"]["progress"] == 0.25, "progress")["now"]
        work.finish()
        listening.first("end")

    assert "Redis is away" in mode["reason"]
    assert "seconds_left" not in now
    assert listening.named("plan")[-1]["status"] == "completed"


def test_who_may_listen_no_more_is_told_so_and_hears_nothing_after(
    web: WebProcess, owner: Owner
) -> None:
    others = [User.objects.create_user(name) for name in ("left", "moved")]
    kept = plan_of(owner.user)
    moved = plan_of(others[1])
    with (
        Listening(own_stream(web), owner.token) as revoked,
        Listening(own_stream(web), token_for(others[0])) as left,
        Listening(plan_stream(web, moved), token_for(others[1])) as no_longer_theirs,
        Listening(own_stream(web), token_for(owner.user)) as stays,
    ):
        for listening in (revoked, left, no_longer_theirs, stays):
            listening.first("mode")
        ApiToken.objects.filter(
            pk=ApiToken.objects.filter(user=owner.user).order_by("pk")[0].pk
        ).delete()
        User.objects.filter(pk=others[0].pk).update(is_active=False)
        Plan.objects.filter(pk=moved.pk).update(created_by=owner.user)
        ends = [one.first("end") for one in (revoked, left, no_longer_theirs)]
        Work(kept).finish()
        stays.wait_for(lambda plan: plan["status"] == "completed", "plan")

    assert [end["again"] for end in ends] == [False] * 3
    assert "sign in" in ends[0]["reason"]
    assert "not yours" in ends[2]["reason"]
    assert heard(revoked) == []


def test_a_session_that_ended_ends_its_stream(web: WebProcess, owner: Owner) -> None:
    from django.test import Client  # noqa: PLC0415

    browser = Client()
    browser.force_login(owner.user)
    cookie = browser.cookies["sessionid"].value
    found: dict[str, Any] = {}

    class Browser(Listening):
        def _run(self) -> None:
            self._headers = {"Cookie": f"sessionid={cookie}"}
            super()._run()

    with Browser(own_stream(web), "") as listening:
        listening.first("mode")
        browser.logout()
        found = listening.first("end")

    assert found["again"] is False


def test_a_stranger_an_answering_token_and_one_too_many_are_refused(
    tmp_path: Path, environment: dict[str, str], owner: Owner, redis_client: Redis
) -> None:
    plan = plan_of(owner.user)
    stranger = token_for(User.objects.create_user("bob"))
    with WebProcess(tmp_path, {**environment, "SAM_LISTENERS_AT_ONCE": "2"}) as web:

        def ask(token: str, address: str) -> Any:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return httpx2.get(address, headers=headers, timeout=60)

        refused = [ask(stranger, plan_stream(web, plan)), ask("", own_stream(web))]
        not_theirs = ask(stranger, own_stream(web, "?scope=all"))
        with Listening(own_stream(web), owner.token) as one:
            one.first("mode")
            with Listening(plan_stream(web, plan), owner.token) as two:
                two.first("mode")
                too_many = ask(owner.token, own_stream(web))
        wait_until(
            lambda: not redis_client.zcard(f"sam:held:listeners:{owner.user.pk}"), "free places"
        )

    assert [answer.status_code for answer in refused] == [404, 401]
    assert not_theirs.status_code == 403
    assert (too_many.status_code, too_many.json()["code"]) == (429, "too_many_at_once")
    assert too_many.headers["content-type"] == "application/problem+json"


def test_a_server_that_ends_tells_its_listeners_when_to_come_again(
    web: WebProcess, owner: Owner
) -> None:
    with Listening(own_stream(web), owner.token) as listening:
        listening.first("mode")
        web.process.send_signal(signal.SIGTERM)
        end = listening.first("end")
        assert listening.ended.wait(60)
        web.process.wait(60)

    assert end["again"] is True
    assert len(listening.retry) == 2
    assert listening.retry[1] > listening.retry[0]


def test_listeners_hold_no_connection_to_the_database(web: WebProcess, owner: Owner) -> None:
    listeners = [Listening(own_stream(web), owner.token) for _ in range(15)]
    for listening in listeners:
        listening.__enter__()
    try:
        for listening in listeners:
            listening.first("mode")
        plan = plan_of(owner.user)
        for listening in listeners:
            listening.wait_for(lambda change: change["plan"] == str(plan.pk), "change")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [LISTENED]
            )
            (connections,) = cursor.fetchone() or (0,)
    finally:
        for listening in listeners:
            listening.__exit__()

    # Those that lie idle for reuse, and the one that reads for all.
    assert 0 < connections <= 9


def test_a_comment_comes_while_there_is_nothing_to_tell(web: WebProcess, owner: Owner) -> None:
    with Listening(own_stream(web), owner.token) as listening:
        listening.first("mode")
        count = len(listening.events)
        wait_until(lambda: listening.comments > 0, "a comment")

    assert len(listening.events) == count


def test_an_ended_token_opens_nothing(web: WebProcess, owner: Owner) -> None:
    end_tokens(owner.user)

    answer = httpx2.get(
        own_stream(web), headers={"Authorization": f"Bearer {owner.token}"}, timeout=60
    )

    assert answer.status_code == 401
