"""Folders of hosts that a base is kept in step with."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.models import WatchedFolder
from engines.services.knowledge.watched.attaching import (
    ADMINISTRATORS_ONLY,
    WRITERS_ONLY,
    attach_folder,
    detach_folder,
    folders_visible_to,
    look_now,
    may_direct,
)
from engines.services.people.roles import is_administrator
from migrations_app.pages.knowledge.forms import FolderForm
from migrations_app.pages.knowledge.shelf import KnowledgePage, way_to


class AttachFolderView(KnowledgePage):
    """Attaching a folder; administrators only."""

    template_name: ClassVar[str] = "pages/knowledge/attach_folder.html"

    def get(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Show the form."""
        self._require_administrator()
        return self._show(base_id, FolderForm())

    def post(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Attach it."""
        self._require_administrator()
        base = self.base(base_id)
        form = FolderForm(request.POST)
        if not form.is_valid():
            return self._show(base_id, form, status=400)
        asked = form.cleaned_data
        try:
            attach_folder(
                base.pk,
                asked["host"].name,
                asked["path"],
                every_seconds=60 * asked["minutes"],
                keep_deleted=asked["keep_deleted"],
            )
        except SamError as error:
            form.refuse(error, "path")
            return self._show(base_id, form, status=400)
        messages.success(request, "The folder is attached; its host looks at it in a moment.")
        return self.go("base", base_id=base.pk)

    def _require_administrator(self) -> None:
        if not is_administrator(self.person):
            raise PermissionDenied(ADMINISTRATORS_ONLY)

    def _show(self, base_id: int, form: FolderForm, status: int = 200) -> HttpResponse:
        base = self.base(base_id)
        context = {"title": "Attach a folder", "base": base, "form": form, "crumbs": way_to(base)}
        return self.render(context, status=status)


class FolderView(KnowledgePage):
    """One folder: looked at now, or let go."""

    def post(self, request: HttpRequest, base_id: int, folder_id: int) -> HttpResponse:
        """Do what the button says."""
        folder = self._folder(base_id, folder_id)
        if request.POST.get("do") == "let-go":
            detach_folder(folder.pk)
            said = f"“{folder.name}” is not watched any more; its documents stay."
        else:
            look_now(folder.pk)
            said = f"{folder.host.name} is called to look at “{folder.name}” now."
        messages.success(request, said)
        return self.go("base", base_id=base_id)

    def _folder(self, base_id: int, folder_id: int) -> WatchedFolder:
        base = self.base(base_id)
        found = folders_visible_to(self.person).filter(base=base, pk=folder_id).first()
        if found is None:
            raise Http404
        if not may_direct(self.person, found):
            raise PermissionDenied(WRITERS_ONLY)
        return found
