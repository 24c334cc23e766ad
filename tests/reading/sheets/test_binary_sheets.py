"""Hidden rows and columns in workbooks of records: calamine reads .xls and .xlsb and tells of none."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence

from engines.reading.dispatch import read_content
from engines.reading.office.binary_sheets import find_hidden_binary
from engines.reading.result import Reading, Source
from tests.reading.made import pack, relations, types

XLS = zlib.decompress(
    base64.b85decode(
        "c-rk)O-NKx6#nj;_vS}O9ZdrbWD>G67wNcYqmx=mi^SR(5!AC8NStP3nvFqZnb0PPS`}>sA%d{l^g}Ib*CH@#5d?wOvQ<#fLVcZc"
        "=FT)zvvA0y<ekSo_xyeDow@hid*8g*bG7r+51JP63-!Q*WhVe{flW~h<dhJ|?>H>xdOtPCrT>Zoews+Hg{M`od_0Fd-wQBs-+VzF"
        "_(<(2PGc~YjEC2d`XmQiaSq+eq}nrZi&`}rC9gW+CxmYheotbb3EwT2E5f@ec3vI9Ty(H)m#*W(MvM5Wi7Px3%zLqPpaCzrj?Z6J"
        "*;os`=}|lJZ#tUIAZ9=_HxN(8({^GW^)!Vu_~wLxuer7QJnY)n)~-PI@5Ods3Hx=!1Sa4dS6qlw2%_6$kBK3BG{*XEuhtWGauJu&"
        "Oj->!4={W(MZx<s@l(|Gr_N-^)*G`eV3cef7E}jz(iO(tFuD3tBihwTuFgVN|9DKhBIJq`y7t&f?dl>|SKd{@hk<M!p`y*BN|scR"
        "c#QI7xmFfdh>nNFJ73-$7#WHl6U&4g7};ZG3y%XFTwnx&tHomprzFrOh#kT&%3U{!+$6l7BB^g3YS6;INr|~6-d1`}MCfgFYk|Ct"
        "<f+dGA2&~Zif$))c3|Ob{p`EwG+OAGixHl$NwlkWb@K+(lW4A2dIS0(yz#fq$Zv#n?v6e?Yp{e05o?8KH69(6*9<*Yj8-MkO3)r1"
        "uLN!8HAY(+ZInP8g7)h8?9BM`8l(Lh?J0rw2s)tSJ%X;tYmBbcXtM;`6m(F>n}V*&YmDX@?=kA|kkh0M{3oqmrEyGgrJW-@kK?t<"
        "8W~-;@>a9*!hckGo7cMXP^$7=a>*r^Tykk0l9Ize`>JE=7au;Tefqo3618RbGs(K8LrBq;p}%x{k)%G2@v`b?BP^A>ms%kv_q~v5"
        "n4X@-7)B(Iv9jxzUWQfS?^!W0w0cXZ+~+TsljmQ4{txinCK>"
    )
)
"""As xlwt writes it: sheets Paid and Plan; of Plan row 3 and column B are hidden, and row 4 is folded away in a group."""
FILTER_MODE = b"\x9b\x00\x02\x00"
MARK_AT = XLS.rindex(b"\x82\x00\x02\x00")
"""Of a record that says nothing of rows."""
SAID = "Left out are hidden rows and columns of Plan; show them in the workbook to have them read."
WHOLE = "Who: Bob; Item: item2; Cost: 200 €"


def test_what_is_hidden_in_an_xls_is_left_out_and_said() -> None:
    found = read_content(Source("plan.xls", XLS))

    paid, plan = found.text.split("# Plan")
    assert WHOLE in paid
    rows = ["Who: Ada; Cost: 100 €", "Who: Cyd; Cost: 300 €", "Who: Dan; Cost: 400 €"]
    assert plan.split("\n\n")[1].split("\n") == rows
    assert found.note == SAID


def read_packed(
    rows: Sequence[tuple[int, int]], columns: bytes = b"", behind: bytes = b""
) -> Reading:
    """Read an .xlsb of rows, each with its number and its flags."""
    sheet = record(129) + record(
        148, bytes(4) + (9).to_bytes(4, "little") + bytes(4) + (1).to_bytes(4, "little")
    )
    sheet += columns + record(145)
    for number, flags in rows:
        head = number.to_bytes(4, "little") + bytes(6) + bytes([0, flags]) + bytes(5)
        sheet += record(0, head) + cell(0, f"row {number}") + cell(1, "beside")
    sheet += record(146) + behind + record(130)
    book = record(131) + record(143)
    book += record(156, bytes(4) + (1).to_bytes(4, "little") + wide("r1") + wide("Plan"))
    book += record(144) + record(132)
    kind = "application/vnd.ms-excel.sheet.binary.macroEnabled.main"
    packed = pack(
        {
            "[Content_Types].xml": types(("xl/workbook.bin", kind)),
            "_rels/.rels": relations(("officeDocument", "xl/workbook.bin")),
            "xl/workbook.bin": book,
            "xl/_rels/workbook.bin.rels": relations(("worksheet", "worksheets/sheet1.bin")),
            "xl/worksheets/sheet1.bin": sheet,
        }
    )
    return read_content(Source("plan.xlsb", packed))


def record(number: int, body: bytes = b"") -> bytes:
    head = [number] if number < 128 else [number & 127 | 128, number >> 7]
    size, sizes = len(body), list[int]()
    while size > 127:
        sizes.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, *sizes, size]) + body


def wide(words: str) -> bytes:
    return len(words).to_bytes(4, "little") + words.encode("utf-16-le")


def cell(column: int, words: str) -> bytes:
    return record(6, column.to_bytes(4, "little") + bytes(4) + wide(words))


def numbers(*many: int) -> bytes:
    return b"".join(one.to_bytes(4, "little") for one in many)


def test_what_is_hidden_in_an_xlsb_is_left_out_and_said() -> None:
    hidden, folded = 0x10, 0x11
    found = read_packed([(0, 0), (1, hidden), (2, folded), (3, 0)])

    assert (rows_of(found), found.note) == (["row 0", "row 2", "row 3"], SAID)

    columns = record(390) + record(60, numbers(1, 1, 0, 0) + b"\x01\x00") + record(391)
    found = read_packed([(0, 0), (1, 0)], columns)
    assert (rows_of(found), found.note) == (["row 0", "row 1"], SAID)
    assert "beside" not in found.text


def test_what_a_filter_of_an_xlsb_hides_is_read() -> None:
    rows = [(0, 0), (1, 0x10), (2, 0), (8, 0x10)]
    area = record(161, numbers(0, 2, 0, 1))

    used = read_packed(rows, behind=area + record(163, bytes(6)) + record(164) + record(162))
    unused = read_packed(rows, behind=area + record(162))

    assert rows_of(used) == ["row 0", "row 1", "row 2"]
    assert rows_of(unused) == ["row 0", "row 2"]


def rows_of(found: Reading) -> list[str]:
    return sorted(set(re.findall(r"row \d", found.text)))


def test_what_a_filter_of_an_xls_hides_is_read() -> None:
    filtered = XLS[:MARK_AT] + FILTER_MODE + XLS[MARK_AT + len(FILTER_MODE) :]

    plan = read_content(Source("plan.xls", filtered)).text.split("# Plan")[1]

    assert "Who: Bob; Cost: 200 €" in plan


def test_records_that_lie_stop_nothing() -> None:
    for at in range(0, len(XLS), 7):
        find_hidden_binary(XLS[:at] + b"\xff\xff\xff\x7f" + XLS[at + 4 :], None)
        find_hidden_binary(XLS[:at], None)
