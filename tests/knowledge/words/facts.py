"""Small facts in many scripts, each with a question that shares a name, a number or a word with it."""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    """A passage, and what somebody asks who looks for it."""

    language: str
    text: str
    question: str


FACTS = (
    Fact(
        "en",
        "The roofs of the reading house were covered with slate in 1987 by the masons.",
        "Which roof did they cover with slate?",
    ),
    Fact(
        "de",
        "Die Bibliothek öffnet am Samstag um neun Uhr, und der Keller wird nicht geheizt.",
        "Wann öffnen die Bibliotheken?",
    ),
    Fact(
        "fr",
        "Les bénévoles réparent des livres anciens dans la cave avec de la colle.",
        "Qui répare un livre ancien ?",
    ),
    Fact(
        "es",
        "La bibliotecaria guarda las llaves del archivo en el cajón de su escritorio.",
        "¿Dónde está la llave del archivo?",
    ),
    Fact(
        "ru",
        "Читатели возвращают книги в понедельник, и в среду их ставят на полки.",
        "Когда читатель возвращает книгу?",
    ),
    Fact(
        "uk",
        "Щотижневі збори гуртка відбуваються у великій залі, де стоять камін та рояль.",
        "збори гуртка залі",
    ),
    Fact(
        "el",
        "Ο φύλακας κλειδώνει την πόρτα του αναγνωστηρίου στις δέκα το βράδυ.",
        "Πότε κλειδώνει ο φύλακας;",
    ),
    Fact("ar", "يحفظ أمين المكتبة المخطوطات القديمة في خزانة من الحديد.", "أين المخطوطات القديمة؟"),
    Fact("he", "הספרנית שומרת את המפתחות במגירה של השולחן.", "איפה המפתחות?"),
    Fact(
        "hi", "पुस्तकालय में पुरानी पुस्तकें लोहे की अलमारी में रखी जाती हैं और ताला लगा है।", "पुरानी पुस्तकें कहाँ हैं?"
    ),
    Fact("th", "ห้องสมุดปิดในวันหยุดนักขัตฤกษ์และเปิดอีกครั้งในวันจันทร์", "วันหยุดนักขัตฤกษ์"),
    Fact("km", "បណ្ណាល័យបើកទ្វារនៅម៉ោងប្រាំបីព្រឹករាល់ថ្ងៃចន្ទ", "បណ្ណាល័យបើកម៉ោងប្រាំបី"),
    Fact("zh", "图书馆的屋顶去年用石板重新铺过，费用由基金会承担。", "屋顶是用石板铺的吗？"),
    Fact("ja", "貸出期間は二週間で、延長はカウンターで申し込めます。", "貸出の延長"),
    Fact("ko", "도서관은 화요일에 쉬고 토요일에는 늦게까지 문을 엽니다.", "도서관 화요일"),
    Fact("", "QX-7741-B / 0049 30 5551234 / Zbigniew Wojtyłko", "Wojtylko 7741"),
)
