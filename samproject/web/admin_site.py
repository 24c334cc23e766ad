"""The admin's site: Unfold's, with SAM's rooms as navigation and its colours from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

NAVIGATION: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "": (("index", "Overview", "space_dashboard"),),
    "People": (
        ("auth_user", "People", "person"),
        ("auth_group", "Groups and roles", "group"),
        ("engines_invitation", "Invitations", "mail"),
        ("engines_enginepreference", "Who uses which engine", "swap_horiz"),
        ("engines_tokenusage", "Usage", "bar_chart"),
        ("engines_tokenquota", "Quotas", "speed"),
    ),
    "Engines": (
        ("engines_catalogmodel", "Catalog", "inventory_2"),
        ("engines_enginedefault", "Defaults", "star"),
        ("engines_enginefallback", "Fallbacks", "call_split"),
        ("engines_fallbackincident", "Fallbacks that happened", "history"),
        ("engines_prompttemplate", "Prompt templates", "description"),
    ),
    "Plans": (
        ("migrations_app_plan", "Plans", "task_alt"),
        ("migrations_app_massmove", "Moves of many people", "groups"),
    ),
    "Hosts": (
        ("engines_host", "Hosts", "dns"),
        ("engines_modelcopy", "Model files", "hard_drive"),
    ),
    "Knowledge": (
        ("engines_knowledgebase", "Knowledge bases", "library_books"),
        ("engines_watchedfolder", "Watched folders", "description"),
    ),
    "Access": (
        ("engines_apitoken", "API tokens", "key"),
        ("migrations_app_auditentry", "Who changed what", "manage_search"),
    ),
}
"""Groups of the sidebar: the page's name in the admin, its title, its icon."""


OWN_PAGES = frozenset({"auth", "engines", "migrations_app"})
"""Apps whose pages in the admin are SAM's."""
STYLES = (
    "sam/css/tokens.css",
    "sam/css/surfaces.css",
    "sam/css/controls.css",
    "sam/css/data.css",
    "sam/admin/admin.css",
)


class NavigationItem(TypedDict):
    """One line of the sidebar, as Unfold's template reads it."""

    title: str
    link: str
    icon: str
    has_permission: bool
    active: bool


class SamAdminSite(UnfoldAdminSite):
    """Django's admin site in Unfold's dress; who may see what is decided by the pages themselves."""

    site_header = site_title = "SAM"
    index_title = "Overview"
    index_template = "admin/overview/page.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Take pages of our own only.

        Those of packages ask Django's permission table, and show what nobody should read: seeds of
        second factors, secrets of providers.
        """
        single = isinstance(model_or_iterable, type)
        models: list[Any] = [model_or_iterable] if single else list(model_or_iterable)
        own = [model for model in models if model._meta.app_label in OWN_PAGES]
        super().register(own, admin_class, **options)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Leave the colours to the style sheet: the policy forbids styles inside a page."""
        context = super().each_context(request)
        named = {"site_header": self.site_header, "site_title": self.site_title}
        return {**context, **named, "colors": None, "border_radius": None, "sam_styles": STYLES}

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """Return what this person may open, by room."""
        opened = {
            f"{model._meta.app_label}_{model._meta.model_name}"
            for model, page in self._registry.items()
            if page.has_view_permission(request)
        }
        rooms: list[dict[str, Any]] = [
            {"title": title, "items": [_item(*entry, request, opened) for entry in entries]}
            for title, entries in NAVIGATION.items()
        ]
        if settings.SAM_FLOWER_URL:
            plans = next(room for room in rooms if room["title"] == "Plans")
            plans["items"].append(_flower_item("migrations_app_plan" in opened))
        return rooms


def _flower_item(has_permission: bool) -> NavigationItem:  # noqa: FBT001 - the item's own field
    return {
        "title": "Tasks in Flower",
        "link": reverse("flower", kwargs={"path": ""}),
        "icon": "local_florist",
        "has_permission": has_permission,
        "active": False,
    }


def _item(
    name: str, title: str, icon: str, request: HttpRequest, opened: set[str]
) -> NavigationItem:
    link = reverse("admin:index") if name == "index" else reverse(f"admin:{name}_changelist")
    exact = name == "index"
    return {
        "title": title,
        "link": link,
        "icon": icon,
        "has_permission": exact or name in opened,
        "active": request.path == link if exact else request.path.startswith(link),
    }
