"""Putting a person's rows back: all of an archive in one transaction, or nothing of it.

Keys of the archive mean nothing here: engines are found by name and digest, groups by name, everything else
gets new keys. What cannot be put back is said in a sentence, and the rest is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from django.contrib.auth.models import Group, User
from django.utils.dateparse import parse_datetime

from engines.exceptions import ArchiveError
from engines.models import (
    CatalogModel,
    Conversation,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelRevision,
    NoticeChoice,
    PastSearch,
    PromptTemplate,
    SearchHistory,
    UserPrompts,
    WatchedFolder,
)
from engines.services.backups.engines_here import EnginesHere
from engines.services.catalog.entries import is_offered
from engines.services.knowledge.content import Origin
from engines.services.knowledge.documents import (
    WrittenDocument,
    delete_base,
    put_base,
    put_documents,
)
from engines.services.people.preferences import (
    PROMPT_FIELDS,
    EngineChoice,
    lock_preference,
    write_preference,
)
from engines.services.people.roles import ROLES

BATCH = 500
MESSAGE_FIELDS = (
    *("position", "role", "content", "status", "fallback_for", "citations", "left_out"),
    *("finish_reason", "prompt_tokens", "completion_tokens", "client_key"),
)
ADAPTER_FIELDS = (
    *("name", "artifact_key", "sha256", "file_size", "scale", "status", "training_stats"),
)


class ArchivedRow(TypedDict):
    """A row as Django writes it; what a person is called has no key."""

    pk: int
    fields: dict[str, Any]


@dataclass(slots=True)
class RestoreReport:
    """What was put back: the engine, rows by table, and sentences about what was not."""

    engine: CatalogModel | None = None
    revision: ModelRevision | None = None
    counts: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def has_belongings(user: User) -> bool:
    """Whether a person has anything that a restore would replace."""
    owned: Sequence[Any] = (
        user.conversations,
        user.knowledge_bases,
        user.lora_adapters,
        user.prompts,
    )
    return any(rows.exists() for rows in owned)


class Restorer:
    """Takes an archive's tables in their order and makes them one person's, inside a transaction."""

    def __init__(
        self, user: User, *, joins_groups: bool, has_file: Callable[[str], bool], why: str
    ) -> None:
        """Lock the person; ``has_file`` tells of an adapter's key whether the store has its file."""
        self._user = user
        self._joins_groups = joins_groups
        self._has_file = has_file
        self._why = why
        self._preference = lock_preference(user.pk)
        self._engines = EnginesHere()
        self._bases: dict[int, int] = {}
        self._documents: dict[int, int] = {}
        self._conversations: dict[int, int] = {}
        self._templates: dict[str, Mapping[str, Any]] = {}
        self._has_adapters = False
        self.report = RestoreReport()
        self._tables: dict[str, Callable[[Sequence[Any]], None]] = {
            "person": self._take_person,
            "groups": self._take_groups,
            "catalog": self._take_engines,
            "revisions": self._take_revisions,
            "preference": self._take_preference,
            "prompt_templates": self._take_templates,
            "prompts": self._take_prompts,
            "notice_choices": self._take_notice_choices,
            "search_history": self._take_search_history,
            "searches": self._take_searches,
            "bases": self._take_bases,
            "documents": self._take_documents,
            "conversations": self._take_conversations,
            "messages": self._take_messages,
            "adapters": self._take_adapters,
        }

    def clear(self) -> None:
        """Remove what the archive replaces; adapters go when the archive turns out to have some."""
        bases = KnowledgeBase.objects.filter(owner=self._user).order_by("pk")
        self._tell_of_folders()
        for base_id in bases.values_list("pk", flat=True):
            delete_base(base_id)
        Conversation.objects.filter(user=self._user).delete()
        UserPrompts.objects.filter(user=self._user).delete()
        NoticeChoice.objects.filter(user=self._user).delete()
        SearchHistory.objects.filter(user=self._user).delete()

    def _tell_of_folders(self) -> None:
        """Say which folders are watched no more: a look at one could undo what is put back."""
        watched = WatchedFolder.objects.filter(base__owner=self._user).order_by("pk")
        self.report.left += [
            f"The base {one.base.name!r} is not kept in step with the folder {one.name!r} of the host "
            f"{one.host.name} any more; an administrator can attach it again."
            for one in watched.select_related("base", "host")
        ]

    def take(self, table: str, rows: Sequence[Any]) -> None:
        """Put a part of a table back; tables that are made anew from others are passed over.

        ArchiveError for rows of a form that is not known here.
        """
        handler = self._tables.get(table)
        if handler is None:
            return
        try:
            handler(rows)
        except (KeyError, TypeError, AttributeError) as error:
            raise ArchiveError(
                f"The rows of {table!r} in the backup are of a form that is not known here; was it "
                "made by a newer SAM? Update this one and try again."
            ) from error
        self.report.counts[table] = self.report.counts.get(table, 0) + len(rows)

    def finish(self) -> RestoreReport:
        """Do what needs all tables: citations, and prompts whose template is not here."""
        self._point_citations()
        self._keep_lost_templates()
        if not self._has_adapters:
            self.report.left.append(
                "The backup was made without adapters; those that were there stay."
            )
        return self.report

    def _take_person(self, rows: Sequence[Any]) -> None:
        about = rows[0]
        missing = [
            name
            for name in ("email", "first_name", "last_name")
            if about.get(name) and not getattr(self._user, name)
        ]
        for name in missing:
            setattr(self._user, name, about[name])
        if missing:
            self._user.save(update_fields=missing)

    def _take_groups(self, rows: Sequence[Any]) -> None:
        names = {str(row["name"]) for row in rows} - ROLES
        names -= set(self._user.groups.values_list("name", flat=True))
        here = {group.name: group for group in Group.objects.filter(name__in=names)}
        if self._joins_groups:
            self._user.groups.add(*here.values())
            names -= set(here)
        if names:
            self.report.left.append(
                f"The person was in {_listed(names)}; an administrator can add them to such a group."
            )

    def _take_engines(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            self._engines.learn_engine(row["pk"], row["fields"])

    def _take_revisions(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            self._engines.learn_revision(row["pk"], row["fields"])

    def _take_preference(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            fields = row["fields"]
            engine, revision = self._choose_engine(fields)
            lost = fields["engine"] is not None and engine is None
            if lost:
                continue
            choice = EngineChoice(engine, revision, fields["prompt_family"])
            write_preference(self._preference, choice, why=self._why)
            self.report.engine, self.report.revision = engine, revision

    def _choose_engine(
        self, fields: Mapping[str, Any]
    ) -> tuple[CatalogModel | None, ModelRevision | None]:
        name = self._engines.name_of(fields["engine"])
        revision = self._engines.revision(fields["revision"])
        engine = revision.model if revision is not None else self._engines.engine(fields["engine"])
        if engine is None:
            if fields["engine"] is not None:
                self.report.left.append(
                    f"The engine {name} is not in this catalog; add it, then choose it or restore again."
                )
            return None, None
        if not is_offered(self._user, engine):
            self.report.left.append(
                f"The engine {name} is not offered to this person here; the engine stays as it is."
            )
            return None, None
        if revision is None and fields["revision"] is not None:
            self.report.left.append(
                f"The file of {name} that was in use is not known here; the catalog's present one is."
            )
            revision = engine.current_revision
        return engine, revision

    def _take_templates(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            self._templates[row["fields"]["family"]] = row["fields"]

    def _take_prompts(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            fields = row["fields"]
            texts = {name: fields[name] for name in PROMPT_FIELDS}
            UserPrompts.objects.create(user=self._user, family=fields["family"], **texts)

    def _take_notice_choices(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            chosen = {name: row["fields"][name] for name in ("kind", "on_page", "by_email")}
            NoticeChoice.objects.create(user=self._user, **chosen)

    def _take_search_history(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            history, _ = SearchHistory.objects.get_or_create(user=self._user)
            history.since = _moment(row["fields"]["since"])
            history.save(update_fields=["since"])

    def _take_searches(self, rows: Sequence[ArchivedRow]) -> None:
        history = SearchHistory.objects.filter(user=self._user).first()
        if history is None:
            # Who never allowed it has none.
            return
        PastSearch.objects.bulk_create(
            (
                PastSearch(
                    history=history,
                    question=row["fields"]["question"],
                    asked_at=_moment(row["fields"]["asked_at"]),
                )
                for row in rows
            ),
            ignore_conflicts=True,
        )

    def _take_bases(self, rows: Sequence[ArchivedRow]) -> None:
        for row in rows:
            base = put_base(row["fields"]["name"], self._user)
            made = _moment(row["fields"]["created_at"])
            KnowledgeBase.objects.filter(pk=base.pk).update(created_at=made)
            self._bases[row["pk"]] = base.pk

    def _take_documents(self, rows: Sequence[ArchivedRow]) -> None:
        by_base: dict[int, list[ArchivedRow]] = {}
        for row in rows:
            by_base.setdefault(self._bases[row["fields"]["base"]], []).append(row)
        for base_id, group in by_base.items():
            documents = put_documents(base_id, [_written(row["fields"]) for row in group])
            for row, document in zip(group, documents, strict=True):
                self._documents[row["pk"]] = document.pk

    def _take_conversations(self, rows: Sequence[ArchivedRow]) -> None:
        made = Conversation.objects.bulk_create(
            Conversation(
                user=self._user,
                title=row["fields"]["title"],
                updated_at=_moment(row["fields"]["updated_at"]),
            )
            for row in rows
        )
        for row, conversation in zip(rows, made, strict=True):
            conversation.created_at = _moment(row["fields"]["created_at"])
            self._conversations[row["pk"]] = conversation.pk
        Conversation.objects.bulk_update(made, ["created_at"], batch_size=BATCH)

    def _take_messages(self, rows: Sequence[ArchivedRow]) -> None:
        made = Message.objects.bulk_create(
            Message(
                conversation_id=self._conversations[row["fields"]["conversation"]],
                engine=self._engines.engine(row["fields"]["engine"]),
                **_present(row["fields"], MESSAGE_FIELDS),
            )
            for row in rows
        )
        for row, message in zip(rows, made, strict=True):
            message.created_at = _moment(row["fields"]["created_at"])
        Message.objects.bulk_update(made, ["created_at"], batch_size=BATCH)

    def _take_adapters(self, rows: Sequence[ArchivedRow]) -> None:
        if not self._has_adapters:
            LoraAdapter.objects.filter(user=self._user).delete()
            self._has_adapters = True
        for row in rows:
            self._take_adapter(row["fields"])

    def _take_adapter(self, fields: Mapping[str, Any]) -> None:
        base = self._engines.revision(fields["base_revision"])
        if base is None:
            reason = "the engine it was trained on is not in this catalog"
        elif not self._has_file(fields["artifact_key"]):
            reason = "its file is neither in the backup nor in the store"
        else:
            adapter = LoraAdapter.objects.create(
                user=self._user, base_revision=base, **_present(fields, ADAPTER_FIELDS)
            )
            made = _moment(fields["created_at"])
            LoraAdapter.objects.filter(pk=adapter.pk).update(created_at=made)
            return
        self.report.left.append(
            f"The adapter {fields['name']!r} stays in the backup: {reason}. Add what is missing and "
            "restore again."
        )

    def _point_citations(self) -> None:
        """Let answers cite the documents as they are called now; what is not the person's own stays."""
        citing = Message.objects.filter(conversation__user=self._user).exclude(citations=[])
        changed = []
        for message in citing.iterator(chunk_size=BATCH):
            for citation in message.citations:
                document = self._documents.get(citation.get("document_id"))
                base = self._bases.get(citation.get("base_id"))
                if document is not None and base is not None:
                    citation.update(document_id=document, base_id=base)
            changed.append(message)
        Message.objects.bulk_update(changed, ["citations"], batch_size=BATCH)

    def _keep_lost_templates(self) -> None:
        """Where the organisation has no prompts of a family any more, what they were is the person's own."""
        here = set(PromptTemplate.objects.values_list("family", flat=True))
        used = {self._preference.prompt_family, *_families_of(self._user)}
        for family in sorted(used & (set(self._templates) - here)):
            texts = {name: self._templates[family][name] or None for name in PROMPT_FIELDS}
            edits, _ = UserPrompts.objects.get_or_create(user=self._user, family=family)
            for name, text in texts.items():
                if getattr(edits, name) is None:
                    setattr(edits, name, text)
            edits.save()


def _families_of(user: User) -> Collection[str]:
    return set(UserPrompts.objects.filter(user=user).values_list("family", flat=True))


def _written(fields: Mapping[str, Any]) -> WrittenDocument:
    return WrittenDocument(
        title=fields["title"],
        text=fields["text"],
        media_type=fields["media_type"],
        created_at=_moment(fields["created_at"]),
        updated_at=_moment(fields["updated_at"]),
        origin=Origin(**_present(fields, ("path", "source_sha256", "places", "note"))),
    )


def _present(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the fields that the archive has; it may be older than some of them."""
    return {name: fields[name] for name in names if name in fields}


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None:
        raise TypeError(f"{text!r} is no time.")
    return moment


def _listed(names: Collection[str]) -> str:
    return f"the group{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}"
