"""Step 3: what is to be done with backup, knowledge and prompts, and when."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html

from engines.exceptions import SamError
from migrations_app.models import Plan
from migrations_app.pages.forms import ChoiceCards, PageForm
from migrations_app.pages.wizard.base import CONFIRM, OPTIONS, PlanPage
from migrations_app.pages.wizard.wording import is_cutting
from migrations_app.plans.titles import destination_of
from migrations_app.plans.transitions import PlanChange
from migrations_app.states import PlanKind, PlanStatus

NOW, LATER = "now", "later"
LOCAL_TIME = "%Y-%m-%dT%H:%M"
"""As browsers write a moment without its zone."""


class WhenForm(PageForm):
    """When the plan starts once it is confirmed."""

    when = forms.ChoiceField(
        label="When does it start?",
        choices=[(NOW, "As soon as I confirm"), (LATER, "At a time of my choice")],
        widget=ChoiceCards(
            {
                NOW: "You go on working while it runs.",
                LATER: "It starts by itself; until then you can change or cancel it.",
            }
        ),
    )
    at = forms.DateTimeField(
        label="Start at this time",
        required=False,
        input_formats=[LOCAL_TIME, f"{LOCAL_TIME}:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
    )
    zone = forms.CharField(
        required=False, max_length=64, widget=forms.HiddenInput(attrs={"data-zone": ""})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = timezone.get_current_timezone_name()
        self.fields["zone"].initial = zone
        self.fields["at"].help_text = format_html(
            "In the time zone <span data-zone-name>{}</span>.", zone
        )

    def clean(self) -> dict[str, Any]:
        """Read the moment in the zone of the browser that sent it."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("when") != LATER or "at" in self.errors:
            given["at"] = None
        elif given.get("at") is None:
            self.add_error(
                "at", "Say when it shall start, or choose to start as soon as you confirm."
            )
        else:
            given["at"] = given["at"].replace(tzinfo=_zone(given.get("zone", "")))
        return given


class EmbedForm(WhenForm):
    """When a base is embedded anew, and what becomes of losses."""

    accept_losses = forms.BooleanField(
        label="Go on where the new embedder finds less in this base",
        required=False,
        help_text="Without it the plan stops before the switch when questions find less than before, for example "
        "in a language that the new embedder does not know. With it the result says what was lost.",
    )
    field_order = ("accept_losses", "when", "at", "zone")


class OptionsForm(WhenForm):
    """The seed's options, and when."""

    backup_lora = forms.BooleanField(
        label="Put my adapters into the backup",
        required=False,
        help_text="A sealed backup is made in any case; without this the adapters’ files stay in the store only.",
    )
    re_embed = forms.BooleanField(
        label="Re-embed my knowledge for the new engine",
        required=False,
        help_text="Without it search stays with the old embedder: the switch takes seconds, and you can re-embed later.",
    )
    update_prompts = forms.BooleanField(
        label="Take the prompts of the new engine’s family",
        required=False,
        help_text="What you wrote for the old family is kept for your return. Without it your prompts stay in use.",
    )
    accept_losses = forms.BooleanField(
        label="Go on where the new engine finds less in my knowledge",
        required=False,
        help_text="Without it a migration stops before the switch when questions find less than before, for "
        "example in a language that the new embedder does not know. With it the result says what was lost.",
    )
    field_order = (
        "backup_lora",
        "re_embed",
        "update_prompts",
        "accept_losses",
        "when",
        "at",
        "zone",
    )


class OptionsView(PlanPage):
    """Changes a plan that has not started; every change has to be confirmed on the next page."""

    title: ClassVar[str] = "Options"
    page: ClassVar[str] = OPTIONS
    template_name: ClassVar[str] = "pages/wizard/options.html"
    statuses: ClassVar[frozenset[PlanStatus]] = frozenset({PlanStatus.PENDING})

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show what is chosen."""
        return self._show(self._form()(initial=_initial(self.plan)))

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Keep the choice and go on to the summary."""
        form = self._form()(request.POST)
        if not form.is_valid():
            return self._show(form)
        try:
            self.controller.change_migration(plan_id, _change(form.cleaned_data), actor=self.person)
        except SamError as error:
            return self._show(form, refusal=error)
        return self.go(CONFIRM, plan_id=plan_id)

    def _form(self) -> type[WhenForm]:
        if self.plan.kind == PlanKind.MIGRATE:
            return OptionsForm
        has_choice = self.plan.kind == PlanKind.RE_EMBED and not is_cutting(self.plan)
        return EmbedForm if has_choice else WhenForm

    def _show(self, form: WhenForm, *, refusal: SamError | None = None) -> HttpResponse:
        context = {
            "form": form,
            "engine": destination_of(self.plan),
            "starts_at": self.plan.not_before,
        }
        return self.show(context, refusal=refusal)


def _initial(plan: Plan) -> dict[str, object]:
    return {
        "backup_lora": plan.backup_lora_adapters,
        "re_embed": plan.re_embed_knowledge,
        "update_prompts": plan.update_prompt_templates,
        "accept_losses": plan.accept_losses,
        "when": LATER if plan.not_before else NOW,
        "at": plan.not_before,
    }


def _change(given: dict[str, Any]) -> PlanChange:
    at: datetime | None = given["at"]
    return PlanChange(
        backup_lora=given.get("backup_lora"),
        re_embed=given.get("re_embed"),
        update_prompts=given.get("update_prompts"),
        accept_losses=given.get("accept_losses"),
        not_before=at,
        at_once=at is None,
    )


def _zone(name: str) -> tzinfo:
    """Return the zone of a name; what is no zone is the one in which the page was written."""
    try:
        return ZoneInfo(name) if name else timezone.get_current_timezone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone.get_current_timezone()
