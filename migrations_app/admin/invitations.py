"""The admin of invitations: made here, shown without their key, ended here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
)

from engines.exceptions import SamError
from engines.models import Invitation
from engines.services.people.invitations import (
    DEFAULT_DAYS,
    MAX_DAYS,
    invite_person,
    revoke_invitation,
)
from engines.services.people.roles import is_administrator
from migrations_app.accounts.mails import invitation_link, send_invitation
from migrations_app.admin.base import RoleAdmin


class InvitationForm(forms.ModelForm[Invitation]):
    """Whom to invite; groups may be roles, which open the admin as well."""

    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Curator, operator and administrator are roles, and open the admin as well.",
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=MAX_DAYS,
        initial=DEFAULT_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="How long the link is open.",
    )

    class Meta:
        model = Invitation
        fields = ("email", "groups")


@admin.register(Invitation)
class InvitationAdmin(RoleAdmin):
    """Who was invited by whom, and what became of it."""

    form = InvitationForm
    fields = ("email", "groups", "days")
    list_display = ("email", "given", "who", "created_at", "expires_at", "state")
    search_fields = ("email", "who")
    list_display_links = None
    actions = ["revoke"]

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whether the list offers its actions; a row is never changed."""
        return obj is None and self.writes(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invitation]:
        rows: QuerySet[Invitation] = super().get_queryset(request)
        return rows.prefetch_related("groups")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Tell a refusal as a sentence, and leave nothing behind."""
        try:
            return super().add_view(request, form_url, extra_context)
        except SamError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Invite, and show the link this once."""
        names = [group.name for group in form.cleaned_data["groups"]]
        made = invite_person(
            obj.email,
            groups=names,
            who=request.user.get_username(),
            days=form.cleaned_data["days"],
        )
        obj.pk, obj.expires_at = made.invitation.pk, made.invitation.expires_at
        sent = send_invitation(made)
        how = "was mailed" if sent else "was not mailed: hand it over yourself"
        sentence = f"The link works once and is shown only now; it {how}: {invitation_link(made)}"
        self.message_user(request, sentence, messages.SUCCESS if sent else messages.WARNING)

    @admin.display(description="groups")
    def given(self, row: Invitation) -> str:
        return ", ".join(sorted(group.name for group in row.groups.all())) or "none"

    @admin.display(description="state")
    def state(self, row: Invitation) -> str:
        if row.used_at is not None:
            return "accepted"
        if row.revoked_at is not None:
            return "ended"
        return "open" if row.expires_at > timezone.now() else "too old"

    @admin.action(description="End the invitations", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        for row in queryset.order_by("pk"):
            try:
                revoke_invitation(row.pk)
            except SamError as error:
                self.message_user(request, f"{row.email}: {error}", messages.ERROR)
                continue
            self.message_user(request, f"{row.email}: ended.", messages.SUCCESS)
