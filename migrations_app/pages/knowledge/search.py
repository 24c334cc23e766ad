"""Search by meaning and by words over everything that one may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.models import KnowledgeBase
from engines.services.answers.messages import FoundPassage
from engines.services.knowledge.cutting.places import leave_out_title
from engines.services.knowledge.search import FoundBy
from migrations_app.api.problems import status_of
from migrations_app.limits.held import ANSWERS, holding
from migrations_app.pages.addresses import passage_address
from migrations_app.pages.components import Link
from migrations_app.pages.excerpts import excerpts_of
from migrations_app.pages.knowledge.forms import SearchForm
from migrations_app.pages.knowledge.shelf import KnowledgePage, way_to
from migrations_app.serving.answers import answer_search

MOST_FOUND = 10


@dataclass(frozen=True, slots=True)
class FoundLine:
    """A passage that was found, where it stands, and how near it is to the question (percent)."""

    title: str
    place: str
    text: str
    percent: int
    """0 where it has no vector yet."""
    has_words: bool
    """Whether it has words of the question."""
    base: str
    href: str
    also: list[Link]
    """The other documents that hold it."""


class SearchPage(KnowledgePage):
    """The answer to a question; the question is in the body, which no log keeps."""

    template_name: ClassVar[str] = "pages/knowledge/search.html"
    part_name: ClassVar[str] = "pages/knowledge/found.html"
    title: ClassVar[str] = "Found in your knowledge"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Lead to the form."""
        return self.go("knowledge")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Search, or say why that is not possible now."""
        form = SearchForm(request.POST)
        if not form.is_valid():
            return self._answer(form, refusal="Ask with some words.", status=400)
        try:
            with holding(self.person.pk, ANSWERS):
                reply = answer_search(self.person, form.cleaned_data["query"], MOST_FOUND)
        except SamError as error:
            return self._answer(form, refusal=str(error), status=status_of(error))
        return self._answer(form, _lines(reply.hits), words_only=reply.words_only)

    def _answer(
        self,
        form: SearchForm,
        found: Sequence[FoundLine] = (),
        *,
        refusal: str = "",
        words_only: str = "",
        status: int = 200,
    ) -> HttpResponse:
        context = {
            "search_form": form,
            "found": found,
            "refusal": refusal,
            "words_only": words_only,
            "is_compared": any(line.percent for line in found),
            "crumbs": way_to(),
        }
        # htmx shows a part of a page only where it comes as a success.
        return self.render(context, status=200 if self.request.htmx else status)


def _lines(hits: Sequence[FoundPassage]) -> list[FoundLine]:
    keys = {hit.base_id for hit in hits}
    names = dict(KnowledgeBase.objects.filter(pk__in=keys).values_list("pk", "name"))
    return [
        FoundLine(
            hit.title,
            leave_out_title(hit.place, hit.title),
            text,
            max(round(100 * hit.score), 0),
            hit.found_by is not FoundBy.VECTORS,
            names.get(hit.base_id, ""),
            passage_address(hit.document_id, hit.chunk_id),
            [Link(one.title, passage_address(one.document_id, one.chunk_id)) for one in hit.also],
        )
        for hit, text in zip(hits, excerpts_of(hits), strict=True)
    ]
