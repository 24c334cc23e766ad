"""The page of clients says what tests show."""

from __future__ import annotations

from importlib import import_module

from tests.compatible_api.table import CLIENTS, PAGE, REQUESTS, page


def test_every_cell_names_a_test_and_the_page_shows_the_table() -> None:
    for cells in CLIENTS.values():
        assert len(cells) == len(REQUESTS)
        for cell in cells:
            if not cell.startswith("—"):
                module, _, function = cell.partition(":")
                assert callable(getattr(import_module(module), function)), cell

    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text
