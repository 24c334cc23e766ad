"""The addresses under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from migrations_app.api.base import UnknownRoute
from migrations_app.api.views.accounts import (
    InvitationViews,
    PersonViews,
    SessionsView,
    SessionView,
)
from migrations_app.api.views.audit import AuditViews
from migrations_app.api.views.backups import (
    BackupRuleView,
    BackupViews,
    OrganisationBackupRuleView,
)
from migrations_app.api.views.catalog import CatalogViews, DownloadViews
from migrations_app.api.views.conversations import ConversationViews, MessageViews
from migrations_app.api.views.curation import CatalogFileView, HubFilesView, PromptTemplateViews
from migrations_app.api.views.defaults import (
    DefaultViews,
    GroupDefaultView,
    OrganisationDefaultView,
)
from migrations_app.api.views.events import (
    EventsView,
    PlanEventsView,
    PlanProgressView,
    ProgressView,
)
from migrations_app.api.views.fallbacks import FallbackIncidentViews, FallbackViews
from migrations_app.api.views.fit import FitView, RecommendView
from migrations_app.api.views.hosts import HostViews, WatchedFolderViews
from migrations_app.api.views.indicator import IndicatorView
from migrations_app.api.views.knowledge import (
    BaseViews,
    DocumentViews,
    FileView,
    PassageView,
    SearchView,
)
from migrations_app.api.views.moves import MassMoveViews
from migrations_app.api.views.notices import NoticeChoicesView, NoticeViews, SearchHistoryView
from migrations_app.api.views.people import (
    AdapterViews,
    FamilyPromptsView,
    MeView,
    PreferenceView,
    PromptViews,
)
from migrations_app.api.views.plans import PlanViews
from migrations_app.api.views.tokens import TokenViews
from migrations_app.api.views.usage import QuotaViews, UsageViews

app_name = "api"
PLAN_ID = PlanViews.lookup_value_regex

router = SimpleRouter(trailing_slash=False)
router.register("catalog", CatalogViews, basename="catalog")
router.register("downloads", DownloadViews, basename="download")
router.register("plans", PlanViews, basename="plan")
router.register("mass-moves", MassMoveViews, basename="mass-move")
router.register("backups", BackupViews, basename="backup")
router.register("adapters", AdapterViews, basename="adapter")
router.register("knowledge-bases", BaseViews, basename="knowledge-base")
router.register(
    r"knowledge-bases/(?P<base_pk>[0-9]{1,18})/documents", DocumentViews, basename="document"
)
router.register("watched-folders", WatchedFolderViews, basename="watched-folder")
router.register("conversations", ConversationViews, basename="conversation")
router.register(
    r"conversations/(?P<conversation_pk>[0-9]{1,18})/messages", MessageViews, basename="message"
)
router.register("tokens", TokenViews, basename="token")
router.register("people", PersonViews, basename="person")
router.register("invitations", InvitationViews, basename="invitation")
router.register("notices", NoticeViews, basename="notice")
router.register("hosts", HostViews, basename="host")
router.register("defaults", DefaultViews, basename="default")
router.register("fallbacks", FallbackViews, basename="fallback")
router.register("fallback-incidents", FallbackIncidentViews, basename="fallback-incident")
router.register("prompt-templates", PromptTemplateViews, basename="prompt-template")
router.register("audit", AuditViews, basename="audit")
router.register("usage", UsageViews, basename="usage")
router.register("quotas", QuotaViews, basename="quota")

urlpatterns = [
    *router.urls,
    path("catalog-file", CatalogFileView.as_view(), name="catalog-file"),
    path("hub-files", HubFilesView.as_view(), name="hub-files"),
    re_path(
        rf"^catalog/(?P<model_id>{CatalogViews.lookup_value_regex})/fit$",
        FitView.as_view(),
        name="catalog-fit",
    ),
    path("recommend", RecommendView.as_view(), name="recommend"),
    path(
        "defaults/organisation",
        OrganisationDefaultView.as_view(),
        name="organisation-default",
    ),
    re_path(
        r"^defaults/groups/(?P<group>[^/]{1,150})$",
        GroupDefaultView.as_view(),
        name="group-default",
    ),
    path("backup-rule", BackupRuleView.as_view(), name="backup-rule"),
    path(
        "backup-rules/organisation",
        OrganisationBackupRuleView.as_view(),
        name="organisation-backup-rule",
    ),
    path("preferences", PreferenceView.as_view(), name="preferences"),
    path("prompts", PromptViews.as_view(), name="prompts"),
    re_path(
        r"^prompts/(?P<family>[A-Za-z0-9][A-Za-z0-9._-]{0,63})$",
        FamilyPromptsView.as_view(),
        name="family-prompts",
    ),
    re_path(
        r"^documents/(?P<document_id>[0-9]{1,18})/passages/(?P<chunk_id>[0-9]{1,18})$",
        PassageView.as_view(),
        name="passage",
    ),
    re_path(
        r"^knowledge-bases/(?P<base_pk>[0-9]{1,18})/files/(?P<path>[\s\S]+)\Z",
        FileView.as_view(),
        name="document-file",
    ),
    path("search", SearchView.as_view(), name="search"),
    path("events", EventsView.as_view(), name="events"),
    path("progress", ProgressView.as_view(), name="progress"),
    re_path(rf"^plans/(?P<id>{PLAN_ID})/events$", PlanEventsView.as_view(), name="plan-events"),
    re_path(
        rf"^plans/(?P<id>{PLAN_ID})/progress$", PlanProgressView.as_view(), name="plan-progress"
    ),
    path("me", MeView.as_view(), name="me"),
    path("sessions", SessionsView.as_view(), name="sessions"),
    re_path(r"^sessions/(?P<pk>[0-9]{1,18})$", SessionView.as_view(), name="session"),
    path("notice-choices", NoticeChoicesView.as_view(), name="notice-choices"),
    path("search-history", SearchHistoryView.as_view(), name="search-history"),
    path("me/engine", IndicatorView.as_view(), name="me-engine"),
    re_path(r"^[\s\S]*$", UnknownRoute.as_view(), name="unknown"),
]
