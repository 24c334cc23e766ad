"""Settings of engines: why which one answers, defaults by administrators, fallbacks by operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from engines.models import EngineDefault, EngineFallback, EnginePreference
from engines.services.engine_choice import default_of, effective_engine
from tests.api.roles import Engines, People

Visit = Callable[[User], Client]
SETTINGS = "/engines/settings/"
DEFAULTS = "/engines/settings/defaults/"
FALLBACKS = "/engines/settings/fallbacks/"


def text_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content[:2000]
    return str(answer.content.decode())


def test_ones_own_choice_is_named(people: People, catalog: Engines, visit: Visit) -> None:
    EngineDefault.objects.create(engine=catalog.new)

    text = text_of(visit(people.alice).get(SETTINGS))

    assert "Llama 3.1 8B Instruct" in text
    assert "You chose it." in text
    assert "Without your own choice, Qwen 3 4B would answer you" in text
    assert "Fallbacks" not in text, "the organisation's settings are the staff's to read"


def test_without_a_choice_a_default_is_named(
    people: People, catalog: Engines, visit: Visit
) -> None:
    bob = visit(people.bob)
    assert "your organisation has no default" in text_of(bob.get(SETTINGS))

    EngineDefault.objects.create(engine=catalog.new)
    assert "It is your organisation’s default" in text_of(bob.get(SETTINGS))

    for name in ("Zoology", "Astronomy"):
        group = Group.objects.create(name=name)
        people.bob.groups.add(group)
        EngineDefault.objects.create(engine=catalog.old, group=group)
    assert "the default of your group Astronomy" in text_of(bob.get(SETTINGS))


def test_the_default_beneath_a_choice_is_the_one_that_would_answer(
    people: People, catalog: Engines
) -> None:
    assert default_of(people.bob) is None
    EngineDefault.objects.create(engine=catalog.new)
    group = Group.objects.create(name="Any")
    EngineDefault.objects.create(engine=catalog.old, group=group)

    for member in (False, True):
        people.bob.groups.set([group] if member else [])
        default = default_of(people.bob)
        assert default is not None
        assert effective_engine(people.bob)[0] == default.engine
    found = default_of(people.alice)
    assert found is not None
    EnginePreference.objects.filter(user=people.alice).delete()
    assert effective_engine(people.alice)[0] == found.engine == catalog.new


def test_an_administrator_sets_and_clears_defaults(
    people: People, catalog: Engines, visit: Visit
) -> None:
    Group.objects.create(name="Law & <order>")
    client = visit(people.administrator)

    client.post(DEFAULTS, {"group": "", "engine": "qwen-4b"})
    client.post(DEFAULTS, {"group": "Law & <order>", "engine": "llama-8b"})

    text = text_of(client.get(DEFAULTS))
    assert "Law &amp; &lt;order&gt;" in text
    assert "<order>" not in text
    assert {str(row) for row in EngineDefault.objects.all()} == {
        "organisation: qwen-4b",
        "Law & <order>: llama-8b",
    }
    client.post(DEFAULTS, {"do": "clear", "group": "Law & <order>"})
    assert [str(row) for row in EngineDefault.objects.all()] == ["organisation: qwen-4b"]
    assert "There is no such default." in text_of(
        client.post(DEFAULTS, {"do": "clear", "group": "Law & <order>"}), 404
    )


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"engine": "minilm"}, 400, "only embeds"),
        ({"engine": "draft-1b"}, 400, "is not published"),
        ({"engine": "reserved-8b"}, 400, "is reserved for research"),
        ({"engine": "unknown"}, 400, "No engine is called"),
        ({"engine": "qwen-4b", "group": "nobody"}, 404, "No group is called"),
        ({"engine": ""}, 200, "This field is required"),
        ({"engine": "a\0b"}, 200, "Null characters are not allowed"),
    ],
)
def test_a_default_that_cannot_answer_is_refused(
    people: People, catalog: Engines, visit: Visit, asked: dict[str, str], status: int, said: str
) -> None:
    client = visit(people.administrator)
    client.post(DEFAULTS, {"engine": "llama-8b"})

    assert said in text_of(client.post(DEFAULTS, asked), status)
    assert [str(row) for row in EngineDefault.objects.all()] == ["organisation: llama-8b"]


def test_who_may_read_and_write_defaults(people: People, catalog: Engines, visit: Visit) -> None:
    EngineDefault.objects.create(engine=catalog.new)

    for person in (people.curator, people.operator):
        client = visit(person)
        assert "Set a default" not in text_of(client.get(DEFAULTS))
        for asked in ({"engine": "llama-8b"}, {"do": "clear"}):
            assert client.post(DEFAULTS, asked).status_code == 403
    alice = visit(people.alice)
    assert alice.get(DEFAULTS).status_code == alice.post(DEFAULTS, {}).status_code == 403
    assert EngineDefault.objects.get().engine == catalog.new


def test_an_operator_sets_and_takes_away_rules(
    people: People, catalog: Engines, visit: Visit
) -> None:
    client = visit(people.operator)

    client.post(FALLBACKS, {"engine": "", "answers": ""})
    client.post(FALLBACKS, {"engine": "llama-8b", "answers": "qwen-4b"})

    text = text_of(client.get(FALLBACKS))
    assert "Any engine" in text
    assert "the engine each person used before" in text
    client.post(FALLBACKS, {"do": "clear", "engine": ""})
    rule = EngineFallback.objects.get()
    assert (rule.engine, rule.answers) == (catalog.old, catalog.new)
    assert "gone already" in text_of(client.post(FALLBACKS, {"do": "clear"}), 404)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"engine": "llama-8b", "answers": "llama-8b"}, "cannot answer for itself"),
        ({"engine": "minilm", "answers": "qwen-4b"}, "only embeds"),
        ({"engine": "unknown", "answers": "qwen-4b"}, "No engine is called"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    people: People, catalog: Engines, visit: Visit, asked: dict[str, str], said: str
) -> None:
    assert said in text_of(visit(people.operator).post(FALLBACKS, asked), 400)
    assert not EngineFallback.objects.exists()


def test_who_may_read_and_write_rules(people: People, catalog: Engines, visit: Visit) -> None:
    EngineFallback.objects.create(engine=catalog.old, answers=catalog.new)
    curator, alice = visit(people.curator), visit(people.alice)

    assert "Set a rule" not in text_of(curator.get(FALLBACKS))
    assert curator.post(FALLBACKS, {"do": "clear", "engine": "llama-8b"}).status_code == 403
    assert alice.get(FALLBACKS).status_code == alice.post(FALLBACKS, {}).status_code == 403
    assert EngineFallback.objects.count() == 1


def test_what_is_there_already_is_replaced_only_by_who_saw_it(
    people: People, catalog: Engines, visit: Visit
) -> None:
    administrator, operator = visit(people.administrator), visit(people.operator)
    default, rule = {"engine": "llama-8b"}, {"engine": "llama-8b", "answers": ""}
    administrator.post(DEFAULTS, default)
    operator.post(FALLBACKS, rule)
    other = {"engine": "qwen-4b"}, {"engine": "llama-8b", "answers": "qwen-4b"}

    asked = text_of(administrator.post(DEFAULTS, other[0]), 409)
    asked_of_rule = text_of(operator.post(FALLBACKS, other[1]), 409)

    assert "The organisation has a default already, Llama 3.1 8B Instruct" in asked
    assert '<input type="hidden" name="replaces" value="llama-8b">' in asked
    assert "Replace it" in asked
    assert '<input type="hidden" name="replaces" value="previous">' in asked_of_rule
    assert administrator.post(DEFAULTS, {**other[0], "replaces": "minilm"}).status_code == 409
    assert EngineDefault.objects.get().engine == catalog.old
    assert EngineFallback.objects.get().answers is None
    assert administrator.post(DEFAULTS, default).status_code == 302, "nothing is replaced"

    administrator.post(DEFAULTS, {**other[0], "replaces": "llama-8b"})
    operator.post(FALLBACKS, {**other[1], "replaces": "previous"})
    assert EngineDefault.objects.get().engine == catalog.new
    assert EngineFallback.objects.get().answers == catalog.new
