"""The admin of people and groups, of their preferences and of the defaults for those who chose nothing."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, cast

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from engines.exceptions import ConflictError
from engines.models import (
    ApiToken,
    EngineDefault,
    EnginePreference,
    PromptTemplate,
)
from engines.services.people.defaults import validate_default
from engines.services.people.invitations import find_by_address
from engines.services.people.roles import (
    ROLES,
    is_administrator,
    is_curator,
    is_operator,
)
from engines.services.people.tokens import end_tokens
from migrations_app.accounts.second_factor import remove_factors
from migrations_app.admin.backups import back_up_each
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.dress import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    UserChangeForm,
)
from migrations_app.admin.moves import offer_move
from migrations_app.admin.person_page import describe_person
from migrations_app.admin.reports import count_rows
from migrations_app.audit.entries import make_pseudonym
from migrations_app.limits.sign_in import unlock
from migrations_app.people import (
    deactivate_person,
    delete_group,
    delete_person,
    describe_belongings,
    explain_group_not_deletable,
    explain_not_deletable,
    reactivate_person,
    replace_roles,
)


class AdministratorWrites(RoleAdmin):
    """Only an administrator reads and writes."""

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)


# The framework's pages ask its own permission table.
admin.site.unregister([Group, User])


@admin.register(Group)
class GroupAdmin(AdministratorWrites, DjangoGroupAdmin):
    """Groups; those named curator, operator and administrator are roles.

    Django's permissions are not shown: nothing here asks them.
    """

    fields = ("name",)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        """Say why a group stays: what is its people's does not go with it."""
        refused = [sentence for group in objs if (sentence := explain_group_not_deletable(group))]
        names = [group.name for group in objs]
        return names, {"groups": len(names)}, set(), refused

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        delete_group(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        with transaction.atomic():
            for group in queryset.order_by("pk"):
                delete_group(group)

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        super().save_model(request, obj, form, change)
        close = get_close_matches(obj.name.strip().lower(), ROLES, n=1)
        if close and obj.name not in ROLES:
            self.message_user(
                request,
                f"The group {obj.name!r} gives no role; the role's group is called {close[0]!r}.",
                messages.WARNING,
            )


class PersonForm(UserChangeForm[User]):
    """A person's page: roles are ticked, so that none is misspelt; other groups are chosen beside."""

    roles = forms.MultipleChoiceField(
        choices=[(role, role.capitalize()) for role in sorted(ROLES)],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
        help_text="Who is to enter the admin also needs staff status.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = self.instance.groups.filter(name__in=ROLES)
        self.initial["roles"] = list(held.values_list("name", flat=True))
        if "groups" in self.fields:
            cast("Any", self.fields["groups"]).queryset = Group.objects.exclude(name__in=ROLES)

    def clean_email(self) -> str:
        """Refuse an address of somebody else: one of several signs nobody in."""
        email: str = self.cleaned_data["email"]
        other = find_by_address(email).exclude(pk=self.instance.pk).first()
        if email and other is not None and "email" in self.changed_data:
            raise ValidationError(f"This is the address of {other.username} already.")
        return email


@admin.register(User)
class PeopleAdmin(AdministratorWrites, UserAdmin[User]):
    """People; their API tokens are ended here and shown nowhere."""

    form = PersonForm
    add_form = AdminUserCreationForm
    change_password_form = AdminPasswordChangeForm
    add_fieldsets = UserAdmin.add_fieldsets
    list_display = ("username", "email", "roles_and_groups", "is_staff", "is_active", "has_token")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Roles and groups",
            {"fields": ("is_active", "is_staff", "is_superuser", "roles", "groups")},
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    change_form_outer_before_template = "admin/people/person.html"
    actions = [
        "move_people",
        "back_up",
        "deactivate",
        "reactivate",
        "end_tokens",
        "remove_factors",
        "unlock",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        rows: QuerySet[User] = super().get_queryset(request)
        living = ApiToken.objects.filter(user=OuterRef("pk"))
        return rows.prefetch_related("groups").annotate(token_there=Exists(living))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show what the person has above their form."""
        user = self.get_object(request, object_id) if object_id else None
        shown = {"person": describe_person(user)} if user is not None else {}
        context = {**shown, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        super().save_related(request, form, formsets, change)
        if "roles" in form.cleaned_data:
            replace_roles(form.instance, form.cleaned_data["roles"])

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        """Count what goes with them; whoever may delete people may delete what is theirs."""
        goes = [describe_belongings(user) for user in objs]
        refused = [sentence for user in objs if (sentence := self._why_not(request, user))]
        return goes, {"people": len(goes)}, set(), refused

    def _why_not(self, request: HttpRequest, user: User) -> str:
        if user.pk == request.user.pk:
            return f"{user.username} is you; have another administrator do it."
        return explain_not_deletable(user)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Leave who deleted whom, without the name that is to be forgotten."""
        kind = ContentType.objects.get_for_model(User)
        return LogEntry.objects.bulk_create(
            LogEntry(
                user_id=cast("User", request.user).pk,
                content_type=kind,
                object_id=str(user.pk),
                object_repr=make_pseudonym(user.pk),
                action_flag=DELETION,
            )
            for user in queryset
        )

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        delete_person(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        with transaction.atomic():
            for user in queryset.order_by("pk"):
                delete_person(user)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Tell why the last administrator stays as a sentence."""
        try:
            return super().change_view(request, object_id, form_url, extra_context)
        except ConflictError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Tell a plan that began a moment ago as a sentence."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except ConflictError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:auth_user_changelist"))

    @admin.display(description="groups")
    def roles_and_groups(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    @admin.display(description="API token", boolean=True)
    def has_token(self, user: Any) -> bool:
        return bool(user.token_there)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save a person; who is deactivated here leaves by the same door as everywhere."""
        leaves = change and not obj.is_active and "is_active" in form.changed_data
        obj.is_active = obj.is_active or leaves
        super().save_model(request, obj, form, change)
        if change and "email" in form.changed_data:
            # What an administrator writes holds, and no earlier address opens the account any more.
            EmailAddress.objects.filter(user=obj).delete()
        if leaves:
            deactivate_person(obj, who=request.user.get_username())

    @admin.action(description="Deactivate: end tokens, sessions and plans", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset.filter(is_active=True).order_by("pk"):
            try:
                deactivate_person(user, who=request.user.get_username())
            except ConflictError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            self.log_change(request, user, "Deactivated.")
            self.message_user(request, f"{user.username} is deactivated.", messages.SUCCESS)

    @admin.action(description="Reactivate", permissions=["change"])
    def reactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset.filter(is_active=False).order_by("pk"):
            reactivate_person(user)
            self.log_change(request, user, "Reactivated.")
            self.message_user(request, f"{user.username} may sign in again.", messages.SUCCESS)

    @admin.action(description="Remove the second factor", permissions=["change"])
    def remove_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset.order_by("pk"):
            if remove_factors(user):
                self.log_change(request, user, "Second factor removed.")
                self.message_user(request, f"{user.username} has no second factor any more.")

    @admin.action(description="Move to another engine …", permissions=["change"])
    def move_people(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        return offer_move(self, request, User.objects.filter(pk__in=queryset.values("pk")))

    @admin.action(description="Back up now", permissions=["change"])
    def back_up(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        back_up_each(self, request, queryset)

    @admin.action(description="End the API tokens", permissions=["change"])
    def end_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        ended = sum(end_tokens(user) for user in queryset)
        self.message_user(
            request, count_rows(ended, "token ended.", "tokens ended."), messages.SUCCESS
        )

    @admin.action(description="Let sign in again after failed sign-ins", permissions=["change"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        unlocked = sum(unlock(user.get_username()) for user in queryset)
        self.message_user(
            request, count_rows(unlocked, "person unlocked.", "people unlocked."), messages.SUCCESS
        )


class DefaultForm(forms.ModelForm[EngineDefault]):
    """A default's form, which asks for an engine that can answer."""

    def clean_group(self) -> Group | None:
        """Refuse a second default of the same people, and say where the first one is."""
        group: Group | None = self.cleaned_data["group"]
        rows = EngineDefault.objects.filter(group=group).exclude(pk=self.instance.pk)
        if (there := rows.select_related("engine").first()) is not None:
            whose = f"The group {group.name}" if group else "The organisation"
            raise ValidationError(
                f"{whose} has a default already, {there.engine.model_id}: change that one instead."
            )
        return group

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            validate_default(self.instance)
        except ValidationError as error:
            self.add_error(None, error)


@admin.register(EngineDefault)
class EngineDefaultAdmin(RoleAdmin):
    """The engine of those who chose none."""

    form = DefaultForm
    list_display = ("__str__", "group", "engine")
    list_select_related = ("group", "engine")
    autocomplete_fields = ("engine",)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)


@admin.register(PromptTemplate)
class PromptTemplateAdmin(RoleAdmin):
    """A family's prompts; people's own edits are theirs and not shown."""

    list_display = ("family",)
    search_fields = ("family",)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_curator(user)


@admin.register(EnginePreference)
class EnginePreferenceAdmin(RoleAdmin):
    """Who uses which engine; it is changed by a plan or by the person, never here."""

    list_display = ("user", "engine", "prompt_family", "last_upgrade", "version")
    list_select_related = ("user", "engine")
    list_filter = (("engine", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("user__username", "engine__model_id")
    list_display_links = None
    actions = ["move_people", "back_up"]

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    @admin.action(description="Move to another engine …", permissions=["operate"])
    def move_people(
        self, request: HttpRequest, queryset: QuerySet[EnginePreference]
    ) -> HttpResponse | None:
        return offer_move(self, request, User.objects.filter(pk__in=queryset.values("user")))

    @admin.action(description="Back up now", permissions=["operate"])
    def back_up(self, request: HttpRequest, queryset: QuerySet[EnginePreference]) -> None:
        back_up_each(self, request, User.objects.filter(pk__in=queryset.values("user")))
