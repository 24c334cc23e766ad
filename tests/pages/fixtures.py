"""Pages in Chromium, served by the web process as it runs in production.

Playwright keeps an event loop in the thread that drives it, for as long as it runs; so it ends before a file
without a browser begins, and until then Django is told that a thread with a loop may ask the database.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from pytest_django.plugin import DjangoDbBlocker

from samproject.supervisor.embedded import EmbeddedServices
from tests.beforehand.kept import Kept
from tests.openai_api.web import WebProcess
from tests.pages.chromium import (
    NONE_FOUND,
    PHONE_WIDTH,
    Complaints,
    Screenshot,
    close_context,
    find_chromium,
    save_screenshot,
)

SCREENSHOTS = Path(__file__).resolve().parent.parent.parent / "docs" / "screenshots"
KEPT: Kept[Browser] = Kept("chromium")
DESKTOP = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=PHONE_WIDTH, height=780)
PATIENCE_MS = 60_000.0
expect.set_options(timeout=PATIENCE_MS)
"""Other work may hold the machine; nothing is judged by how long it takes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots",
        action="store_true",
        help="write the pages' pictures to docs/screenshots; without it no test changes a file there",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.getreports("skipped")
    skipped = [report for report in reports if NONE_FOUND in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests in a browser were not run: {NONE_FOUND}."
        )


@pytest.fixture(scope="module")
def chromium() -> Browser:
    """The browser of the files that ask for it; their tests are skipped where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip(NONE_FOUND)
    return KEPT.take(partial(_start_chromium, program))


@contextmanager
def _start_chromium(program: str) -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        # As root there is no box of Chromium's own; the pages are ours.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def web(
    tmp_path_factory: pytest.TempPathFactory,
    services: EmbeddedServices,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[WebProcess]:
    """SAM's web process on the database of this test run."""
    with (
        django_db_blocker.unblock(),
        WebProcess(tmp_path_factory.mktemp("web"), web_environment()) as running,
    ):
        yield running


def web_environment() -> dict[str, str]:
    """Return what a process needs to serve this test run's data, with its settings."""
    database = connection.settings_dict
    where = quote(str(database["HOST"]), safe="")
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"postgresql://{database['USER']}:{database['PASSWORD']}@{where}/{database['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "SAM_BACKUP_KEY": settings.SAM_BACKUP_KEY,
        "SAM_DATA_DIR": str(settings.SAM_DATA_DIR),
    }


@pytest.fixture
def open_context(
    chromium: Browser, web: WebProcess, transactional_db: None
) -> Iterator[Callable[..., BrowserContext]]:
    """Open a reader's browser; what it held against the pages fails the test at its end.

    Keywords are Playwright's, such as ``viewport`` and ``color_scheme``; ``expected`` is a part of the one
    complaint that the test itself brings about.
    """
    opened: list[tuple[BrowserContext, Complaints]] = []

    def open_one(*, expected: str = "", **options: object) -> BrowserContext:
        complaints = Complaints(expected)
        defaults = {"viewport": DESKTOP, "base_url": web.address}
        context = chromium.new_context(**{**defaults, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        context.on("page", complaints.listen)
        opened.append((context, complaints))
        return context

    yield open_one
    for context, complaints in opened:
        close_context(context, complaints)


@pytest.fixture
def signed_in_page(
    open_context: Callable[..., BrowserContext], web: WebProcess
) -> Callable[..., Page]:
    """``signed_in_page(user)`` returns a page of a browser in which that person is signed in."""

    def open_page(user: User, **options: object) -> Page:
        context = open_context(**options)
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session_of(user)}
        context.add_cookies([{**cookie, "url": web.address}])  # type: ignore[typeddict-item]
        return context.new_page()

    return open_page


def session_of(user: User) -> str:
    """Sign a person in and return the cookie that says so."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Screenshot:
    """``screenshot(page, name)`` keeps a picture in docs/screenshots where --screenshots asks for it."""
    if request.config.getoption("--screenshots"):
        return partial(save_screenshot, SCREENSHOTS)
    return _leave_files_alone


def _leave_files_alone(_page: Page, _name: str) -> None:
    """Stand in where nobody asked for pictures."""
