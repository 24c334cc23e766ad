"""Where Chromium is, and what it is asked to prove about a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
NONE_FOUND = (
    "no Chromium was found: install Debian's package chromium, or name the program in SAM_CHROMIUM"
)
SERIOUS = frozenset({"serious", "critical"})
PHONE_WIDTH = 360
MAX_PICTURE = 3000


def find_chromium() -> str | None:
    """Return the program that shows the pages; None where there is none."""
    named = os.environ.get("SAM_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Complaints:
    """What the browser held against a page: errors in its console, scripts that failed, the policy broken."""

    expected: str = ""
    """Part of a complaint that belongs to the test; empty: none does."""
    heard: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.heard.append(f"{page.url}: {error}"))

    def _hear(self, message: ConsoleMessage) -> None:
        if self.expected and self.expected in message.text:
            return
        if message.type in ("error", "warning"):
            self.heard.append(f"{message.type}: {message.text}")


Screenshot = Callable[[Page, str], None]


def assert_accessible(page: Page) -> None:
    """Fail on any serious finding of axe-core, naming the rule and where it is broken."""
    found: dict[str, Any] = Axe().run(page).response
    serious = [
        f"{finding['id']} ({finding['impact']}): {finding['help']}\n"
        + "\n".join(f"    {node['html'][:160]}" for node in finding["nodes"][:5])
        for finding in found["violations"]
        if finding["impact"] in SERIOUS
    ]
    assert not serious, f"{page.url}\n" + "\n".join(serious)


def assert_fits(page: Page) -> None:
    """Fail where a page has to be pushed sideways to be read."""
    # After a click the next page may have an address and nothing of its document yet.
    expect(page.locator("body")).to_be_visible()
    page.wait_for_load_state()
    wide = page.evaluate("document.documentElement.scrollWidth")
    room = page.evaluate("document.documentElement.clientWidth")
    culprits = page.evaluate(
        "w => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > w + 1)"
        ".slice(0, 5).map(e => e.outerHTML.slice(0, 120))",
        room,
    )
    assert wide <= room, f"{page.url} is {wide} wide in {room}: {culprits}"
    cut = page.evaluate(
        "[...document.querySelectorAll('.table-wrap')].filter(e => e.scrollWidth > e.clientWidth)"
        ".map(e => [e.scrollWidth, e.clientWidth, e.innerText.slice(0, 120)])"
    )
    assert cut == [], f"{page.url} has tables that are wider than their place: {cut}"


def save_screenshot(folder: Path, page: Page, name: str) -> None:
    """Keep a picture of the whole page.

    Of a phone, whose bar lies over the page, and of a page that goes on and on: of what is on the screen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fits = page.evaluate(
        f"innerWidth > {PHONE_WIDTH} && document.body.scrollHeight < {MAX_PICTURE}"
    )
    page.screenshot(path=folder / f"{name}.png", full_page=fits)


def close_context(context: BrowserContext, complaints: Complaints) -> None:
    """End a reader's session and say what the browser held against its pages."""
    context.close()
    assert not complaints.heard, "\n".join(complaints.heard)
