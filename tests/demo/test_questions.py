from __future__ import annotations

import pytest

from deploy.demo.acts import NOTE_QUESTION
from deploy.demo.questions import GROUNDED, QUESTIONS, Question, shared_runs
from deploy.demo.site import PROJECT
from deploy.demo.texts import (
    MARKDOWN,
    OWN_MODULES,
    SHARED_MODULES,
    Page,
    project_pages,
    python_pages,
    reading_house_pages,
)
from engines.services.knowledge.cutting.chunking import cut_text

MIN_CHUNKS = 300


def chunks(pages: list[Page]) -> list[str]:
    return [
        page.text[span.start : span.end] for page in pages for span in cut_text(page.text, MARKDOWN)
    ]


@pytest.fixture(scope="module")
def own() -> list[str]:
    return chunks([*reading_house_pages(), *project_pages(PROJECT), *python_pages(OWN_MODULES)])


@pytest.fixture(scope="module")
def shared() -> list[str]:
    return chunks(python_pages(SHARED_MODULES))


def holding(question: Question, texts: list[str]) -> list[str]:
    needle = " ".join(question.needle.split())
    return [text for text in texts if needle in " ".join(text.split())]


def test_adas_base_has_at_least_three_hundred_chunks(own: list[str]) -> None:
    assert len(own) >= MIN_CHUNKS


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_has_one_passage_in_its_base_and_shares_no_run_of_words_with_it(
    question: Question, own: list[str], shared: list[str]
) -> None:
    here, elsewhere = (shared, own) if question.shared else (own, shared)

    passages = holding(question, here)

    assert len(passages) == 1
    assert holding(question, elsewhere) == []
    assert shared_runs(question.text, passages[0]) == set()


def test_there_are_five_questions_and_one_is_about_the_teams_base() -> None:
    assert len(QUESTIONS) == 5
    assert [question.shared for question in QUESTIONS].count(True) == 1


def test_shared_runs_ignore_case_and_punctuation() -> None:
    assert shared_runs("Find the LARGEST, item!", "it can find: the largest one") == {
        ("find", "the", "largest")
    }


def test_project_pages_are_named_by_their_path() -> None:
    titles = [page.title for page in project_pages(PROJECT)]

    pages = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").glob("*.md"))
    assert sorted(titles) == pages != []


@pytest.mark.parametrize("question", [*QUESTIONS, GROUNDED, NOTE_QUESTION])
def test_no_page_quotes_what_is_asked(question: Question, own: list[str]) -> None:
    """Such a page is found in place of the passage that answers."""
    asked = question.text.lower()

    assert [text for text in own if asked in " ".join(text.lower().split())] == []


def test_a_module_page_has_its_own_members_and_not_what_it_imports() -> None:
    page = python_pages(["textwrap"])[0]

    assert page.title == "Python: textwrap"
    assert page.text.startswith("# The module textwrap\n\nText wrapping and filling.")
    assert "## textwrap.dedent(text)\n\nRemove any common" in page.text
    assert "## textwrap.TextWrapper.wrap(self, text)" in page.text
    assert "## textwrap.re" not in page.text


def test_the_reading_houses_papers_are_titled_and_of_one_passage_each() -> None:
    pages = reading_house_pages()

    assert len(pages) == len({page.title for page in pages}) == 17
    assert {"Minutes of 3 March: the roof", "Visite des écoles"} <= {page.title for page in pages}
    assert [page.title for page in pages if len(cut_text(page.text, MARKDOWN)) != 1] == []


def test_what_the_new_engine_is_asked_stands_in_one_paper(own: list[str]) -> None:
    papers = chunks(reading_house_pages())

    assert len(holding(GROUNDED, papers)) == len(holding(GROUNDED, own)) == 1
    assert holding(NOTE_QUESTION, own) == []
