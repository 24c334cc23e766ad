"""What every answer says to browsers and caches, whoever asks for what."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api.roles import People

PAGES = (
    "/admin/login/",
    "/api/v1/me",
    "/api/schema/",
    "/api/docs/",
    "/healthz",
    "/nothing",
    "/v1/x",
)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_kept_and_only_our_code_runs(db: None, page: str) -> None:
    answer = Client().get(page)

    assert answer["Cache-Control"] == "no-store"
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src" not in policy
    assert ("unsafe-inline" in policy) == page.startswith("/api/docs/")
    assert "frame-ancestors 'none'" in policy


def test_static_files_are_kept(db: None) -> None:
    answer = Client().get("/static/admin/css/base.css")

    assert answer.status_code == 200
    assert answer["Cache-Control"] != "no-store"
    answer.close()


def test_pages_hold_no_code_that_the_policy_would_stop(people: People) -> None:
    User.objects.filter(pk=people.administrator.pk).update(is_staff=True)
    client = Client()
    client.force_login(people.administrator)

    for page in ("/admin/", "/admin/engines/catalogmodel/", "/admin/auth/user/", "/api/docs/"):
        html = client.get(page).content.decode()
        inline = [tag for tag in html.split("<script")[1:] if "src=" not in tag.split(">")[0]]
        assert not [tag for tag in inline if "application/json" not in tag.split(">")[0]], page
        assert " onclick=" not in html
