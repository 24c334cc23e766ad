"""What is written beforehand is what pytest reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.assertion import rewrite

from tests.beforehand.asserts import find_tests, write_asserts, written_for


def test_pytest_takes_what_was_written_and_it_tells_what_was_compared(tmp_path: Path) -> None:
    file = tmp_path / "test_one.py"
    file.write_text("def test_it():\n    word = 'a'\n    assert word == 'b'\n")
    (tmp_path / "helper.py").touch()

    assert find_tests(tmp_path) == [file]
    write_asserts(file)

    code = rewrite._read_pyc(file, written_for(file))
    assert code is not None
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - as pytest does
    test = names["test_it"]
    assert callable(test)
    with pytest.raises(AssertionError, match="assert 'a' == 'b'"):
        test()


def test_a_file_that_changed_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "conftest.py"
    file.write_text("first = 1\n")
    write_asserts(file)
    file.write_text("second = 2\n")
    assert rewrite._read_pyc(file, written_for(file)) is None

    write_asserts(file)

    code = rewrite._read_pyc(file, written_for(file))
    assert code is not None
    assert "second" in code.co_names
