"""``manage.py plan``: create, preview, execute, cancel, roll back, look."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Mapping
from datetime import UTC, datetime

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from engines.models import KnowledgeBase
from migrations_app.controller import get_migration_controller
from migrations_app.management.console import ActionCommand, parse_options, person
from migrations_app.models import Plan
from migrations_app.plans.planning import Options
from migrations_app.plans.transitions import PlanChange
from migrations_app.states import PlanStatus

SHOWN = 50
TIME_HELP = "When it starts by itself once it is executed, like 2026-12-24T03:00+01:00."


def moment(text: str) -> datetime:
    """Return a point in time, for ``add_argument(type=moment)``; one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no time; write it like 2026-12-24T03:00.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _when(plan: Plan) -> str:
    return f"at {plan.not_before:%F %H:%M} UTC" if plan.not_before else "when it is executed"


class Command(ActionCommand):
    help = "Plans: what SAM does to people and hosts that takes time."
    actions_help = {
        "create": "Plan the migration of a person to another engine; nothing starts yet.",
        "re-embed": "Plan another embedder for one knowledge base; nothing starts yet.",
        "change": "Give a plan that has not started other options or another time.",
        "preview": "Tell what a plan would do.",
        "execute": "Start a plan.",
        "cancel": "Stop a plan before its switch.",
        "roll-back": "Take a completed plan back.",
        "retry": "Try a step again that waits for an operator.",
        "abandon": "Give up what is left of a plan that waits for an operator or has switched.",
        "move": "Give what is left of a plan to another host.",
        "status": "Show a plan with its steps and events.",
        "list": "Show the newest plans.",
    }

    def arguments_create(self, parser: CommandParser) -> None:
        parser.add_argument("to_engine")
        parser.add_argument("--user", required=True, type=person)
        parser.add_argument("--from-engine", default="current")
        for part in ("backup-lora", "re-embed", "update-prompts"):
            dest = part.replace("-", "_")
            parser.add_argument(f"--no-{part}", dest=dest, action="store_false")
        parser.add_argument("--not-before", type=moment, metavar="TIME", help=TIME_HELP)

    def arguments_change(self, parser: CommandParser) -> None:
        parser.add_argument("plan")
        for part in ("backup-lora", "re-embed", "update-prompts"):
            parser.add_argument(f"--{part}", action=BooleanOptionalAction)
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--not-before", type=moment, metavar="TIME", help=TIME_HELP)
        when.add_argument("--at-once", action="store_true", help="It starts when it is executed.")

    def arguments_re_embed(self, parser: CommandParser) -> None:
        parser.add_argument("base", type=int, help="The base's number, as the API shows it.")
        parser.add_argument("--engine", help="Whose embedder; its owner's unless given.")
        parser.add_argument("--user", required=True, type=person, help="Who asks for it.")

    def arguments_list(self, parser: CommandParser) -> None:
        parser.add_argument("--user", type=person)

    def _plan_id(self, parser: CommandParser) -> None:
        parser.add_argument("plan")

    def _plan_id_and_wait(self, parser: CommandParser) -> None:
        parser.add_argument("plan")
        parser.add_argument("--wait", action="store_true", help="Show the progress to the end.")

    arguments_preview = arguments_cancel = arguments_status = _plan_id
    arguments_retry = arguments_abandon = _plan_id
    arguments_execute = arguments_roll_back = _plan_id_and_wait

    def do_create(
        self, to_engine: str, user: User, from_engine: str, options: Mapping[str, object]
    ) -> None:
        chosen = parse_options(Options, options)
        plan_id = get_migration_controller().create_migration_plan(
            from_engine,
            to_engine,
            user.pk,
            backup_lora=chosen.backup_lora,
            re_embed=chosen.re_embed,
            update_prompts=chosen.update_prompts,
            not_before=chosen.not_before,
        )
        self.say(plan_id)

    def do_change(self, plan: str, options: Mapping[str, object]) -> None:
        change = parse_options(PlanChange, options)
        changed = get_migration_controller().change_migration(plan, change)
        self.say(f"It starts {_when(changed)}. Execute it when you agree.")

    def do_re_embed(self, base: int, engine: str | None, user: User) -> None:
        found = KnowledgeBase.objects.filter(pk=base).first()
        if found is None:
            raise CommandError(f"There is no knowledge base {base}.")
        controller = get_migration_controller()
        self.say(controller.create_re_embed_plan(found, engine, actor=user))

    def do_preview(self, plan: str) -> None:
        preview = get_migration_controller().preview_migration(plan)
        self.say(json.dumps(preview, indent=2))

    def do_execute(self, plan: str, *, wait: bool) -> None:
        get_migration_controller().execute_migration(plan)
        confirmed = get_migration_controller().get_migration_status(plan)
        is_later = confirmed is not None and confirmed.status == PlanStatus.PENDING
        self.say(f"It starts {_when(confirmed)}." if confirmed and is_later else "Started.")
        if wait:
            done = self.follow(plan)
            self.say(f"Completed, with a warning: {done.warning}" if done.warning else "Completed.")

    def do_cancel(self, plan: str) -> None:
        get_migration_controller().cancel_migration(plan)
        self.say("Asked to stop.")

    def do_roll_back(self, plan: str, *, wait: bool) -> None:
        plan_id = get_migration_controller().roll_back_migration(plan)
        self.say(f"Rolling back: plan {plan_id}.")
        if wait:
            self.follow(plan_id)
            self.say("Rolled back.")

    def do_retry(self, plan: str) -> None:
        step = get_migration_controller().retry_step(plan)
        self.say(f"The step {step.kind} is tried again.")

    def arguments_move(self, parser: CommandParser) -> None:
        parser.add_argument("plan")
        parser.add_argument("--host", help="The host that suits best unless given.")

    def do_abandon(self, plan: str) -> None:
        controller = get_migration_controller()
        controller.abandon_migration(plan)
        found = controller.get_migration_status(plan)
        warning = found.warning if found else ""
        self.say(f"Abandoned. {warning or 'Nothing was changed.'}")

    def do_move(self, plan: str, host: str | None) -> None:
        moved = get_migration_controller().move_migration(plan, host)
        self.say(f"Moved to {moved.host}.")

    def do_status(self, plan: str) -> None:
        found = get_migration_controller().get_migration_status(plan)
        if found is None:
            raise CommandError(f"There is no plan {plan}.")
        progress = f"{found.status}, {found.progress_percentage:.0f} %"
        self.say(f"{found}: {progress}. {found.error_message}")
        if found.status == PlanStatus.PENDING:
            agreed = "confirmed" if found.confirmed_at else "not confirmed yet"
            self.say(f"It starts {_when(found)}; {agreed}.")
        if found.warning:
            self.say(f"Warning: {found.warning}")
        legal = get_migration_controller().legal_actions(found.pk)
        offers = ", ".join(action.replace("_", "-") for action in legal)
        self.say(f"What can be done: {offers or 'nothing any more'}.")
        steps = found.steps.select_related("host").order_by("position")
        self.table(
            ["step", "host", "status", "progress", "detail"],
            [(s.kind, s.host, s.status, f"{s.progress:.0%}", s.error or s.detail) for s in steps],
        )
        events = found.events.select_related("step").order_by("id")
        self.table(
            ["at", "step", "from", "to", "who", "why"],
            [
                (f"{e.at:%F %T}", e.step and e.step.kind, e.from_status, e.to_status, e.who, e.why)
                for e in events
            ],
        )

    def do_list(self, user: User | None) -> None:
        plans = Plan.objects.select_related("user", "to_engine").order_by("-created_at")
        if user:
            plans = plans.filter(user=user)
        self.table(
            ["plan", "kind", "user", "to", "status", "progress"],
            [
                (
                    p.pk,
                    p.kind,
                    p.user,
                    p.to_engine and p.to_engine.model_id,
                    p.status,
                    f"{p.progress_percentage:.0f} %",
                )
                for p in plans[:SHOWN]
            ],
        )
