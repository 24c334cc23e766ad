from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engines.models import (
    EngineDefault,
    EnginePreference,
    Fingerprint,
    KnowledgeBase,
    PromptTemplate,
    UserPrompts,
)
from engines.services.knowledge import base_create
from engines.services.preferences import Prompts
from engines.services.search import request_binding
from tests.knowledge.world import live_index, make_base, make_model

pytestmark = pytest.mark.django_db


def test_a_person_without_engine_or_knowledge_has_an_empty_binding(owner: User) -> None:
    binding = request_binding(owner)

    assert (binding.engine, binding.revision, binding.indexes) == (None, None, [])
    assert binding.prompts == Prompts("", "", "", "")


def test_own_engine_goes_before_the_groups_and_that_before_the_organisations(owner: User) -> None:
    own, groups, organisations = (make_model(name) for name in ("own", "groups", "orgs"))
    EngineDefault.objects.create(group=None, engine=organisations.model)
    foreign, member = Group.objects.create(name="a"), Group.objects.create(name="b")
    EngineDefault.objects.create(group=foreign, engine=own.model)

    assert request_binding(owner).revision == organisations
    owner.groups.add(member)
    EngineDefault.objects.create(group=member, engine=groups.model)
    assert request_binding(owner).revision == groups
    EnginePreference.objects.create(user=owner, engine=own.model, revision=own)
    assert request_binding(owner).engine == own.model


def test_a_pinned_revision_stays_though_the_catalog_moved_on(owner: User) -> None:
    pinned = make_model("engine")
    newer = make_model("newer")
    pinned.model.current_revision = newer
    pinned.model.save()
    preference = EnginePreference.objects.create(user=owner, engine=pinned.model, revision=pinned)

    assert request_binding(owner).revision == pinned
    preference.revision = None
    preference.save()
    assert request_binding(owner).revision == newer


def test_prompts_are_the_persons_edits_over_the_template_of_the_family_in_use(
    owner: User,
) -> None:
    revision = make_model("engine")
    PromptTemplate.objects.create(
        family="hash", system_prompt="Be brief.", reasoning_prompt="Think.", chat_format="{x}"
    )
    PromptTemplate.objects.create(family="other", system_prompt="Be long.")
    UserPrompts.objects.create(user=owner, family="hash", system_prompt="")
    UserPrompts.objects.create(user=User.objects.create_user("eve"), family="hash", chat_format="e")
    preference = EnginePreference.objects.create(
        user=owner, engine=revision.model, revision=revision
    )

    assert request_binding(owner).prompts == Prompts("hash", "", "Think.", "{x}")
    preference.prompt_family = "other"
    preference.save()
    assert request_binding(owner).prompts == Prompts("other", "Be long.", "", "")


def test_indexes_are_those_of_readable_bases_that_have_one(
    owner: User, base: KnowledgeBase, space: Fingerprint
) -> None:
    group = Group.objects.create(name="a")
    owner.groups.add(group)
    shared = base_create(group=group, name="Shared")
    EngineDefault.objects.create(group=None, engine=space.revision.model)
    later = base_create(group=group, name="Later")
    make_base(User.objects.create_user("eve"), space)

    found = request_binding(owner).indexes

    assert found == [(each.pk, live_index(each)) for each in (base, later)]
    assert shared.live_index is None


def test_one_statement_makes_the_choice(owner: User, base: KnowledgeBase) -> None:
    revision = make_model("engine")
    EnginePreference.objects.filter(user=owner).update(engine=revision.model, revision=revision)

    with CaptureQueriesContext(connection) as queries:
        binding = request_binding(owner)

    assert binding.indexes == [(base.pk, live_index(base))]
    statements = [query["sql"] for query in queries]
    assert "engines_enginepreference" in statements[0]
    assert "live_index_id" in statements[0]
    assert not any("enginepreference" in later for later in statements[1:])
    assert not any("knowledgebase" in later for later in statements[1:])
