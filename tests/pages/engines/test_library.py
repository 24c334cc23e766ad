"""The library: who sees which engines, found by every filter in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from engines.models import CatalogModel, CopyStatus, EngineDefault, ModelCopy, ModelRevision
from engines.runtimes.notation.families import FAMILIES
from engines.services.catalog.capabilities import (
    Ability,
    JsonUse,
    ToolUse,
    ability_filter,
    capabilities_of,
)
from migrations_app.library import get_model_library_manager
from tests.api.roles import GIB, Engines, People, make_model

Visit = Callable[[User], Client]


def found(client: Client, **asked: Any) -> list[str]:
    """Return the names of the engines that a page shows, in its order."""
    answer = client.get("/engines/", asked)
    assert answer.status_code == 200
    return [card.model.model_id for card in answer.context["cards"]]


def test_everybody_sees_what_they_may_use(people: People, catalog: Engines, visit: Visit) -> None:
    mine = found(visit(people.alice))

    assert catalog.new.model_id in mine
    assert catalog.hidden.model_id not in mine
    assert catalog.reserved.model_id not in mine
    people.alice.groups.add(Group.objects.get(name="research"))
    assert catalog.reserved.model_id in found(visit(people.alice))


def test_the_staff_see_all_and_what_is_not_published_is_marked(
    people: People, catalog: Engines, visit: Visit
) -> None:
    for person in (people.curator, people.operator, people.administrator):
        client = visit(person)
        assert {catalog.hidden.model_id, catalog.reserved.model_id} <= set(found(client))
        assert "Not published" in client.get("/engines/").content.decode()
    assert "Not published" not in visit(people.alice).get("/engines/").content.decode()


def test_a_stranger_signs_in_first(db: None) -> None:
    assert Client().get("/engines/")["Location"] == "/accounts/login/?next=%2Fengines%2F"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"q": "mistral instruct"}, {"mistral-7b"}),
        ({"family": "gemma"}, {"gemma-12b"}),
        ({"licence": "llama3.1"}, {"llama-8b"}),
        ({"language": "english"}, {"llama-8b", "qwen-4b"}),
        ({"language": "german"}, {"qwen-4b"}),
        ({"can": "thinking", "size": "tiny"}, {"qwen-4b", "qwen-32b"}),
        ({"size": "huge"}, {"qwen-235b"}),
        ({"downloaded": "on"}, {"llama-8b", "qwen-4b"}),
        ({"role": "embedding"}, {"minilm"}),
        ({"q": "no such engine"}, set()),
    ],
)
def test_each_filter_finds_what_it_says(
    people: People, catalog: Engines, visit: Visit, asked: dict[str, str], expected: set[str]
) -> None:
    ModelRevision.objects.filter(model__model_id="qwen-235b").update(file_size=140 * GIB)

    assert set(found(visit(people.alice), **asked)) == expected


def test_what_no_host_has_room_for_is_left_out(
    people: People, catalog: Engines, visit: Visit
) -> None:
    client = visit(people.alice)
    ModelRevision.objects.filter(model__model_id="qwen-235b").update(file_size=140 * GIB)

    assert "qwen-235b" in found(client)
    fitting = found(client, fits="on")
    assert "qwen-235b" not in fitting
    assert {"llama-8b", "qwen-4b"} <= set(fitting)


def test_by_its_file_small_enough_and_with_its_context_too_large(
    people: People, catalog: Engines, visit: Visit
) -> None:
    answer = visit(people.alice).get("/engines/", {"fits": "on"})

    assert "qwen-235b" not in [card.model.model_id for card in answer.context["cards"]]
    assert answer.context["left_out"] == 1
    assert "more room with their context than our hosts have" in answer.content.decode()


def test_orders(people: People, catalog: Engines, visit: Visit) -> None:
    client = visit(people.alice)
    sizes = {"gemma-12b": 7, "llama-8b": 5, "mistral-7b": 4, "qwen-4b": 2}
    for model_id, size in sizes.items():
        ModelRevision.objects.filter(model__model_id=model_id).update(file_size=size * GIB)
    ModelCopy.objects.filter(revision__model=catalog.old).update(tokens_per_second=90.0)

    assert found(client)[:2] == ["qwen-4b", "llama-8b"], "recommended, then held"
    assert found(client, order="name")[0] == "gemma-12b"
    sized = [name for name in found(client, order="size") if name in sizes]
    assert sized == ["qwen-4b", "mistral-7b", "llama-8b", "gemma-12b"]
    assert found(client, order="speed")[:2] == ["llama-8b", "qwen-4b"]
    newest = CatalogModel.objects.filter(published=True, role="chat").latest("created_at")
    assert found(client, order="newest")[0] == newest.model_id


def test_nonsense_is_not_asked(people: People, catalog: Engines, visit: Visit) -> None:
    client = visit(people.alice)
    everything = found(client)

    for name in ("order", "family", "can", "language", "licence", "size", "role", "page"):
        assert found(client, **{name: "nonsense'\""}) == everything
    assert client.get("/engines/", {"q": "a\0b", "family": "\0"}).status_code == 200


def test_a_filter_for_an_ability_says_what_an_engine_says_of_itself(db: None) -> None:
    runtimes = ("llama_cpp", "hugging_face", "ollama", "openai")
    for number, family in enumerate([*FAMILIES, "Qwen3", "other"]):
        for runtime in runtimes:
            served = runtime in ("ollama", "openai")
            CatalogModel.objects.create(
                model_id=f"m-{number}-{runtime}",
                display_name="M",
                model_family=family,
                runtime=runtime,
                endpoint="http://host:1/v1" if served else "",
                remote_name="m" if served else "",
            )
    for ability in Ability:
        by_database = set(CatalogModel.objects.filter(ability_filter(ability)))
        by_itself = {model for model in CatalogModel.objects.all() if _can(model, ability)}
        assert by_database == by_itself, ability


def _can(model: CatalogModel, ability: Ability) -> bool:
    able = capabilities_of(model)
    return {
        Ability.TOOLS: able.tools == ToolUse.TRAINED,
        Ability.JSON: able.json == JsonUse.HELD,
        Ability.THINKING: able.thinks,
    }[ability]


def test_a_part_is_sent_to_htmx(people: People, catalog: Engines, visit: Visit) -> None:
    answer = visit(people.alice).get("/engines/?q=gemma", headers={"HX-Request": "true"})

    text = answer.content.decode().strip()
    assert text.startswith("<div")
    assert "<html" not in text
    assert "Gemma 3 12B" in text


def test_more_engines_cost_no_more_queries(people: People, catalog: Engines, visit: Visit) -> None:
    client = visit(people.alice)

    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.get("/engines/", {"order": "speed", "fits": "on"})
        assert answer.status_code == 200
        return len(queries)

    count()
    few = count()
    for number in range(40):
        model = make_model(f"more-{number}", embedding_model=catalog.embedder)
        assert model.current_revision is not None
        ModelCopy.objects.create(
            revision=model.current_revision, host=catalog.host, status=CopyStatus.MISSING
        )
        EngineDefault.objects.create(
            engine=model, group=Group.objects.create(name=f"group {number}")
        )
    assert count() == few


def test_cards_tell_the_state_of_files(people: People, catalog: Engines, visit: Visit) -> None:
    ModelCopy.objects.filter(revision__model=catalog.new).update(status=CopyStatus.CORRUPTED)
    get_model_library_manager().start_download("gemma-12b", host="gpu-1")
    EngineDefault.objects.create(engine=catalog.new)

    answer = visit(people.alice).get("/engines/")

    cards = {card.model.model_id: card for card in answer.context["cards"]}
    assert cards["llama-8b"].status == "downloaded"
    assert cards["qwen-4b"].status == "corrupted"
    assert cards["gemma-12b"].status == "downloading"
    assert cards["mistral-7b"].status == "not_downloaded"
    assert cards["llama-8b"].option.is_current
    assert cards["qwen-4b"].default_of == "Default"
    text = answer.content.decode()
    assert "data-live-plan" not in text, "a host's plan is nobody's to hear but an operator's"
    assert 'hx-trigger="every 10s"' in text


def test_a_groups_default_concerns_the_group_and_the_staff(
    people: People, catalog: Engines, visit: Visit
) -> None:
    group = Group.objects.create(name="Legal")
    EngineDefault.objects.create(engine=catalog.new, group=group)

    assert "Default of Legal" not in visit(people.alice).get("/engines/").content.decode()
    assert "Default of Legal" in visit(people.curator).get("/engines/").content.decode()
    people.alice.groups.add(group)
    assert "Default of Legal" in visit(people.alice).get("/engines/").content.decode()
