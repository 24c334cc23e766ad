"""A base of an older SAM is embedded anew in a browser: from the offer on its page to the end, and nothing is left to offer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from engines.models import Chunk, KnowledgeBase
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.pages.chromium import assert_accessible, assert_fits
from tests.plans.hash_world import leave_out
from tests.plans.passages.test_cut_anew import base, engines  # noqa: F401
from tests.plans.test_meaning import host, lent, place  # noqa: F401
from worker.steps.runner import run_step

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LONG_MS = 120_000.0
"""Other work may hold the machine; nothing is judged by how long it takes."""


def run_steps(plan: Plan) -> None:
    """Do what the host's worker does, in this process and with an embedder without a model."""
    for step in plan.steps.order_by("position"):
        run_step(step.pk)
    plan.refresh_from_db()


def test_a_base_that_an_older_rule_cut_is_embedded_anew_to_its_end(
    base: KnowledgeBase,  # noqa: F811
    signed_in_page: Callable[..., Page],
) -> None:
    page = signed_in_page(User.objects.get(), bypass_csp=True)
    heading = page.get_by_role("heading", level=1)
    page.goto(f"/knowledge/{base.pk}/")
    page.get_by_role("button", name="See what embedding anew means").click()
    expect(heading).to_have_text("What embedding “Notes” anew means", timeout=LONG_MS)
    plan = Plan.objects.get(kind="re_embed")
    leave_out(plan.pk, ("fetch_engine",))

    page.get_by_role("link", name="Options").last.click()
    page.get_by_role("button", name="Go on to the summary").click()
    expect(heading).to_have_text("Embed “Notes” anew?", timeout=LONG_MS)
    page.get_by_role("button", name="Embed anew now").click()
    expect(heading).to_have_text("Embedding “Notes” anew", timeout=LONG_MS)
    run_steps(plan)

    assert plan.status == PlanStatus.COMPLETED
    # By itself: the page is told of the end.
    expect(heading).to_have_text("“Notes” is cut and embedded anew", timeout=LONG_MS)
    assert_accessible(page)
    assert_fits(page)
    page.goto(f"/knowledge/{base.pk}/")
    expect(heading).to_have_text("Notes")
    expect(page.get_by_role("button", name="See what embedding anew means")).to_have_count(0)
    assert not Chunk.objects.filter(deleted_seq__isnull=True, start_char=None).exists()
