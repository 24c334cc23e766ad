"""One's backups: which there are, made, checked, put back, let go; and how often they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.services.backups.restoring import has_belongings
from migrations_app.api.problems import status_of
from migrations_app.api.serializers.backups import MAX_HOURS, MAX_KEPT
from migrations_app.backups import delete_backup, start_backup, start_restore, verify_backup
from migrations_app.models import Backup, Plan
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.forms import PageForm
from migrations_app.plans.backup_plans import RestoreWish
from migrations_app.plans.backup_rules import clear_rule, needed_backups, rule_for, set_rule
from migrations_app.states import PLAN_OPEN, PlanKind

PER_PAGE = 25
HERE = "settings-backups"


class RuleForm(PageForm):
    """How often one is backed up, and how many backups are kept."""

    every_hours = forms.IntegerField(
        min_value=0,
        max_value=MAX_HOURS,
        label="Hours between two backups",
        help_text="0: only before migrations and when you ask for one.",
    )
    keep = forms.IntegerField(
        min_value=1,
        max_value=MAX_KEPT,
        label="How many are kept",
        help_text="The newest; one that a move or a restore can still be taken back with stays besides.",
    )


@dataclass(frozen=True, slots=True)
class BackupLine:
    """A backup, and whether something still stands on it."""

    backup: Backup
    is_needed: bool


class BackupsView(PageView):
    """The list, making one more, and the rule."""

    title: ClassVar[str] = "Backups"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/backups.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        return self._show(self._rule_form())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Begin a backup, or write the rule."""
        wish = request.POST.get("do", "")
        if wish == "rule":
            return self._keep_rule(RuleForm(request.POST))
        if wish == "clear":
            clear_rule(self.person)
            messages.success(request, "Your organisation’s rule holds for you again.")
        elif wish == "make":
            said = "The backup has begun; what you do meanwhile is not in it."
            _tell(request, lambda: start_backup(self.person, actor=self.person), said)
        return self.go(HERE)

    def _keep_rule(self, form: RuleForm) -> HttpResponse:
        if not form.is_valid():
            return self._show(form, status=400)
        set_rule(self.person, **form.cleaned_data)
        messages.success(self.request, "Your rule is kept.")
        return self.go(HERE)

    def _rule_form(self) -> RuleForm:
        rule = rule_for(self.person)
        return RuleForm(initial={"every_hours": rule.every_hours, "keep": rule.keep})

    def _show(self, form: RuleForm, status: int = 200) -> HttpResponse:
        rows = Backup.objects.filter(user=self.person).order_by("-created_at", "-pk")
        page = paginate(self.request, rows, PER_PAGE)
        keys = [backup.pk for backup in page]
        needed = set(needed_backups().filter(pk__in=keys).values_list("pk", flat=True))
        kinds = (PlanKind.BACKUP, PlanKind.RESTORE)
        running = Plan.objects.filter(user=self.person, kind__in=kinds, status__in=PLAN_OPEN)
        context = {
            "form": form,
            "page": page,
            "lines": [BackupLine(backup, backup.pk in needed) for backup in page],
            "running": running.order_by("-created_at")[:PER_PAGE],
            "has_own_rule": rule_for(self.person).user_id is not None,
        }
        return self.render(context, status=status)


class OwnBackupView(PageView):
    """Something done with one of one's own backups."""

    def find(self, backup_id: int) -> Backup:
        """Return it; 404 for another's."""
        backup = Backup.objects.filter(user=self.person, pk=backup_id).first()
        if backup is None:
            raise Http404
        return backup


class BackupVerifyView(OwnBackupView):
    """Reads all of a backup."""

    def post(self, request: HttpRequest, backup_id: int) -> HttpResponse:
        """Say whether it is whole."""
        backup = self.find(backup_id)
        said = "The backup is whole: all of it was read and opened."
        _tell(request, lambda: verify_backup(backup), said)
        return self.go(HERE)


class BackupDeleteView(OwnBackupView):
    """Lets a backup go."""

    def post(self, request: HttpRequest, backup_id: int) -> HttpResponse:
        """Delete it with its key and its file."""
        backup = self.find(backup_id)
        _tell(request, lambda: delete_backup(backup), "The backup is deleted, with its key.")
        return self.go(HERE)


class BackupRestoreView(OwnBackupView):
    """Puts a backup back, after a page that says what that means."""

    title: ClassVar[str] = "Put a backup back"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/backup_restore.html"

    def get(self, request: HttpRequest, backup_id: int) -> HttpResponse:
        """Say what it would mean."""
        return self._show(self.find(backup_id))

    def post(self, request: HttpRequest, backup_id: int) -> HttpResponse:
        """Begin it, and lead to its progress."""
        backup = self.find(backup_id)
        wish = RestoreWish(person=self.person, replace="agreed" in request.POST)
        try:
            plan = start_restore(backup, wish, actor=self.person)
        except SamError as error:
            return self._show(backup, error)
        messages.success(
            request, "It has begun; nothing changes before all of the backup was read."
        )
        return self.go("plan", plan_id=plan.pk)

    def _show(self, backup: Backup, error: SamError | None = None) -> HttpResponse:
        context = {
            "backup": backup,
            "replaces": has_belongings(self.person),
            "refusal": str(error or ""),
        }
        # Not a host's 503: the page itself is here, and says what it waits for.
        return self.render(context, status=min(status_of(error), 409) if error else 200)


def _tell(request: HttpRequest, act: Callable[[], object], said: str) -> None:
    """Do it, and say so or why not on the page that comes next."""
    try:
        act()
    except SamError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
