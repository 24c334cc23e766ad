"""What an assistant may do for its person over MCP: search, see the engine, and plan a migration.

Each tool goes through the same doors as REST, shows what REST shows, and reaches only what is the
person's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, Generic, TypeVar

from django.contrib.auth.models import User
from django.db.models import QuerySet
from msgspec import Meta, Struct, json, to_builtins
from rest_framework.renderers import JSONRenderer

from engines.exceptions import NotFoundError, SamError
from engines.models import TokenScope
from engines.parsing import convert_or_refuse, decode, with_whole_numbers
from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import MAX_HITS
from migrations_app.api.serializers.knowledge import MAX_QUERY_CHARS
from migrations_app.api.serializers.plans import PlanDetailSerializer, PlanSerializer
from migrations_app.api.views.indicator import shown_indicator
from migrations_app.controller import get_migration_controller
from migrations_app.limits.held import ANSWERS, holding
from migrations_app.limits.rates import WORK, limit_person
from migrations_app.models import Plan
from migrations_app.plans.visibility import plans_of
from migrations_app.serving.answers import answer_search

MAX_PLANS = 50
PLAN_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
PLAN_ID_CHARS = 36
"""The end of the pattern lets a line break follow."""

Arguments = TypeVar("Arguments", bound=Struct)


class Nothing(Struct, frozen=True):
    """No arguments; some clients cannot call a tool without one, and make one up."""


class Search(Struct, frozen=True, forbid_unknown_fields=True):
    """A question."""

    query: Annotated[str, Meta(min_length=1, max_length=MAX_QUERY_CHARS)]
    k: Annotated[int, Meta(ge=1, le=MAX_HITS, description="How many passages.")] = 5


class PlanList(Struct, frozen=True, forbid_unknown_fields=True):
    """How many plans are wanted, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PLANS)] = 20


class PlanNamed(Struct, frozen=True, forbid_unknown_fields=True):
    """One plan."""

    plan_id: Annotated[str, Meta(pattern=PLAN_ID, max_length=PLAN_ID_CHARS)]


class NewPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """A migration of the person to another engine."""

    to_engine: Annotated[str, Meta(min_length=1, max_length=128, description="An engine's id.")]
    backup_lora: bool = True
    re_embed: bool = True
    update_prompts: bool = True


@dataclass(frozen=True, slots=True)
class McpTool(Generic[Arguments]):
    """One tool: what it is for, what it takes, and whether it changes anything."""

    name: str
    description: str
    arguments: type[Arguments]
    act: Callable[[User, Arguments], Json]
    changes: bool = False

    def input_schema(self) -> Json:
        """Return what the tool takes, as a JSON schema of an object."""
        _, components = json.schema_components([self.arguments])
        return dict(components[self.arguments.__name__])

    def call(self, user: User, given: Json) -> Json:
        """Act for a person; InvalidRequestError names the argument at fault."""
        # Models that were told that all arguments are required say null of those that are not.
        said = {name: value for name, value in given.items() if value is not None}
        return self.act(user, convert_or_refuse(with_whole_numbers(said), self.arguments))


def tools_for(user: User) -> Sequence[McpTool[Any]]:
    """Return the tools that the scope of a person's token opens."""
    may_change = getattr(user, "token_scope", None) == TokenScope.ALL
    return [tool for tool in all_tools() if may_change or not tool.changes]


def call_tool(user: User, name: str, given: Json) -> Json:
    """Call a tool by its name; NotFoundError for one that is not offered, and what the tool raises."""
    for tool in tools_for(user):
        if tool.name == name:
            return tool.call(user, given)
    if any(tool.name == name for tool in all_tools()):
        raise NotOfferedError(f"This token may only read; {name} needs one that opens everything.")
    raise NotFoundError(f"There is no tool {name!r:.100}; tools/list names those that are.")


class NotOfferedError(SamError):
    """A tool that the token's scope does not open."""

    code = "insufficient_scope"


@cache
def all_tools() -> Sequence[McpTool[Any]]:
    """Return every tool."""
    return (
        McpTool(
            "search_knowledge",
            "Search the person's knowledge by meaning and by words; returns passages with their documents, best "
            "first.",
            Search,
            _search,
        ),
        McpTool(
            "engine_state",
            "Tell which engine answers the person, and whether anything is the matter with it.",
            Nothing,
            lambda user, _: _plain(shown_indicator(user)),
        ),
        McpTool("list_plans", "List the person's plans, the newest first.", PlanList, _list_plans),
        McpTool(
            "show_plan",
            "Show one plan with its steps and what happened so far.",
            PlanNamed,
            lambda user, asked: _shown(user, _plan(user, asked.plan_id)),
        ),
        McpTool(
            "preview_plan",
            "Tell what a plan would do, to what, where, and for how long; it changes nothing.",
            PlanNamed,
            _preview,
        ),
        McpTool(
            "create_plan",
            "Plan the person's migration to another engine; nothing starts before it is executed.",
            NewPlan,
            _create,
            changes=True,
        ),
        McpTool(
            "execute_plan",
            "Start a plan that was previewed. Ask the person first: their engine changes.",
            PlanNamed,
            _execute,
            changes=True,
        ),
    )


def _search(user: User, asked: Search) -> Json:
    with holding(user.pk, ANSWERS):
        found: Json = to_builtins(answer_search(user, asked.query, asked.k))
    return found


def _list_plans(user: User, asked: PlanList) -> Json:
    rows = _plans(user).order_by("-created_at", "pk")[: asked.limit]
    return _plain({"plans": PlanSerializer(rows, many=True, context=_context(user)).data})


def _preview(user: User, asked: PlanNamed) -> Json:
    plan = _plan(user, asked.plan_id)
    return _plain(get_migration_controller().preview_migration(str(plan.pk)))


def _create(user: User, asked: NewPlan) -> Json:
    limit_person(user.pk, WORK)
    plan_id = get_migration_controller().create_migration_plan(
        "current",
        asked.to_engine,
        str(user.pk),
        backup_lora=asked.backup_lora,
        re_embed=asked.re_embed,
        update_prompts=asked.update_prompts,
        actor=user,
    )
    return _shown(user, _plan(user, plan_id))


def _execute(user: User, asked: PlanNamed) -> Json:
    limit_person(user.pk, WORK)
    plan = _plan(user, asked.plan_id)
    get_migration_controller().execute_migration(str(plan.pk), actor=user)
    return _shown(user, _plan(user, asked.plan_id))


def _plans(user: User) -> QuerySet[Plan]:
    return plans_of(user).select_related("user", "host", "from_engine", "to_engine", "to_revision")


def _plan(user: User, plan_id: str) -> Plan:
    plan = _plans(user).filter(pk=plan_id).first()
    if plan is None:
        raise NotFoundError("There is no such plan of yours; list_plans lists them.")
    return plan


def _shown(user: User, plan: Plan) -> Json:
    return _plain(PlanDetailSerializer(plan, context=_context(user)).data)


def _context(user: User) -> dict[str, object]:
    """Return what the serializers ask of a request: who reads."""
    return {"request": SimpleNamespace(user=user)}


def _plain(shown: object) -> Json:
    """Return what REST would send, as JSON that was read again: moments and ids as texts."""
    return decode(JSONRenderer().render(shown), dict[str, Any])
