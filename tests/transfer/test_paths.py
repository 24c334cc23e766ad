from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.exceptions import UnsafeNameError
from engines.files.names import safe_join


@pytest.mark.parametrize("name", ["model.gguf", "q4/part 1.gguf", "Modèle-日本.gguf", "a" * 255])
def test_a_plain_name_is_joined(tmp_path: Path, name: str) -> None:
    assert safe_join(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "a/../../b", "a/./b", "/etc/passwd", "a//b", "a/", "C:\\x",
        "a\\..\\b", "a\0b", "-rf", "a/-rf", ".git/hooks/x", ".hidden", "a\nb", "a\x7fb",
        "gpj.\u202efdp", "a\u2066b", "a\u2028b", "\ud800", "a" * 256, "é" * 128, "a/" * 600 + "b",
    ],
)  # fmt: skip
def test_a_name_that_could_leave_or_deceive_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeNameError, match="Use letters, digits"):
        safe_join(tmp_path, name)

    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "away").symlink_to(tmp_path)

    with pytest.raises(UnsafeNameError, match="through a link"):
        safe_join(root, "away/file")


@given(name=st.text(alphabet=st.characters(), max_size=40))
def test_whatever_is_joined_lies_below_the_root(name: str) -> None:
    root = Path("/srv/models")
    try:
        path = safe_join(root, name)
    except UnsafeNameError:
        return
    assert path.resolve().is_relative_to(root)
    assert path.resolve() != root
