"""The catalog in the seed's JSON: imported, exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from engines.exceptions import InvalidRequestError
from engines.models import CatalogModel, ModelRole
from engines.services.catalog.fields import list_curated_fields
from engines.services.catalog.instructions import Instructions, differing_instructions
from engines.services.catalog.validation import validate_entry

FORMAT_VERSION = "1.0.0"
REQUIRED_FIELDS = ("display_name", "model_family")
COMPANION = "embedding_model"
GROUPS = "allowed_groups"

Row = TypeVar("Row", bound=Model)

Entry = Mapping[str, object]
"""The fields of one catalog entry by name, as JSON has them."""


class CatalogDocument(TypedDict):
    """The seed's catalog file."""

    version: str
    updated_at: str
    models: dict[str, Entry]


@dataclass(slots=True)
class ImportReport:
    """What an import did with each entry, by ``model_id``."""

    created: list[str] = field(default_factory=list)
    updated: dict[str, str] = field(default_factory=dict)
    """With the names of the changed fields."""
    unchanged: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Those that curators made otherwise than the file, with a sentence; nothing of them was written."""
    refused: dict[str, str] = field(default_factory=dict)
    """With a sentence; nothing of them was written."""
    prompts: list[str] = field(default_factory=list)
    """Families whose prompts were written; only the starter catalog brings any."""

    instructions: dict[str, Instructions] = field(default_factory=dict)
    """What the publishers of embedders ask for, where a written entry has other instructions."""

    @property
    def total(self) -> int:
        """How many of the entries are in the catalog now."""
        return sum(map(len, (self.created, self.updated, self.unchanged, self.left)))


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How an import meets entries that are there already."""

    overwrite: bool = False
    """Take the file's values; without it what curators set stays, and differences are reported."""
    confirmed: bool = False
    """Also change what moves the vectors of people."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """An entry as it would be written."""

    model: CatalogModel
    groups: list[Group] | None
    """None: the file does not say."""
    changed: list[str]


def import_catalog(document: Mapping[str, object], options: ImportOptions) -> ImportReport:
    """Write the entries of the seed's JSON, whose ``models`` is a mapping or a list.

    A field that an entry does not name keeps its value. Each entry stands alone: a bad one is
    reported with its reason and changes nothing. InvalidRequestError for a document without models.
    """
    report = ImportReport()
    for name, entry in sorted(_entries(document), key=_embedders_first):
        try:
            _import_entry(name, entry, options, report)
        except (InvalidRequestError, ValidationError) as error:
            report.refused[name] = "; ".join(getattr(error, "messages", [str(error)]))
    return report


def export_catalog() -> CatalogDocument:
    """Return the whole catalog in the seed's format, with everything that curators set."""
    rows = CatalogModel.objects.select_related(COMPANION).prefetch_related(GROUPS)
    return {
        "version": FORMAT_VERSION,
        "updated_at": timezone.now().isoformat(),
        "models": {
            model.model_id: {name: _exported(model, name) for name in list_curated_fields()}
            for model in sorted(rows, key=lambda m: (m.role != ModelRole.EMBEDDING, m.model_id))
        },
    }


def _exported(model: CatalogModel, name: str) -> object:
    if name == COMPANION:
        return model.embedding_model.model_id if model.embedding_model else None
    if name == GROUPS:
        return sorted(group.name for group in model.allowed_groups.all())
    value: object = getattr(model, name)
    return value


