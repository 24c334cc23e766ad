"""Errors as pages for people, as problems for programs; no page tells what broke."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from engines.exceptions import ConflictError
from migrations_app.pages.base import PageView
from migrations_app.pages.errors import server_error
from migrations_app.pages.home import HomeView


@pytest.fixture
def client(db: None) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_user("alice"))
    return client


def test_what_is_not_there_is_a_page(client: Client) -> None:
    answer = client.get("/nothing/")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_what_is_not_there_in_the_api_is_a_problem(client: Client) -> None:
    answer = client.get("/api/v1/nothing")

    assert answer["Content-Type"] == "application/problem+json"
    assert b"There is nothing here" not in client.get("/v1/nothing").content


def test_a_form_without_its_token_changes_nothing(db: None) -> None:
    client = Client(enforce_csrf_checks=True)

    answer = client.post("/theme/", {"theme": "dark"})

    assert answer.status_code == 403
    assert "This page had expired" in answer.content.decode()
    assert not answer.cookies


@pytest.mark.parametrize("is_htmx", [True, False])
def test_a_refusal_says_its_own_sentence(
    client: Client, monkeypatch: pytest.MonkeyPatch, is_htmx: bool
) -> None:
    def refuse(_view: PageView, _request: HttpRequest) -> HttpResponse:
        raise ConflictError("Another plan runs; <wait> for it.")

    monkeypatch.setattr(HomeView, "get", refuse)

    answer = client.get("/", headers={"HX-Request": "true"} if is_htmx else {})

    assert answer.status_code == 409
    if is_htmx:
        assert "Another plan runs" in answer["HX-Trigger"]
        assert answer.content == b""
    else:
        assert "Another plan runs; &lt;wait&gt; for it." in answer.content.decode()


def test_a_fault_of_ours_is_told_as_nothing_but_that(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(_view: PageView, _request: HttpRequest) -> HttpResponse:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(HomeView, "get", break_down)

    answer = client.get("/")

    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.content.decode()
    assert "secret detail" not in answer.content.decode()


def test_the_page_of_a_fault_needs_nothing_that_may_be_broken(
    django_assert_num_queries: Any, db: None
) -> None:
    with django_assert_num_queries(0):
        answer = server_error(RequestFactory().get("/"))

    assert answer.status_code == 500


@pytest.mark.parametrize("path", ["/settings/sessions/", "/knowledge/1/delete/", "/migrate/"])
def test_an_address_that_only_a_form_is_sent_to_leads_on(client: Client, path: str) -> None:
    answer = client.delete(path) if path == "/migrate/" else client.get(path)

    assert (answer.status_code, "Go home" in answer.content.decode()) == (405, True)
    assert "There is no page here" in answer.content.decode()
    assert answer["Allow"].partition(",")[0] in ("POST", "GET")


@pytest.mark.parametrize(
    ("page", "led_to"),
    [
        ("http://testserver/knowledge/1/settings/?q=a&b#x", "/knowledge/1/settings/?q=a&b"),
        ("http://testserver", "/"),
        ("", "/"),
        ("https://elsewhere.example/knowledge/1/", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_who_sends_a_form_when_signed_out_comes_back_to_its_page(
    db: None, page: str, led_to: str
) -> None:
    answer = Client().post("/knowledge/1/delete/", headers={"Referer": page})

    assert answer["Location"] == f"/accounts/login/?{urlencode({'next': led_to})}"
