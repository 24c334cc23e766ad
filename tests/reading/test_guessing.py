"""Texts that do not say their encoding, in those of Windows, of mails, of DOS and of older Macs."""

from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.result import Source
from engines.reading.text import UNSURE, decode_text

TEXTS = {
    "german": ("Die Prüfung der Geräte für nächstes Jahr wurde verschoben: Straße, Größe, Öffnungszeiten.", "cp850 cp437 mac_roman cp1252 iso8859_15"),
    "french": ("Le déjeuner est servi à midi. Nous avons reçu la réponse; l'élève a été gêné.", "cp850 cp437 mac_roman cp1252"),
    "spanish": ("El niño comió una piña por la mañana. ¿Dónde está el señor? ¡Qué lástima!", "cp850 cp437 mac_roman cp1252"),
    "swedish": ("Räksmörgås på bordet. Vi går hem på lördag när vädret är fint. Åke köpte päron.", "cp850 mac_roman cp1252"),
    "danish": ("Blåbærgrød med fløde. Vi går hjem på lørdag. Æbler og pærer købes på torvet.", "cp865 mac_roman cp1252"),
    "italian": ("La città è più bella perché c'è il sole. Così è già lunedì; però non può venire.", "cp850 mac_roman cp1252"),
    "icelandic": ("Næsti fundur verður á mánudaginn í Reykjavík þar sem við förum yfir ársskýrsluna.", "cp861 cp1252"),
    "portuguese": ("A reunião da comissão não aconteceu; as decisões serão tomadas amanhã de manhã na câmara.\n" * 40, "cp1252 cp850 cp860"),
    "polish": ("Zażółć gęślą jaźń. W środę pójdziemy do sklepu, żeby kupić świeże śliwki.", "cp1250 iso8859_2 cp852"),
    "czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy. V sobotu půjdeme do města.", "cp1250 iso8859_2 cp852"),
    "hungarian": ("Árvíztűrő tükörfúrógép. Szombaton elmegyünk a városba, mert szép idő van.", "cp1250 iso8859_2 cp852"),
    "lithuanian": ("Šiandien yra gražus oras, todėl eisime į parką. Ąžuolas auga šalia mūsų namų.", "cp1257 iso8859_13 cp775"),
    "latvian": ("Šodien ir skaists laiks, tāpēc iesim uz parku. Ķirši un āboli aug dārzā.", "cp1257 cp775"),
    "turkish": ("Bugün hava çok güzel, bu yüzden parka gideceğiz. Şirket saat altıya kadar çalışıyor.", "cp1254 iso8859_9 cp857"),
    "russian": ("Сегодня хорошая погода, и мы пойдём гулять в парк. Отчёт о продажах готов.", "cp1251 koi8_r cp866 iso8859_5 mac_cyrillic"),
    "ukrainian": ("Сьогодні гарна погода, і ми підемо гуляти в парк. Їжак, єдність, звіт.", "cp1251 koi8_u iso8859_5"),
    "greek": ("Σήμερα ο καιρός είναι καλός και θα πάμε βόλτα στο πάρκο. Η έκθεση είναι έτοιμη.", "cp1253 iso8859_7 cp737"),
    "hebrew": ("היום מזג האוויר יפה ונלך לטייל בפארק. הדוח על המכירות מוכן.", "cp1255 iso8859_8 cp862"),
    "arabic": ("اليوم الطقس جميل وسنذهب للتنزه في الحديقة. التقرير عن المبيعات جاهز.", "cp1256 iso8859_6"),
    "thai": ("วันนี้อากาศดี เราจะไปเดินเล่นในสวนสาธารณะ รายงานยอดขายพร้อมแล้ว", "cp874"),
    "japanese": ("株式会社 山田商事 御中 町の図書館は毎週水曜日に休みます。", "cp932 euc_jp"),
    "korean": ("시립 도서관은 매주 월요일에 문을 닫습니다. 작년 판매 보고서가 준비되었습니다.", "cp949 johab"),
    "chinese": ("今天天气很好，我们去公园散步吧。去年的销售报告已经准备好了。", "gb18030"),
    "older chinese": ("今天天氣很好，我們去公園散步吧。去年的銷售報告已經準備好了。", "big5"),
    "a table of dos": ("╔═══════╗\n║ Größe ║\n╠═══════╣\n║ 5 m   ║\n╚═══════╝\nFür die Prüfung", "cp850 cp437"),
    "names of several countries": ("Zürich; Genève; São Paulo; Malmö; Århus", "cp1252 cp850 mac_roman"),
    "quotes and dashes alone": ("“Yes” – it’s fine, isn’t it?", "cp1252 mac_roman"),
}  # fmt: skip
CASES = [(kind, encoding) for kind, (_, many) in TEXTS.items() for encoding in many.split()]
SIGNS = [
    "café",
    "100 € – ca. 40 °C",
    "10 µm",
    "M²",
    "§§ 1–3",
    "¡Hola!",
    "Straße",
    "mot\u00a0: suite",
    "À bientôt",
    "Nº 5",
]


