"""The engines that an archive names, found among those of this installation's catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.models import CatalogModel, ModelRevision
from engines.specs import ModelSource

PINNED = (
    *("source", "repository", "wanted_revision", "sha256", "file_size", "parts", "facts", "shape"),
)


class EnginesHere:
    """Keys of the archive's engines and revisions to rows of this database; says what is missing."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._revisions: dict[int, Mapping[str, Any]] = {}
        self._engines: dict[int, CatalogModel | None] = {}

    def learn_engine(self, key: int, fields: Mapping[str, Any]) -> None:
        """Remember what an engine of the archive is called."""
        self._names[key] = str(fields["model_id"])

    def learn_revision(self, key: int, fields: Mapping[str, Any]) -> None:
        """Remember what file a revision of the archive is."""
        self._revisions[key] = fields

    def name_of(self, key: int | None) -> str:
        """Return the name of an engine of the archive."""
        return self._names.get(key or 0, "an engine that the backup does not name")

    def engine(self, key: int | None) -> CatalogModel | None:
        """Return the entry of the same name here; None when there is none."""
        if key is None:
            return None
        if key not in self._engines:
            name = self._names.get(key, "")
            self._engines[key] = CatalogModel.objects.filter(model_id=name).first()
        return self._engines[key]

    def revision(self, key: int | None) -> ModelRevision | None:
        """Return the same file here: by its entry's name and digest, else by its digest alone.

        A revision that this catalog has not met yet is entered, as it was pinned. None when nothing
        here is that file.
        """
        fields = self._revisions.get(key or 0)
        if fields is None:
            return None
        model = self.engine(fields["model"])
        if model is None:
            return _same_file(fields["sha256"])
        known = ModelRevision.objects.filter(
            model=model, commit=fields["commit"], filename=fields.get("filename", "")
        ).first()
        if known is not None:
            return known if known.sha256 == fields["sha256"] else None
        if model.source != fields.get("source", ModelSource.FILE.value):
            return None
        pinned = {name: fields[name] for name in PINNED if name in fields}
        return ModelRevision.objects.create(
            model=model, commit=fields["commit"], filename=fields.get("filename", ""), **pinned
        )


def _same_file(sha256: str) -> ModelRevision | None:
    found = ModelRevision.objects.filter(source=ModelSource.FILE.value, sha256=sha256)
    return found.exclude(sha256="").select_related("model").order_by("pk").first()
