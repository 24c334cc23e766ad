"""Knowledge in a browser: dropped and chosen files, both schemes, a phone, a keyboard, no scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import FilePayload, Page, expect

from engines.models import Chunk, Document, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import add_document, create_base
from tests.api.roles import Engines, People, make_engines, make_people
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PATIENCE_MS, PHONE
from tests.pages.knowledge.conftest import FACTS
from tests.pages.knowledge.packing import pack

pytestmark = pytest.mark.browser

HANDBOOK = """# Keeping samples

Samples are kept in the freezer at **−80 °C** for up to six months, if the box is sealed and labelled.

| Where | How long |
|---|---|
| −80 °C | six months |
| −20 °C | four weeks |

## Labels

Write the date, your initials and the project. Use a pen that does not mind the cold:

```
2026-03-01  AL  whales
```

## Throwing away

What is older goes into the bin for biological waste. Say so in the list beside the freezer, and ask the
owner first when the label names one. Whoever finds a box without a label puts it into the lowest drawer.
""" + "\n".join(
    f"\n## Room {number}\n\nThe freezer of room {number} is checked every morning. " * 3
    for number in range(1, 9)
)
TITLES = (
    "Keeping samples.md",
    "handbook/Travel and expenses.md",
    "handbook/Working from home.md",
    "Minutes of 3 March.txt",
    "Whale songs, a review.txt",
)

DROP = """(zone, files) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) transfer.items.add(new File([text], name));
  for (const kind of ["dragover", "drop"])
    zone.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def people(transactional_db: None) -> People:
    return make_people()


@pytest.fixture
def engines(people: People) -> Engines:
    return make_engines()


@pytest.fixture
def base(people: People, engines: Engines) -> KnowledgeBase:
    """A base that is searched, beside one that is not and one of a group."""
    made = create_base(owner=people.alice, name="Laboratory handbook")
    for title in TITLES:
        kind = "text/markdown" if title.endswith(".md") else "text/plain"
        add_document(made.pk, title=title, text=HANDBOOK, media_type=kind)
    revision = engines.embedder.current_revision
    assert revision is not None
    space = Fingerprint.objects.create(digest="d" * 64, revision=revision, facts=FACTS)
    index = VectorIndex.objects.create(base=made, fingerprint=space, covered_seq=99)
    KnowledgeBase.objects.update(live_index=index)
    create_base(owner=people.alice, name="Ideas")
    group = Group.objects.get(name="research")
    people.alice.groups.add(group)
    shared = create_base(group=group, name="What the group agreed on")
    add_document(shared.pk, title="Rules", text="Samples are kept for six months.")
    return made


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_every_page_can_be_read_by_everybody(
    people: People,
    base: KnowledgeBase,
    signed_in_page: Callable[..., Page],
    screenshot: Screenshot,
    kind: str,
) -> None:
    options = {"viewport": PHONE, "has_touch": True} if kind == "phone" else {"color_scheme": kind}
    page = signed_in_page(people.alice, reduced_motion="reduce", bypass_csp=True, **options)
    document = Document.objects.get(title=TITLES[0])
    chunk = Chunk.objects.filter(document=document).order_by("position")[1]
    shared = KnowledgeBase.objects.get(group__isnull=False)
    pages = {
        "bases": "/knowledge/",
        "base": f"/knowledge/{base.pk}/",
        "base-read-only": f"/knowledge/{shared.pk}/",
        "base-settings": f"/knowledge/{base.pk}/settings/",
        "write": f"/knowledge/{base.pk}/write/",
        "document": f"/knowledge/documents/{document.pk}/?passage={chunk.pk}",
        "document-edit": f"/knowledge/documents/{document.pk}/edit/",
    }

    for name, address in pages.items():
        page.goto(address)
        assert_accessible(page)
        assert_fits(page)
        screenshot(page, f"knowledge-{name}-{kind}")


def test_dropped_files_are_sent_one_by_one_and_refusals_have_lines(
    people: People,
    base: KnowledgeBase,
    signed_in_page: Callable[..., Page],
    screenshot: Screenshot,
) -> None:
    page = signed_in_page(people.alice, bypass_csp=True)
    page.goto(f"/knowledge/{base.pk}/")
    expect(page.get_by_role("button", name="Add them")).to_be_hidden()

    files = [[f"note {n}.md", f"# Note {n}\n\ntext"] for n in range(9)]
    files += [["scan.pdf", "%PDF-1.7"], ["empty.txt", " "], [TITLES[3], HANDBOOK]]
    page.locator("[data-drop-zone]").evaluate(DROP, files)

    expect_said(page, "Done: 9 added, 1 already there, 2 refused.")
    lines = page.locator("[data-upload-lines] > ul > li")
    expect(lines).to_have_count(2)
    expect(lines.filter(has_text="scan.pdf")).to_contain_text("It is damaged")
    expect(page.get_by_role("link", name="note 8.md")).to_be_visible()
    assert Document.objects.filter(base=base, title__startswith="note").count() == 9
    passages = Chunk.objects.filter(base=base, deleted_seq__isnull=True).count()
    expect(page.locator("#base-head")).to_contain_text(f"{passages} passages")
    assert_accessible(page)
    screenshot(page, "knowledge-uploaded")


