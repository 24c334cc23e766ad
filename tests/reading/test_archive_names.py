"""Zips of every system: their names as people gave them, and nothing that only a system wrote."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from engines.reading.archive_names import read_names
from engines.reading.reader import read_files
from tests.reading import made


def pack_raw(*names: bytes, extra: bytes = b"") -> bytes:
    """Return a zip whose names are these bytes, in an encoding that nothing names."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number, name in enumerate(names):
            info = zipfile.ZipInfo(chr(ord("A") + number) * len(name))
            info.extra = extra
            archive.writestr(info, b"")
    packed = target.getvalue()
    for number, name in enumerate(names):
        packed = packed.replace(bytes([ord("A") + number]) * len(name), name)
    return packed


def names_of(packed: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return read_names(archive.infolist())


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("Größe.txt", "utf-8"),
        ("資料/日本語の表.txt", "cp932"),
        ("Отчёт за май.txt", "cp866"),
        ("Größe no.txt", "cp437"),
        ("Größe.txt", "cp850"),
        ("São João.txt", "cp850"),
        ("見積書.pdf", "cp932"),
        ("会议纪要/销售数据—2024年.xlsx", "gb18030"),
        ("臺灣報告.txt", "gb18030"),
        ("會議記錄.docx", "big5"),
        ("회의록/최종본.docx", "cp949"),
    ],
)
def test_a_name_is_read_as_its_system_wrote_it(name: str, encoding: str) -> None:
    assert names_of(pack_raw(name.encode(encoding))) == [name]


def test_a_name_that_is_given_again_is_believed() -> None:
    old, name = "αΩ.txt".encode("cp437"), "图书馆.txt".encode()
    field = struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(old)) + name

    assert names_of(pack_raw(old, extra=field)) == ["图书馆.txt"]
    assert names_of(pack_raw(old, extra=b"\x75\x70\xff")) != ["图书馆.txt"]


def test_what_a_system_wrote_for_itself_is_left_out(tmp_path: Path) -> None:
    stored = tmp_path / "file"
    system = ("__MACOSX/a/._x.txt", "a/._x.txt", "a/.DS_Store", "a/Thumbs.db", "desktop.ini")
    stored.write_bytes(made.pack({"a\\x.txt": "seen", **dict.fromkeys(system, b"\0\5\x16\7")}))

    assert [one.path for one in read_files(stored, "a.zip")] == ["a.zip/a/x.txt"]
