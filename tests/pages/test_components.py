"""Components as HTML: what is given to them stays text, and forms say what is wrong where it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django import forms
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils import timezone

from engines.exceptions import ConflictError
from engines.models import AdapterStatus, CopyStatus, Host, HostStatus
from engines.runtimes.base import ModelStatus
from migrations_app.pages.components import StepLine, paginate
from migrations_app.pages.forms import ChoiceCards, PageForm
from migrations_app.signs import look_of
from migrations_app.states import PlanStatus, StepStatus

HOSTILE = "<script>alert('\"')</script>"


def drawn(source: str, **context: object) -> str:
    request = RequestFactory().get("/?family=llama&page=1")
    return Template("{% load sam %}" + source).render(Context({"request": request, **context}))


@pytest.mark.parametrize(
    "source",
    [
        "{% button text title=text data_x=text %}",
        "{% link_button text text %}",
        "{% icon 'check' label=text %}",
        "{% badge text %}",
        "{% progress 50 text note=text %}",
        "{% stat text text note=text %}",
        "{% notice text title=text %}",
        "{% empty text text action=text href=text %}",
        "{% citation 1 text text %}",
        "{% steps steps %}",
    ],
)
def test_what_is_given_stays_text(source: str) -> None:
    steps = [StepLine(HOSTILE, StepStatus.FAILED, note=HOSTILE, error=HOSTILE)]

    html = drawn(source, text=HOSTILE, steps=steps)

    assert "<script>" not in html
    assert "alert('" not in html


@pytest.mark.parametrize(
    "status", [*PlanStatus, *StepStatus, *HostStatus, *CopyStatus, *AdapterStatus, *ModelStatus]
)
def test_every_status_has_a_look(status: str) -> None:
    assert look_of(status).label in drawn("{% status value %}", value=status)


def test_attributes_are_written_left_out_or_bare() -> None:
    html = drawn("{% button 'Go' hx_post='/x' disabled=yes hidden=no %}", yes=True, no=False)

    assert ' hx-post="/x"' in html
    assert " disabled>" in html
    assert "hidden" not in html


@pytest.mark.parametrize(("percent", "shown"), [(-5, "0.0"), (33.333, "33.3"), (250, "100.0")])
def test_a_bar_stays_within_its_ends(percent: float, shown: str) -> None:
    assert f'value="{shown}"' in drawn("{% progress percent 'Going' %}", percent=percent)


def test_a_bar_without_an_end_has_no_value() -> None:
    assert "value=" not in drawn("{% progress None 'Going' %}")


def test_a_time_is_given_to_the_reader_with_its_zone() -> None:
    moment = datetime(2026, 11, 29, 1, 2, tzinfo=UTC)

    html = drawn("{% when moment 'absolute' %}", moment=moment)

    assert 'datetime="2026-11-29T01:02:00+00:00"' in html
    assert "29 Nov 2026, 01:02 UTC" in html


def test_a_time_in_the_readers_zone_is_not_called_another_ones() -> None:
    moment = datetime(2026, 11, 29, 1, 2, tzinfo=UTC)

    with timezone.override("Asia/Tokyo"):
        html = drawn("{% when moment 'absolute' %}", moment=moment)

    assert "29 Nov 2026, 10:02 JST" in html


class Sample(PageForm):
    name = forms.CharField(help_text="As others see it.")
    when = forms.ChoiceField(
        choices=[("now", "Now"), ("later", "Later")], widget=ChoiceCards({"now": "At once."})
    )


def test_a_form_says_what_is_wrong_where_it_is() -> None:
    form = Sample({"name": "", "when": "never"})
    form.is_valid()
    form.refuse(ConflictError("The name is taken; choose another."))

    html = form.render()

    assert html.count("field-error") == 2
    assert 'aria-describedby="id_name_helptext id_name_error"' in html
    assert 'id="id_name_error"' in html
    assert 'aria-invalid="true"' in html
    assert "The name is taken; choose another." in html
    assert "At once." in html


@pytest.mark.parametrize("asked", ["x", "-1", "999", "", "\x00"])
def test_a_page_that_is_none_is_the_nearest_one(db: None, asked: str) -> None:
    Host.objects.bulk_create(Host(name=f"host-{number}") for number in range(5))

    page = paginate(RequestFactory().get("/", {"page": asked}), Host.objects.all(), 2)

    assert page.number in (1, 3)


def test_pages_keep_what_was_asked(db: None) -> None:
    Host.objects.bulk_create(Host(name=f"host-{number}") for number in range(5))
    page = paginate(RequestFactory().get("/"), Host.objects.all(), 2)

    html = drawn("{% pages page %}", page=page)

    assert "1–2 of 5" in html
    assert 'href="?family=llama&amp;page=2"' in html
    assert "Previous" not in html


@pytest.mark.parametrize(
    "back", ["https://elsewhere.example/", "//elsewhere.example", "javascript:1"]
)
def test_choosing_a_theme_leads_nowhere_else(db: None, back: str) -> None:
    answer = Client().post("/theme/", {"theme": "dark", "next": back})

    assert answer["Location"] == "/"
    assert answer.cookies["sam-theme"].value == "dark"


def test_a_theme_that_is_none_is_the_systems(db: None) -> None:
    client = Client()
    client.cookies["sam-theme"] = '"><script>'

    html = client.get("/accounts/login/").content.decode()

    assert "data-theme=" not in html.split(">")[1]
    assert client.post("/theme/", {"theme": "blue"}).cookies["sam-theme"].value == ""
