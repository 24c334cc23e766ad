"""Prompts: a family's text and one's own, kept, compared, taken back; a stale change is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from engines.models import PromptTemplate, UserPrompts
from engines.services.people.preferences import edit_prompts, prompts_of
from tests.api.roles import Engines, People, use_engine

ADDRESS = "/settings/prompts/"


@pytest.fixture
def alice(people: People, engines: Engines) -> Client:
    PromptTemplate.objects.update_or_create(
        family="llama",
        defaults={"system_prompt": "Be brief.\nBe kind.", "reasoning_prompt": "Think."},
    )
    client = Client()
    client.force_login(people.alice)
    return client


def texts(client: Client, **changes: str) -> dict[str, Any]:
    form = client.get(f"{ADDRESS}llama/").context["form"]
    names = ("system_prompt", "reasoning_prompt", "chat_format", "made_on")
    return {**{name: form[name].value() or "" for name in names}, **changes}


def test_families_are_listed_with_the_one_in_use(
    alice: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    edit_prompts(people.alice, "llama", {"system_prompt": "Mine."})

    html = alice.get(ADDRESS).content.decode()

    assert 'href="/settings/prompts/llama/"' in html
    assert "In use" in html
    assert "Changed by you" in html


def test_a_change_is_kept_compared_and_taken_back(alice: Client, people: People) -> None:
    changed = texts(alice, system_prompt="Be brief.\r\nBe <b>frank</b>.")
    html = alice.post(f"{ADDRESS}llama/", changed, follow=True).content.decode()

    assert prompts_of(people.alice, "llama").system_prompt == "Be brief.\nBe <b>frank</b>."
    assert "<del>Be kind.</del>" in html
    assert "<ins>Be &lt;b&gt;frank&lt;/b&gt;.</ins>" in html
    assert UserPrompts.objects.get().reasoning_prompt is None, "what was not changed is no edit"
    alice.post(f"{ADDRESS}llama/", {**texts(alice), "take_back": "system_prompt"})
    assert prompts_of(people.alice, "llama").system_prompt == "Be brief.\nBe kind."
    assert UserPrompts.objects.get().system_prompt is None


def test_a_stale_change_is_refused_with_both_texts_and_can_be_sent_again(
    alice: Client, people: People
) -> None:
    stale = texts(alice, system_prompt="From this window.")
    edit_prompts(people.alice, "llama", {"system_prompt": "From another window."})

    answer = alice.post(f"{ADDRESS}llama/", stale)

    assert answer.status_code == 409
    assert prompts_of(people.alice, "llama").system_prompt == "From another window."
    html = answer.content.decode()
    assert "<del>From another window.</del>" in html
    assert "<ins>From this window.</ins>" in html
    form = answer.context["form"]
    again = {**stale, "made_on": form["made_on"].value()}
    assert form["system_prompt"].value() == "From this window."
    assert alice.post(f"{ADDRESS}llama/", again).status_code == 302
    assert prompts_of(people.alice, "llama").system_prompt == "From this window."


@pytest.mark.parametrize("change", [{"system_prompt": "x" * 20_001}, {"made_on": ""}])
def test_what_cannot_be_kept_is_refused(
    alice: Client, people: People, change: dict[str, str]
) -> None:
    before = prompts_of(people.alice, "llama")

    assert alice.post(f"{ADDRESS}llama/", texts(alice, **change)).status_code == 400
    assert prompts_of(people.alice, "llama") == before
    assert not UserPrompts.objects.exists()


def test_a_family_that_nobody_knows_is_not_there(alice: Client) -> None:
    asked = texts(alice, system_prompt="x")

    assert alice.get(f"{ADDRESS}unheard-of/").status_code == 404
    assert alice.post(f"{ADDRESS}unheard-of/", asked).status_code == 404
    assert not UserPrompts.objects.exists()