def test_a_chosen_folder_and_a_zip_keep_their_names(
    people: People, base: KnowledgeBase, signed_in_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = signed_in_page(people.alice)
    page.goto(f"/knowledge/{base.pk}/")
    inside = tmp_path / "wiki" / "deep"
    inside.mkdir(parents=True)
    (inside / "one.md").write_text("# One")
    (tmp_path / "wiki" / "two.txt").write_text("two")
    (tmp_path / "wiki" / ".git").mkdir()
    for hidden in (".git/HEAD", "deep/.notes.md", "deep/Thumbs.db", "~$two.docx"):
        (tmp_path / "wiki" / hidden).write_text("Nobody sees it.")
    packed = tmp_path / "book.zip"
    packed.write_bytes(pack([("book/three.md", "# Three"), ("../up.txt", "x")]))

    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(tmp_path / "wiki")
    expect_said(page, "Done: 2 added.")
    page.get_by_label("Drop documents here").set_input_files(packed)
    expect_said(page, "Done: 1 added, 1 refused.")

    added = Document.objects.exclude(title__in=[*TITLES, "Rules"])
    assert sorted(added.values_list("title", flat=True)) == [
        "book.zip/book/three.md",
        "wiki/deep/one.md",
        "wiki/two.txt",
    ]


def test_all_of_it_works_without_scripts(
    people: People, base: KnowledgeBase, signed_in_page: Callable[..., Page], screenshot: Screenshot
) -> None:
    page = signed_in_page(people.alice, java_script_enabled=False)
    page.goto("/knowledge/")
    page.get_by_label("Name").fill("Whales")
    page.get_by_role("button", name="Make it").click()
    page.get_by_label("Drop documents here").set_input_files(
        [
            FilePayload(name="a.md", mimeType="text/markdown", buffer=b"# A"),
            FilePayload(name="b.zip", mimeType="application/zip", buffer=pack([("b/c.txt", "c")])),
            FilePayload(name="d.txt", mimeType="text/plain", buffer=b"\xff"),
        ]
    )
    page.get_by_role("button", name="Add them").click()
    expect(page.get_by_text("2 added, 1 refused.")).to_be_visible()
    screenshot(page, "knowledge-without-scripts")

    page.get_by_label("Search titles").fill("c.txt")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="b.zip/b/c.txt").click()
    page.get_by_role("link", name="Change or delete").click()
    page.get_by_label("Text", exact=True).fill("changed")
    page.get_by_role("button", name="Keep the changes").click()
    expect(page.get_by_text("The document is changed.")).to_be_visible()
    page.get_by_role("link", name="Change or delete").click()
    page.get_by_role("button", name="Delete the document").click()
    page.get_by_role("link", name="Rename or delete").click()
    page.get_by_role("button", name="Delete it and its documents").click()

    expect(page).to_have_url(page.url.split("/knowledge/")[0] + "/knowledge/")
    assert not KnowledgeBase.objects.filter(name="Whales").exists()


def test_a_keyboard_is_enough(
    people: People, base: KnowledgeBase, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice)
    page.goto("/knowledge/")
    press(page, "link", base.name)
    page.wait_for_url(f"**/knowledge/{base.pk}/")
    press(page, "link", TITLES[0])
    page.wait_for_url("**/documents/**")
    press(page, "link", "Change or delete")
    page.wait_for_url("**/edit/")
    press(page, "button", "Delete the document")
    page.wait_for_url(f"**/knowledge/{base.pk}/")

    assert not Document.objects.filter(title=TITLES[0]).exists()


def expect_said(page: Page, words: str) -> None:
    """Wait for what is said of the files; other work may hold the machine."""
    expect(page.locator("[data-upload-label]")).to_have_text(words, timeout=PATIENCE_MS)


def press(page: Page, role: str, name: str) -> None:
    """Walk there with Tab, as somebody without a mouse does, and press Enter."""
    target = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    for _ in range(80):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"no Tab leads to {role} {name}")


def test_a_search_that_cannot_be_done_says_why(
    people: People, base: KnowledgeBase, signed_in_page: Callable[..., Page], screenshot: Screenshot
) -> None:
    page = signed_in_page(people.alice)
    page.goto("/knowledge/")
    page.get_by_label("Search your knowledge").fill("How long may a sample be kept?")
    page.get_by_role("button", name="Search").click()

    expect(page.get_by_text("No search now")).to_be_visible()
    screenshot(page, "knowledge-no-engine")
