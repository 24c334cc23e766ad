"""Addresses below /knowledge/."""

from __future__ import annotations

from django.urls import path

from migrations_app.pages.knowledge.anew import AnewView
from migrations_app.pages.knowledge.base import (
    BaseDeleteView,
    BaseSettingsView,
    BaseView,
    UploadFilesView,
    WriteView,
)
from migrations_app.pages.knowledge.bases import BasesView
from migrations_app.pages.knowledge.documents import (
    DocumentDeleteView,
    DocumentEditView,
    DocumentReplaceView,
    DocumentView,
)
from migrations_app.pages.knowledge.folders import AttachFolderView, FolderView
from migrations_app.pages.knowledge.search import SearchPage

urlpatterns = [
    path("", BasesView.as_view(), name="knowledge"),
    path("search/", SearchPage.as_view(), name="knowledge-search"),
    path("<int:base_id>/", BaseView.as_view(), name="base"),
    path("<int:base_id>/upload/", UploadFilesView.as_view(), name="base-upload"),
    path("<int:base_id>/write/", WriteView.as_view(), name="base-write"),
    path("<int:base_id>/anew/", AnewView.as_view(), name="base-anew"),
    path("<int:base_id>/settings/", BaseSettingsView.as_view(), name="base-settings"),
    path("<int:base_id>/delete/", BaseDeleteView.as_view(), name="base-delete"),
    path("<int:base_id>/folders/", AttachFolderView.as_view(), name="base-attach-folder"),
    path("<int:base_id>/folders/<int:folder_id>/", FolderView.as_view(), name="base-folder"),
    path("documents/<int:document_id>/", DocumentView.as_view(), name="document"),
    path("documents/<int:document_id>/edit/", DocumentEditView.as_view(), name="document-edit"),
    path(
        "documents/<int:document_id>/replace/",
        DocumentReplaceView.as_view(),
        name="document-replace",
    ),
    path(
        "documents/<int:document_id>/delete/", DocumentDeleteView.as_view(), name="document-delete"
    ),
]
