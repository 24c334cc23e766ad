"""The one door before an entry is written: admin, API, import and commands all ask here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from engines.exceptions import SamError
from engines.models import CatalogModel, EngineDefault
from engines.models.preferences import find_default_problem
from engines.services.catalog.copies import text_limit
from engines.services.catalog.entry_rules import find_entry_problems
from engines.services.catalog.resolving import look_up
from engines.services.catalog.shapes import known_shape
from engines.services.catalog.usage import EntryUsage, count_usage
from engines.specs import ModelSource

FIXED_FIELDS = ("model_id", "role", "runtime", "remote_name", "folder")
"""Vectors, plans and the programs of people rest on these."""
FILE_FIELDS = ("huggingface_repo", "filename", "wanted_revision", "sha256")
VECTOR_FIELDS = (
    "query_prefix",
    "document_prefix",
    "pooling",
    "normalise",
    "embedding_dimension",
    "use_flash_attention",
)
"""What moves the vectors of an entry that embeds."""
CONFIRM = "confirm"
"""The key of the question in the ValidationError; each face has a field or a flag of this name."""


def validate_entry(
    entry: CatalogModel,
    *,
    allowed_groups: Iterable[Group] | None = None,
    confirmed: bool = False,
) -> None:
    """Raise ValidationError by field unless this entry may be written as it is.

    Each field is already valid by itself (``clean_fields``). ``allowed_groups`` are those it is
    about to have; None means those it has. A change that moves the vectors of people is asked about
    under ``confirm``, with numbers, unless it is ``confirmed``. The Hub is asked when an entry that
    people use gets another file.
    """
    problems = find_entry_problems(entry)
    stored = CatalogModel.objects.filter(pk=entry.pk).first() if entry.pk else None
    if stored is not None and not problems:
        problems = _change_problems(entry, stored, confirmed=confirmed)
        problems |= _default_problems(entry, allowed_groups)
    if problems:
        raise ValidationError({field: [text] for field, text in problems.items()})


def _change_problems(
    entry: CatalogModel, stored: CatalogModel, *, confirmed: bool
) -> dict[str, str]:
    usage = count_usage(stored)
    problems = {**_fixed_problems(entry, stored, usage), **_context_problems(entry, stored)}
    if usage and not problems:
        problems = _file_problems(entry, stored)
    if usage and not problems and not confirmed:
        problems = _vector_question(entry, stored, usage)
    return problems


def _fixed_problems(entry: CatalogModel, stored: CatalogModel, usage: EntryUsage) -> dict[str, str]:
    if not usage and not stored.revisions.exists():
        return {}
    why = usage.sentence if usage else "Its file is pinned."
    return dict.fromkeys(
        _changed(entry, stored, FIXED_FIELDS),
        f"{why} An entry in use keeps this field; add another entry.",
    )


def _context_problems(entry: CatalogModel, stored: CatalogModel) -> dict[str, str]:
    if not _changed(entry, stored, ("context_length",)) or _changed(entry, stored, FILE_FIELDS):
        return {}
    revision = stored.current_revision
    shape = known_shape(revision)
    trained = int(revision.facts.get("context_length") or 0) if revision is not None else 0
    trained = trained or (shape.context_length if shape is not None else 0) or 0
    if not trained or entry.context_length <= trained:
        return {}
    return {"context_length": f"The file was trained for {trained} tokens; give at most as many."}


def _file_problems(entry: CatalogModel, stored: CatalogModel) -> dict[str, str]:
    """People who use an entry must not be given a file that is not there."""
    changed = _changed(entry, stored, FILE_FIELDS)
    if entry.source != ModelSource.FILE or not changed:
        return {}
    try:
        look_up(entry)
    except SamError as error:
        return {changed[0]: f"People use this entry, and its new file cannot be resolved: {error}"}
    return {}


def _vector_question(
    entry: CatalogModel, stored: CatalogModel, usage: EntryUsage
) -> dict[str, str]:
    changed = _changed(entry, stored, ("embedding_model",))
    if stored.embedding_model_id is None:
        # A server states no context of its own, so the entry's is part of the vector space.
        served = ("context_length",) if stored.source == ModelSource.SERVER else ()
        changed += _changed(entry, stored, (*VECTOR_FIELDS, *FILE_FIELDS, *served))
        changed += _text_limit_change(entry, stored)
    if not changed:
        return {}
    return {
        CONFIRM: f"{usage.sentence} {', '.join(changed)} decides what its vectors mean: what was "
        "embedded before is searched as before until it is re-embedded. Confirm to write it."
    }


def _text_limit_change(entry: CatalogModel, stored: CatalogModel) -> list[str]:
    """Another limit moves no vector where both are more than the file can read."""
    revision = stored.current_revision
    trained = int(revision.facts.get("context_length") or 0) if revision is not None else 0
    same = text_limit(entry, trained) == text_limit(stored, trained)
    return [] if same else ["passage_tokens"]


def _default_problems(
    entry: CatalogModel, allowed_groups: Iterable[Group] | None
) -> dict[str, str]:
    """An engine stays fit for those whose default it is."""
    groups = entry.allowed_groups.all() if allowed_groups is None else allowed_groups
    allowed = {group.pk: group.name for group in groups}
    for default in EngineDefault.objects.filter(engine=entry.pk).select_related("group"):
        problem = find_default_problem(entry, default.group, allowed)
        if problem:
            whose = default.group.name if default.group else "the organisation"
            field = "allowed_groups" if entry.published else "published"
            return {field: f"It is the default engine of {whose}: choose another first. {problem}"}
    return {}


def _changed(entry: CatalogModel, stored: CatalogModel, names: Iterable[str]) -> list[str]:
    attributes: Mapping[str, str] = {"embedding_model": "embedding_model_id"}
    return [
        name
        for name in names
        if getattr(entry, attributes.get(name, name)) != getattr(stored, attributes.get(name, name))
    ]
