"""The admin of people and groups, of their preferences and of the defaults for those who chose nothing."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from engines.models import (
    ApiToken,
    EngineDefault,
    EnginePreference,
    PromptTemplate,
)
from engines.services.people.defaults import validate_default
from engines.services.people.roles import is_administrator, is_curator, is_operator
from engines.services.people.tokens import tokens_end
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.sign_in import GuardedAuthenticationForm
from migrations_app.limits.sign_in import unlock


class AdministratorWrites(RoleAdmin):
    """Only an administrator reads and writes."""

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)


admin.site.login_form = GuardedAuthenticationForm
# The framework's pages ask its own permission table.
admin.site.unregister([Group, User])


@admin.register(Group)
class GroupAdmin(AdministratorWrites, DjangoGroupAdmin):
    """Groups; those named curator, operator and administrator are roles."""


@admin.register(User)
class PeopleAdmin(AdministratorWrites, UserAdmin[User]):
    """People; their API tokens are ended here and shown nowhere."""

    list_display = ("username", "email", "roles_and_groups", "is_staff", "is_active", "has_token")
    actions = ["end_tokens", "unlock"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        rows: QuerySet[User] = super().get_queryset(request)
        living = ApiToken.objects.filter(user=OuterRef("pk"))
        return rows.prefetch_related("groups").annotate(token_there=Exists(living))

    @admin.display(description="groups")
    def roles_and_groups(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    @admin.display(description="API token", boolean=True)
    def has_token(self, user: Any) -> bool:
        return bool(user.token_there)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save a person; who is deactivated loses the tokens, also for a later return."""
        super().save_model(request, obj, form, change)
        if not obj.is_active:
            tokens_end(obj)

    @admin.action(description="End the API tokens", permissions=["change"])
    def end_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        ended = sum(tokens_end(user) for user in queryset)
        self.message_user(request, f"{ended} tokens ended.", messages.SUCCESS)

    @admin.action(description="Let sign in again after failed sign-ins", permissions=["change"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        unlocked = sum(unlock(user.get_username()) for user in queryset)
        self.message_user(request, f"{unlocked} people unlocked.", messages.SUCCESS)


class DefaultForm(forms.ModelForm[EngineDefault]):
    """A default's form, which asks for an engine that can answer."""

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

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)
