"""What the pages of the admin share: who reads and writes is decided by role."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from engines.exceptions import ConflictError
from engines.services.people.roles import is_curator, is_operator
from migrations_app.admin.drawn_once import draw_checkbox
from migrations_app.admin.dress import ModelAdmin, TabularInline
from migrations_app.models import Plan

FILTER_LOOKUPS = ("", "__exact", "__id__exact", "__isnull", "__gte", "__lt")
"""What the links of the admin's own filters ask; dates ask a span, relations an id."""
DATE_LOOKUPS = ("__year", "__month", "__day")
MOST_DELETED = 500
"""Rows of one deletion: its page carries a field for each, and Django reads 1 000 fields."""


class RoleAdmin(ModelAdmin[Any]):
    """Who reads and writes is decided by role, as in the API, not by Django's permission table."""

    list_per_page = 50

    def action_checkbox(self, obj: Model) -> SafeString:
        return draw_checkbox(obj.pk)

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user) or is_curator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return False

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        """Tick the groups: the framework's two lists are larger than most organisations' groups."""
        kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether a list's address may narrow by a lookup: only what the page offers as a filter.

        The framework lets any column be asked letter by letter, shown or not. PostgreSQL stores no NUL, and
        ends a statement that asks for one.
        """
        offered = {
            f"{name}{suffix}"
            for name in map(_filtered_field, self.get_list_filter(request))
            for suffix in FILTER_LOOKUPS
        }
        if self.date_hierarchy:
            offered |= {f"{self.date_hierarchy}{suffix}" for suffix in DATE_LOOKUPS}
        return lookup in offered and "\0" not in value

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Delete many rows only as far as the page that asks "are you sure" can carry them."""
        actions: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in actions:
            _act, name, description = actions["delete_selected"]
            actions["delete_selected"] = (delete_some, name, description)
        return actions

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.reads(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.reads(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.writes(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.writes(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.writes(request.user)


class LivePageAdmin(RoleAdmin):
    """Rows that are read on a page of their own, a part of which follows what happens."""

    templates: ClassVar[str]
    """The folder of ``page.html`` and of its part ``live.html``."""

    def find_row(self, key: str) -> Any:
        """Return the row of a page; Http404 when there is none."""
        raise NotImplementedError

    def describe_row(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the page shows of a row."""
        raise NotImplementedError

    def page_title(self, row: Any) -> str:
        """Return the heading of a row's page."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the row; nothing of it is edited, so nothing can be posted here."""
        if not self.has_view_permission(request) or request.method != "GET":
            raise PermissionDenied
        row = self.find_row(unquote(object_id))
        context = {
            **self.admin_site.each_context(request),
            **self.describe_row(request, row),
            "opts": self.opts,
            "title": self.page_title(row),
            "show_back_button": True,
            **(extra_context or {}),
        }
        return TemplateResponse(request, f"{self.templates}/page.html", context)

    def live_view(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Answer with the part of the page that moves."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        described = self.describe_row(request, self.find_row(str(key)))
        context = {**described, "opts": self.opts}
        return TemplateResponse(request, f"{self.templates}/live.html", context)


def _filtered_field(listed: Any) -> str:
    """Return the field of an entry of ``list_filter``, which may name its filter too."""
    return listed if isinstance(listed, str) else str(listed[0])


def delete_some(owner: RoleAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
    """Delete the selected rows, or say how many can be deleted at a time."""
    count = rows.count()
    if count > MOST_DELETED:
        sentence = f"{count} rows are selected and none was deleted: delete at most {MOST_DELETED} at a time."
        owner.message_user(request, sentence, messages.ERROR)
        return None
    try:
        with transaction.atomic():
            answer: HttpResponse | None = delete_selected(owner, request, rows)
    except ConflictError as error:
        owner.message_user(request, str(error), messages.ERROR)
        return None
    return answer


class ReadOnlyInline(TabularInline[Any, Plan]):
    extra = 0
    can_delete = False
    show_change_link = False
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_operator(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
