"""Flower behind SAM's login: who sees it, what is handed on, the way from a plan to its task and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import flower
import pytest
from django.test import Client

from migrations_app.plans.transitions import start_plan
from migrations_app.wakeups import publish_step, step_task_id
from samproject.web.flower_page import _BEFORE, _REFRESH
from tests.api.roles import Engines, People, make_engines, make_people, make_plan, use_engine

FORM = "application/x-www-form-urlencoded"
WORKERS = """<html><main class="app-content" id="main-content">
<script type="text/javascript">
  var autorefresh = 1;
</script><script>alert("what a task said")</script></main></html>"""


class Stub(BaseHTTPRequestHandler):
    """Says what was asked of it, as Flower's pages are built."""

    asked: list[tuple[str, str | None, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"], self.headers["Cookie"]))
        is_page = not self.path.startswith("/flower/api")
        body = WORKERS.encode() if is_page else b'{"a": 1}'
        self.send_response(302 if self.path.endswith("login") else 200)
        self.send_header("Content-Type", "text/html" if is_page else "application/json")
        self.send_header("Set-Cookie", "_xsrf=1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def asked(settings: Any) -> Iterator[list[Any]]:
    Stub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    Thread(target=server.serve_forever, daemon=True).start()
    settings.SAM_FLOWER_URL = f"http://127.0.0.1:{server.server_port}"
    settings.SAM_FLOWER_PASSWORD = "secret"
    yield Stub.asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def engines(people: People) -> Engines:
    return make_engines()


@pytest.fixture
def operator(people: People) -> Client:
    people.operator.is_staff = True
    people.operator.save()
    client = Client()
    client.force_login(people.operator)
    return client


def test_operators_read_it_and_nobody_else_is_handed_on(
    people: People, operator: Client, asked: list[Any]
) -> None:
    stranger = Client()
    assert (
        stranger.get("/flower/").headers["Location"].startswith("/accounts/login/?next=%2Fflower")
    )
    stranger.force_login(people.alice)
    assert stranger.get("/flower/").status_code == 403
    assert operator.post("/flower/api/task/revoke/x").status_code == 405
    assert asked == []

    answer = operator.get("/flower/api/tasks", {"limit": "3"})

    assert (answer.status_code, answer.json()) == (200, {"a": 1})
    assert asked == [("/flower/api/tasks?limit=3", "Basic c2FtOnNlY3JldA==", None)]
    assert "_xsrf" not in answer.cookies


def test_the_table_of_tasks_is_asked_for_its_rows_though_it_posts_without_a_token(
    people: People, asked: list[Any]
) -> None:
    table = "/flower/tasks/datatable"
    # As Flower's own script posts it.
    posted = {"draw": "1", "search[value]": "state:FAILURE a&b", "order[0][dir]": "desc"}
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.alice)
    assert browser.post(table, posted).status_code == 403
    assert asked == []

    browser.force_login(people.operator)
    assert browser.post("/flower/tasks", posted).status_code in {403, 405}
    assert asked == []
    assert browser.post(table, urlencode(posted), FORM).status_code == 200

    [(address, _, cookie)] = asked
    assert dict(parse_qsl(urlsplit(address).query)) == posted
    assert (urlsplit(address).path, cookie) == (table, None)


def test_a_page_runs_no_script_but_flowers_own_and_leads_back(
    operator: Client, asked: list[Any]
) -> None:
    page = operator.get("/flower/workers")
    task = operator.get("/flower/task/12345678-1234-1234-1234-123456789abc.re_embed.2")

    policy = page.headers["Content-Security-Policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None
    assert len(scripts[1].split()) == 2
    assert "unsafe-inline" not in scripts[1]
    assert 'href="/admin/migrations_app/plan/"' in page.content.decode()
    link = "/admin/migrations_app/plan/12345678-1234-1234-1234-123456789abc/change/"
    assert f'href="{link}"' in task.content.decode()


def test_flower_that_is_silent_or_sends_elsewhere_is_said_in_a_sentence(
    operator: Client, asked: list[Any], settings: Any
) -> None:
    assert operator.get("/flower/login").status_code == 503
    settings.SAM_FLOWER_URL = "http://127.0.0.1:9"
    answer = operator.get("/flower/")
    assert (answer.status_code, "Flower does not answer" in answer.content.decode()) == (503, True)
    settings.SAM_FLOWER_URL = ""
    assert operator.get("/flower/").status_code == 404


def test_a_plan_leads_to_its_tasks_which_name_it(
    operator: Client, people: People, engines: Engines, asked: list[Any], settings: Any
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    start_plan(plan.pk, who="oscar")
    step = plan.steps.select_related("plan", "host").earliest("position")
    publish_step(step)
    address = f"/admin/migrations_app/plan/{plan.pk}/change/"

    page = operator.get(address).content.decode()
    task = f"/flower/task/{step_task_id(plan.pk, step.kind, 1)}"
    assert f'href="{task}"' in page
    assert 'href="/flower/"' in page
    assert f'href="{address}"' in operator.get(task).content.decode()
    found = operator.get("/admin/migrations_app/plan/", {"q": str(plan.pk)})
    assert [row.pk for row in found.context["cl"].result_list] == [plan.pk]

    settings.SAM_FLOWER_URL = ""
    assert "/flower/" not in operator.get(address).content.decode()


def test_flowers_own_files_are_as_they_are_read_here() -> None:
    templates = Path(flower.__file__).parent / "templates"

    assert _BEFORE in (templates / "base.html").read_text()
    written = (templates / "workers.html").read_text().replace("{{ autorefresh }}", "1")
    assert _REFRESH.search(written)
    script = (templates.parent / "static" / "js" / "flower.js").read_text()
    assert re.search(r"type: 'POST',\s+url: url_prefix\(\) \+ '/tasks/datatable'", script)
