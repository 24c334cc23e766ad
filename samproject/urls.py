"""Addresses: people's pages, admin, REST, its description, health."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from migrations_app.accounts.views import begin_oidc, change_email, end_oidc
from migrations_app.admin.overview import overview_live
from migrations_app.api.base import UnknownRoute
from migrations_app.openai_api.description import description
from samproject.health import healthz
from samproject.web.flower_page import FlowerTasksView, FlowerView

urlpatterns = [
    # First: an address is compared with all those before it, and programs wait for their first token.
    path("v1/", include("migrations_app.compatible_api.v1_urls")),
    path("v1/", include("migrations_app.openai_api.urls")),
    path("accounts/email/", change_email),
    path("accounts/oidc/<slug:provider_id>/login/", begin_oidc),
    path("accounts/oidc/<slug:provider_id>/login/callback/", end_oidc),
    path("accounts/", include("allauth.urls")),
    path("admin/overview/", admin.site.admin_view(overview_live), name="admin-overview"),
    path("admin/", admin.site.urls),
    path("flower/tasks/datatable", FlowerTasksView.as_view(), name="flower-tasks"),
    re_path(r"^flower/(?P<path>.*)$", FlowerView.as_view(), name="flower"),
    path("", include("migrations_app.compatible_api.own_urls")),
    path("api/v1/", include("migrations_app.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/schema/openai/", description, name="openai-schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    # Last of the API's: whatever else lies below it is a problem too, not a page.
    re_path(r"^api(/[\s\S]*)?$", UnknownRoute.as_view(), name="unknown-api"),
    path("healthz", healthz, name="healthz"),
    path("", include("migrations_app.pages.urls")),
]

handler400 = "migrations_app.compatible_api.views.bad_request"
handler403 = "migrations_app.pages.errors.permission_denied"
handler404 = "migrations_app.compatible_api.views.nothing_here"
handler500 = "migrations_app.pages.errors.server_error"