def _entries(document: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    models = document.get("models")
    if isinstance(models, Mapping):
        return list(models.items())
    if isinstance(models, list):
        return [
            (str(m.get("model_id", f"entry {n}")) if isinstance(m, Mapping) else f"entry {n}", m)
            for n, m in enumerate(models, start=1)
        ]
    raise InvalidRequestError('A catalog is an object with "models": a mapping or a list.')


def _embedders_first(named: tuple[str, object]) -> bool:
    """Companions are named by those that follow."""
    entry = named[1]
    return not (isinstance(entry, Mapping) and entry.get("role") == ModelRole.EMBEDDING)


def _import_entry(name: str, entry: object, options: ImportOptions, report: ImportReport) -> None:
    if not isinstance(entry, Mapping):
        raise InvalidRequestError("An entry is an object with the fields of ModelInfo.")
    with transaction.atomic():
        model_id = entry.get("model_id", name)
        stored = _named(CatalogModel.objects.select_for_update(of=("self",)), "model_id", model_id)
        absent = [field for field in REQUIRED_FIELDS if stored is None and not entry.get(field)]
        if absent:
            raise InvalidRequestError(f"Missing: {', '.join(absent)}.")
        draft = _drafted(stored or CatalogModel(model_id=model_id), entry)
        if stored is not None and not draft.changed:
            report.unchanged.append(stored.model_id)
        elif stored is not None and not options.overwrite:
            report.left[stored.model_id] = (
                f"It differs in {', '.join(draft.changed)} and was left as curated; "
                "overwrite to take the file's values."
            )
        else:
            _write(draft, options)
            if stored is None:
                report.created.append(draft.model.model_id)
            else:
                report.updated[stored.model_id] = ", ".join(draft.changed)
            proposed = differing_instructions(draft.model)
            if proposed is not None:
                report.instructions[draft.model.model_id] = proposed


def _write(draft: _Draft, options: ImportOptions) -> None:
    model = draft.model
    model.full_clean()
    validate_entry(model, allowed_groups=draft.groups, confirmed=options.confirmed)
    model.save()
    if draft.groups is not None:
        model.allowed_groups.set(draft.groups)


def _drafted(model: CatalogModel, entry: Entry) -> _Draft:
    """Return the entry with the file's values, each valid by itself."""
    names = [name for name in list_curated_fields() if name in entry and name != "model_id"]
    groups = _groups(entry[GROUPS]) if GROUPS in names else None
    draft = copy(model)
    for name in names:
        if name == COMPANION:
            draft.embedding_model = _companion(entry[name])
        elif name != GROUPS and (entry[name] is not None or _may_be_null(name)):
            setattr(draft, name, entry[name])
    draft.clean_fields()
    before = set(model.allowed_groups.all()) if model.pk else set()
    changed = [
        name
        for name in names
        if (
            set(groups or ()) != before
            if name == GROUPS
            else getattr(draft, name) != getattr(model, name)
        )
    ]
    return _Draft(draft, groups, changed)


def _may_be_null(name: str) -> bool:
    return bool(getattr(CatalogModel._meta.get_field(name), "null", False))


def _companion(name: object) -> CatalogModel | None:
    if name is None or name == "":
        return None
    companion = _named(CatalogModel.objects.all(), "model_id", name)
    if companion is None:
        raise InvalidRequestError(f"Its embedding model {name!r} is not in the catalog.")
    if companion.role != ModelRole.EMBEDDING:
        raise InvalidRequestError(
            f"{name!r} embeds for no other engine: its role is {companion.role}. Choose one of the role embedding."
        )
    return companion


def _groups(names: object) -> list[Group]:
    if not isinstance(names, list):
        raise InvalidRequestError("allowed_groups is a list of groups' names.")
    groups = {str(name): _named(Group.objects.all(), "name", name) for name in names}
    unknown = [name for name, group in groups.items() if group is None]
    if unknown:
        raise InvalidRequestError(
            f"It is reserved for {', '.join(map(repr, unknown))}, and there is no such group here; "
            "create it or correct allowed_groups."
        )
    return [group for group in groups.values() if group is not None]


def _named(rows: QuerySet[Row], name_field: str, name: object) -> Row | None:
    """Return the row of this name; what cannot be a name, such as a number or a NUL, names none."""
    if not isinstance(name, str) or not name.isprintable():
        return None
    return rows.filter(**{name_field: name}).first()
