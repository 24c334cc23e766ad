from __future__ import annotations

import re

from django.test import Client
from redis import Redis

from engines.models import EngineFallback, Host
from engines.services.hosts import join_host
from engines.services.people.fallbacks import note_incident
from tests.admin.test_admin import act, curator, engines, operator, people
from tests.api.roles import Engines

__all__ = ["curator", "engines", "operator", "people"]

HOSTS = "/admin/engines/host/"


def test_an_operator_drains_takes_back_and_retires(
    operator: Client, engines: Engines, redis_client: Redis
) -> None:
    hosts = [engines.host]

    assert "cannot become retired" in act(operator, HOSTS, "retire", hosts)
    assert act(operator, HOSTS, "drain", hosts) == "1 host is draining."
    assert act(operator, HOSTS, "resume", hosts) == "1 host is active again."
    assert act(operator, HOSTS, "drain_knowing", hosts) == "1 host is draining."
    assert act(operator, HOSTS, "retire", hosts) == "1 host is retired."
    said = act(operator, HOSTS, "invite_again", hosts)
    token = re.search(r"SAM_JOIN_TOKEN=(\S+)", said)
    assert token is not None
    assert join_host("gpu-1", token[1]).status == "joining"

    page = operator.get(f"{HOSTS}{engines.host.pk}/change/").content.decode()
    assert "Drained, and nothing runs there." in page


def test_a_curator_moves_no_host_and_reads_what_answers_instead(
    curator: Client, operator: Client, engines: Engines
) -> None:
    answer = curator.post(HOSTS, {"action": "drain", "_selected_action": [engines.host.pk]})
    assert answer.status_code in (200, 302, 403)
    assert Host.objects.get(pk=engines.host.pk).status == "active"

    rule = {"engine": engines.old.pk, "answers": engines.new.pk}
    assert curator.post("/admin/engines/enginefallback/add/", rule).status_code == 403
    assert not EngineFallback.objects.exists()
    assert operator.post("/admin/engines/enginefallback/add/", rule).status_code == 302
    same = {"engine": engines.new.pk, "answers": engines.new.pk}
    assert operator.post("/admin/engines/enginefallback/add/", same).status_code == 200
    assert EngineFallback.objects.count() == 1
    assert "llama-8b" in curator.get("/admin/engines/enginefallback/").content.decode()
    failed, other = engines.old.current_revision, engines.new.current_revision
    assert failed is not None
    assert other is not None
    note_incident(failed.pk, other.pk, "It crashed.")
    assert "It crashed." in curator.get("/admin/engines/fallbackincident/").content.decode()


def test_an_operator_sets_limits_and_a_curator_reads_them(
    curator: Client, operator: Client, engines: Engines
) -> None:
    page = f"{HOSTS}{engines.host.pk}/change/"
    inlines = {
        f"{name}-{total}_FORMS": "0"
        for name in ("copies", "events")
        for total in ("TOTAL", "INITIAL")
    }

    assert operator.post(page, {"limits": '{"plans": 4}', **inlines}).status_code == 302
    wrong = operator.post(page, {"limits": '{"plnas": 4}', **inlines})
    assert "A host has no limit" in wrong.content.decode()
    assert curator.post(page, {"limits": "{}", **inlines}).status_code == 403
    host = Host.objects.get(pk=engines.host.pk)
    assert (host.limits, host.status) == ({"plans": 4}, "active")
    assert "plans" in curator.get(page).content.decode()

    assert operator.post(page, {"limits": "", **inlines}).status_code == 302
    host.refresh_from_db()
    assert host.limits == {}
