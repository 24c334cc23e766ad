"""Knowledge bases, their documents, and search over all that the caller may read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer as AnySerializer

from engines.exceptions import InvalidRequestError, UnsafeNameError
from engines.models import Document, KnowledgeBase
from engines.reading.kinds import is_archive
from engines.reading.reader import ReadFile, read_file
from engines.services.knowledge.access import READERS_ONLY, bases_visible_to, may_write
from engines.services.knowledge.documents import (
    add_document,
    create_base,
    delete_base,
    delete_document,
    rename_base,
    update_document,
)
from engines.services.knowledge.folders import (
    Delivery,
    Outcome,
    add_read_file,
    take_delivery,
)
from engines.services.knowledge.passages import place_passage
from engines.services.knowledge.search_filters import SearchFilter
from engines.services.people.roles import AnyUser, is_curator
from migrations_app.api.base import ApiView, Rows, row_or_404, validated
from migrations_app.api.idempotency import idempotent
from migrations_app.api.parsers import (
    MAX_DOCUMENT_UPLOAD_BYTES,
    StrictFormParser,
    StrictJSONParser,
    uploaded_to_disk,
)
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.knowledge import (
    BaseCreateSerializer,
    BaseRenameSerializer,
    BaseSerializer,
    DocumentDetailSerializer,
    DocumentPatchSerializer,
    DocumentSerializer,
    DocumentUploadSerializer,
    DocumentWriteSerializer,
    FileSerializer,
    FilesSerializer,
    PassageSerializer,
    ReEmbedSerializer,
    SearchAnswerSerializer,
    SearchSerializer,
    filter_of,
)
from migrations_app.api.serializers.plans import PlanDetailSerializer
from migrations_app.api.views.plans import plan_location
from migrations_app.controller import get_migration_controller
from migrations_app.limits.held import ANSWERS, UPLOADS, holding
from migrations_app.models import Plan
from migrations_app.serving.answers import answer_search, embed_for_writer


class DocumentText(TypedDict, total=False):
    """What a person wrote, or changes of it."""

    title: str
    text: str
    media_type: str


def refuse_reader(user: AnyUser, base: KnowledgeBase) -> None:
    """Raise 403 for who may read a base only."""
    if not may_write(user, base):
        raise PermissionDenied(READERS_ONLY)


def is_group_named(body: object) -> bool:
    """Whether a request to make a base speaks of a group."""
    return isinstance(body, Mapping) and body.get("group") is not None


class BaseViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[KnowledgeBase]):
    """One's own bases and those of one's groups."""

    serializer_class = BaseSerializer
    lookup_value_regex = "[0-9]{1,18}"
    page_ordering = ("id",)
    queryset = KnowledgeBase.objects.none()

    def get_queryset(self) -> QuerySet[KnowledgeBase]:
        searchable = ExpressionWrapper(Q(live_index__isnull=False), output_field=BooleanField())
        return (
            bases_visible_to(self.request.user)
            .select_related("group")
            .annotate(searchable=searchable, document_count=Count("documents"))
        )

    @extend_schema(
        request=BaseCreateSerializer, responses={201: BaseSerializer}, parameters=[LOCATION]
    )
    def create(self, request: Request) -> Response:
        """Create a base, one's own or a group's."""
        if is_group_named(request.data) and not is_curator(request.user):
            # Before the name is looked up: who may not use groups shall not learn which there are.
            raise PermissionDenied("Only a curator may create a group's base.")
        asked = validated(BaseCreateSerializer(data=request.data))
        group = asked.get("group")
        owner = None if group else self.caller
        base = create_base(owner=owner, group=group, name=asked["name"])
        return Response(
            BaseSerializer(self.get_queryset().get(pk=base.pk)).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("api:knowledge-base-detail", kwargs={"pk": base.pk})},
        )

    @extend_schema(request=BaseRenameSerializer, responses=BaseSerializer)
    def partial_update(self, request: Request, **lookup: Any) -> Response:
        """Rename a base."""
        base = self.get_object()
        refuse_reader(request.user, base)
        base.name = rename_base(
            base.pk, validated(BaseRenameSerializer(data=request.data))["name"]
        ).name
        return Response(BaseSerializer(base).data)

    @extend_schema(
        request=ReEmbedSerializer, responses={202: PlanDetailSerializer}, parameters=[LOCATION]
    )
    @action(detail=True, methods=["post"], url_path="re-embed", url_name="re-embed")
    @idempotent
    def re_embed(self, request: Request, **lookup: Any) -> Response:
        """Start giving a base another embedder, beside the one that goes on serving."""
        base = self.get_object()
        refuse_reader(request.user, base)
        asked = validated(ReEmbedSerializer(data=request.data))
        controller = get_migration_controller()
        plan_id = controller.create_re_embed_plan(
            base,
            asked.get("engine"),
            actor=self.caller,
            accept_losses=asked["accept_losses"],
        )
        controller.execute_migration(plan_id, actor=self.actor)
        plan = Plan.objects.prefetch_related("steps", "events").get(pk=plan_id)
        shown = PlanDetailSerializer(plan, context=self.get_serializer_context())
        return Response(
            shown.data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": plan_location(plan_id)},
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Delete a base with its documents; their text is gone at once."""
        base = self.get_object()
        refuse_reader(request.user, base)
        delete_base(base.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DocumentViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Document]):
    """The documents of one base; writing works at any moment, also during a migration."""

    serializer_class = DocumentDetailSerializer
    parser_classes = (StrictJSONParser, StrictFormParser)
    max_upload_bytes = MAX_DOCUMENT_UPLOAD_BYTES
    lookup_value_regex = "[0-9]{1,18}"
    page_ordering = ("id",)
    queryset = Document.objects.none()

    def get_queryset(self) -> QuerySet[Document]:
        if getattr(self, "swagger_fake_view", False):
            return Document.objects.none()
        rows = Document.objects.filter(base=self._base())
        return rows.defer("text") if self.action == "list" else rows

    def get_serializer_class(self) -> type[AnySerializer[Document]]:
        return DocumentSerializer if self.action == "list" else DocumentDetailSerializer

    @extend_schema(
        request={
            "application/json": DocumentWriteSerializer,
            "multipart/form-data": DocumentUploadSerializer,
        },
        responses={201: DocumentSerializer},
        parameters=[LOCATION],
    )
    def create(self, request: Request, **lookup: Any) -> Response:
        """Add a document as JSON, or as a file; ``PUT`` a file to its path to add it once only."""
        base = self._writable_base()
        with holding(self.caller.pk, UPLOADS):
            document = self._added(request, base)
        address = {"base_pk": base.pk, "pk": document.pk}
        return Response(
            DocumentSerializer(document).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("api:document-detail", kwargs=address)},
        )

    @extend_schema(request=DocumentWriteSerializer, responses=DocumentSerializer)
    def update(self, request: Request, **lookup: Any) -> Response:
        """Replace a document."""
        return self._changed(request, DocumentWriteSerializer)

    @extend_schema(request=DocumentPatchSerializer, responses=DocumentSerializer)
    def partial_update(self, request: Request, **lookup: Any) -> Response:
        """Change a document's title, text or kind."""
        return self._changed(request, DocumentPatchSerializer)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Delete a document; no search returns it from now on."""
        self._writable_base()
        delete_document(self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _changed(self, request: Request, kind: type[AnySerializer[Any]]) -> Response:
        self._writable_base()
        document = self.get_object()
        # Before the body is parsed: who has as many under way as is allowed costs nothing more.
        with holding(self.caller.pk, UPLOADS):
            changes = _text(kind(data=request.data))
            changed = update_document(document.pk, embed=embed_for_writer, **changes)
        return Response(DocumentSerializer(changed).data)

    def _base(self) -> KnowledgeBase:
        return row_or_404(bases_visible_to(self.request.user), pk=self.kwargs["base_pk"])

    def _writable_base(self) -> KnowledgeBase:
        base = self._base()
        refuse_reader(self.request.user, base)
        return base

    def _added(self, request: Request, base: KnowledgeBase) -> Document:
        is_upload = (request.content_type or "").startswith("multipart/")
        if not is_upload:
            content = _text(DocumentWriteSerializer(data=request.data))
            return add_document(base.pk, embed=embed_for_writer, **content)
        asked = validated(DocumentUploadSerializer(data=request.data))
        with uploaded_to_disk(asked["file"], "file") as stored:
            read = _read_upload(stored, asked["file"].name or "document")
        return add_read_file(base.pk, read, asked.get("title") or read.path, embed_for_writer)


def _text(serializer: AnySerializer[Any]) -> DocumentText:
    return cast("DocumentText", validated(serializer))


def _read_upload(stored: Path, name: str) -> ReadFile:
    try:
        return read_file(stored, name)
    except (InvalidRequestError, UnsafeNameError) as error:
        raise ValidationError({"file": [str(error)]}) from error


class FileView(ApiView):
    """A file at its path in a base: the same path again is the same document."""

    parser_classes = (StrictFormParser,)
    max_upload_bytes = MAX_DOCUMENT_UPLOAD_BYTES

    @extend_schema(
        request={"multipart/form-data": FileSerializer}, responses={200: FilesSerializer}
    )
    def put(self, request: Request, base_pk: str, path: str) -> Response:
        """Add a file, update or move its document, or leave it as it is; a line says which.

        A zip is a folder: a file that is refused leaves the others alone, and a document whose file it does not
        hold any more has its line, too. A single file that is refused is an error.
        """
        base = row_or_404(bases_visible_to(request.user), pk=base_pk)
        refuse_reader(request.user, base)
        with holding(self.caller.pk, UPLOADS):
            asked = validated(FileSerializer(data=request.data))
            with uploaded_to_disk(asked["file"], "file") as stored:
                delivery = Delivery(
                    stored,
                    path,
                    moved_from=asked.get("moved_from", ""),
                    delete_missing=asked["delete_missing"],
                )
                lines = take_delivery(base.pk, delivery, embed_for_writer)
        if not is_archive(path) and lines[0].outcome is Outcome.REFUSED:
            raise ValidationError({"file": [lines[0].said]})
        return Response(FilesSerializer({"files": lines}).data)


class PassageView(ApiView):
    """A passage that an answer cited, in its document."""

    @extend_schema(responses=PassageSerializer)
    def get(self, request: Request, document_id: str, chunk_id: str) -> Response:
        """Tell where a passage stands in its document, and what stands around it."""
        found = place_passage(self.caller, int(document_id), int(chunk_id))
        return Response(PassageSerializer(found).data)


class SearchView(ApiView):
    """Search all bases that the caller may read, by meaning and by words."""

    query_parameters = frozenset({"query", "k", *SearchFilter.__struct_fields__})

    @extend_schema(parameters=[SearchSerializer], responses=SearchAnswerSerializer)
    def get(self, request: Request) -> Response:
        """Search with the question in the address."""
        return self._search(request.query_params)

    @extend_schema(request=SearchSerializer, responses=SearchAnswerSerializer)
    def post(self, request: Request) -> Response:
        """Search with the question in the body, which no log keeps."""
        return self._search(request.data)

    def _search(self, asked: Any) -> Response:
        content = validated(SearchSerializer(data=asked))
        with holding(self.caller.pk, ANSWERS):
            found = answer_search(self.caller, content["query"], content["k"], filter_of(content))
        documents = Document.objects.filter(pk__in={hit.document_id for hit in found.hits})
        kinds = dict(documents.values_list("pk", "media_type"))
        return Response(SearchAnswerSerializer(found, context={"media_types": kinds}).data)
