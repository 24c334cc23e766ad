"""The admin's forms of defaults and fallbacks: a second one of the same is refused with a sentence."""

from __future__ import annotations

from django.contrib.auth.models import Group

from engines.models import EngineDefault, EngineFallback
from tests.admin.test_admin import engines, people, signed_in
from tests.api.roles import Engines, People

__all__ = ["engines", "people"]


def test_a_second_default_or_rule_is_refused_with_the_first(
    people: People, engines: Engines
) -> None:
    group = Group.objects.create(name="Legal")
    EngineDefault.objects.create(engine=engines.old)
    EngineDefault.objects.create(engine=engines.old, group=group)
    EngineFallback.objects.create(answers=engines.new)
    EngineFallback.objects.create(engine=engines.old, answers=engines.new)
    before = {model: list(model.objects.values()) for model in (EngineDefault, EngineFallback)}
    client = signed_in(people.administrator)

    def refuse(model: str, sentence: str, **fields: object) -> None:
        answer = client.post(f"/admin/engines/{model}/add/", fields)
        errors = answer.context["adminform"].form.errors
        assert [said for told in errors.values() for said in told] == [sentence]

    old, new = engines.old.pk, engines.new.pk
    there = "has a default already, llama-8b: change that one instead."
    refuse("enginedefault", f"The organisation {there}", engine=new)
    refuse("enginedefault", f"The group Legal {there}", engine=new, group=group.pk)
    rule = "There is a rule already, {}: change that one instead."
    refuse("enginefallback", rule.format("any engine: qwen-4b"), answers=old)
    refuse("enginefallback", rule.format("llama-8b: qwen-4b"), engine=old)
    refuse(
        "enginefallback",
        "An engine cannot answer for itself; choose another.",
        engine=new,
        answers=new,
    )
    assert before == {model: list(model.objects.values()) for model in before}
