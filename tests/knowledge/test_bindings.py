from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engines.exceptions import NotFoundError
from engines.models import (
    CatalogModel,
    EngineDefault,
    EnginePreference,
    Fingerprint,
    KnowledgeBase,
    ModelRevision,
    PromptTemplate,
    UserPrompts,
)
from engines.services.knowledge.documents import create_base
from engines.services.knowledge.search import request_binding
from engines.services.people.preferences import Prompts
from tests.knowledge.world import live_index, make_base, make_model

pytestmark = pytest.mark.django_db


def test_a_person_without_engine_or_knowledge_has_an_empty_binding(owner: User) -> None:
    binding = request_binding(owner.pk)

    assert (binding.engine, binding.revision, binding.indexes) == (None, None, [])
    assert binding.prompts == Prompts("", "", "", "")


def test_own_engine_goes_before_the_groups_and_that_before_the_organisations(owner: User) -> None:
    own, groups, organisations = (make_model(name) for name in ("own", "groups", "orgs"))
    EngineDefault.objects.create(group=None, engine=organisations.model)
    foreign, member = Group.objects.create(name="a"), Group.objects.create(name="b")
    EngineDefault.objects.create(group=foreign, engine=own.model)

    assert request_binding(owner.pk).revision == organisations
    owner.groups.add(member)
    EngineDefault.objects.create(group=member, engine=groups.model)
    assert request_binding(owner.pk).revision == groups
    EnginePreference.objects.create(user=owner, engine=own.model, revision=own)
    assert request_binding(owner.pk).engine == own.model


def test_a_pinned_revision_stays_though_the_catalog_moved_on(owner: User) -> None:
    pinned = make_model("engine")
    newer = make_model("newer")
    pinned.model.current_revision = newer
    pinned.model.save()
    preference = EnginePreference.objects.create(user=owner, engine=pinned.model, revision=pinned)

    assert request_binding(owner.pk).revision == pinned
    preference.revision = None
    preference.save()
    assert request_binding(owner.pk).revision == newer


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

    assert request_binding(owner.pk).prompts == Prompts("hash", "", "Think.", "{x}")
    preference.prompt_family = "other"
    preference.save()
    assert request_binding(owner.pk).prompts == Prompts("other", "Be long.", "", "")


def test_indexes_are_those_of_readable_bases_that_have_one(
    owner: User, base: KnowledgeBase, space: Fingerprint
) -> None:
    group = Group.objects.create(name="a")
    owner.groups.add(group)
    shared = create_base(group=group, name="Shared")
    EngineDefault.objects.create(group=None, engine=space.revision.model)
    later = create_base(group=group, name="Later")
    make_base(User.objects.create_user("eve"), space)

    found = request_binding(owner.pk).indexes

    assert found == [(each.pk, live_index(each)) for each in (base, later)]
    assert shared.live_index is None


def test_one_statement_makes_the_choice(owner: User, base: KnowledgeBase) -> None:
    revision = make_model("engine")
    EnginePreference.objects.filter(user=owner).update(engine=revision.model, revision=revision)

    with CaptureQueriesContext(connection) as queries:
        binding = request_binding(owner.pk)

    assert binding.indexes == [(base.pk, live_index(base))]
    statements = [query["sql"] for query in queries]
    assert "engines_enginepreference" in statements[0]
    assert "live_index_id" in statements[0]
    assert not any("enginepreference" in later for later in statements[1:])
    assert not any("knowledgebase" in later for later in statements[1:])


def test_nobody_and_who_may_not_log_in_have_none(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=False)

    for user_id in (owner.pk, owner.pk + 1):
        with pytest.raises(NotFoundError, match="no such person"):
            request_binding(user_id)


def test_a_change_of_engine_or_revision_is_seen_at_once_and_else_nothing_is_read(
    owner: User,
) -> None:
    revision = make_model("engine")
    EnginePreference.objects.create(user=owner, engine=revision.model, revision=revision)
    request_binding(owner.pk)

    with CaptureQueriesContext(connection) as queries:
        found = request_binding(owner.pk)
    assert len(queries) == 1
    assert found.engine is not None
    assert found.revision is not None
    # What one request changes in its own rows, no other one sees.
    found.engine.display_name = "changed"
    found.revision.facts = {}

    for name in ("first", "second"):
        CatalogModel.objects.filter(pk=revision.model.pk).update(display_name=name)
        ModelRevision.objects.filter(pk=revision.pk).update(facts={"name": name})
        found = request_binding(owner.pk)
        assert found.engine is not None
        assert found.revision is not None
        assert (found.engine.display_name, found.revision.facts) == (name, {"name": name})
        assert found.revision.model is found.engine