SHORT = [
    ("información de la sesión", "cp850 cp437 mac_roman"),
    ("næsti fundur verður á", "cp861"),
    ("Þetta er góður dagur", "cp1252"),
    ("a decisão da comissão", "cp860 cp1252"),
    ("w środę do sklepu żeby", "cp1250 iso8859_2"),
    ("środę", "iso8859_2"),
    ("a következő ülés időpontja", "cp1250 iso8859_2 cp852"),
    ("paldies par jūsu vēstuli", "cp775"),
    ("θα πάμε βόλτα", "cp1253 iso8859_7 cp737"),
    ("Привет", "cp1251"),
    ("погода", "cp1251 koi8_r cp866"),
    ("ПОГОДА ХОРОШАЯ", "cp1251 cp866"),
    ("今天天气很好", "gb18030"),
    ("谢谢您的回复", "gb18030"),
    ("新書目錄在這裡", "big5"),
    ("새 책 목록 여기", "cp949"),
    ("売上報告書の提出", "cp932 euc_jp"),
]
"""A few words each, or one."""


@pytest.mark.parametrize(
    ("text", "encoding"), [(text, one) for text, many in SHORT for one in many.split()]
)
def test_of_a_few_words_it_is_that_in_which_letters_follow_each_other_as_in_a_language(
    text: str, encoding: str
) -> None:
    assert decode_text(text.encode(encoding)).text == text


@pytest.mark.parametrize(("kind", "encoding"), CASES)
def test_the_encoding_is_that_in_which_the_letters_are_those_of_a_language(
    kind: str, encoding: str
) -> None:
    text = TEXTS[kind][0]
    rows = "\n".join(f"{number};{word};{number},50" for number, word in enumerate(text.split()))

    assert decode_text(text.encode(encoding)).text == text
    assert decode_text(rows.encode(encoding)).text == rows
    assert decode_text(b"plain words in English\n" * 9_000 + text.encode(encoding)).text.endswith(
        text
    )


@pytest.mark.parametrize("text", SIGNS)
def test_a_few_signs_are_read_as_windows_writes_them(text: str) -> None:
    assert decode_text(text.encode("cp1252"))[:2] == (text, "cp1252")


def test_a_few_bytes_that_are_hardly_ascii_are_no_text() -> None:
    with pytest.raises(InvalidRequestError, match="no text either"):
        decode_text(b"\xff\xff")


def test_a_wrong_byte_far_behind_refuses_no_text() -> None:
    text = "Die Prüfung der Geräte für nächstes Jahr.\n" * 2_000

    assert decode_text(text.encode("cp1252") + b"\x81").text == f"{text}\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.html", "a.jsonl"])
def test_it_is_said_which_encoding_was_taken_and_where_that_is_not_sure(name: str) -> None:
    clear, unsure = '"Die Prüfung der Geräte für nächstes Jahr."', '"A KÖVETKEZŐ ÜLÉS IDŐPONTJA"'

    sure = read_content(Source(name, clear.encode("cp1252"))).note
    doubted = read_content(Source(name, unsure.encode("cp1250"))).note

    assert sure == "It does not say its encoding; it was read as windows-1252."
    assert doubted == f"It does not say its encoding; it was read as windows-1250. {UNSURE}"
