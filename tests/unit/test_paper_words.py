"""Every word of every paper in the reader's language: in Polish, and in the language that is invented."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pypdfium2 as pdfium
import pytest

from stock_tracker.papers import values
from stock_tracker.papers.labels import BinLabel, ShippingLabel, bin_labels_pdf, sscc_label_pdf
from stock_tracker.papers.pick_list import Destination, PickLine, PickList, pick_list_pdf
from stock_tracker.papers.sscc import sscc
from stock_tracker.papers.visit_report import (
    Part,
    Presence,
    Signature,
    VisitPaper,
    visit_report_pdf,
)
from storage.words import Words, languages, words
from tests.unit.test_stock_papers import opened, texts
from tests.unit.test_visit_papers import spoken

# What is told on these papers is digits: whatever has letters are the paper's own words.
AT = datetime(2026, 11, 20, 8, 55, tzinfo=UTC)
HOUR = timedelta(hours=1)
LINE = PickLine("1", "22", "333", 12_345, 10, "", "44", date(2026, 3, 31), "55")
ORDER = PickList(
    "66", "77", Destination("88", "99"), "home", ("11",), AT, "Europe/Warsaw",
    (LINE, replace(LINE, qty=3)), is_emergency=True,
)  # fmt: skip
LABEL = ShippingLabel(
    sscc("3401234", 1), "66", Destination("88", "99"), ("7",), ("1",), is_emergency=True
)
VISIT = VisitPaper(
    "0" * 32, ("1", "22"), "33", "44", "55", "Europe/Warsaw", (AT, AT + HOUR),
    Presence(AT, AT + HOUR, is_uncertain=True), AT + HOUR, "66",
    (Part("1", "22", "issue", 2, "piece"), Part("1", "22", "return", 1, "piece")),
    Signature("77", "88", "M0 0L9 9"),
)  # fmt: skip
BARE = replace(
    VISIT, client=None, technician=None, work_order=None, planned=None, presence=None, work="",
    parts=(), signature=None,
)  # fmt: skip
PAPERS: dict[str, Callable[[Words], bytes]] = {
    "a pick list": lambda it: pick_list_pdf(ORDER, it),
    "to the van": lambda it: pick_list_pdf(replace(ORDER, mode="van", lines=(LINE,)), it),
    "to the site, of nothing": lambda it: pick_list_pdf(replace(ORDER, mode="site", lines=()), it),
    "a parcel's label": lambda it: sscc_label_pdf(LABEL, it),
    "bins' labels": lambda it: bin_labels_pdf([BinLabel("1", "22", "333")], it),
    "a visit": lambda it: visit_report_pdf(VISIT, it),
    "a visit of which little is known": lambda it: visit_report_pdf(BARE, it),
    "a visit that goes on": lambda it: visit_report_pdf(
        replace(VISIT, presence=Presence(AT, None, is_uncertain=False)), it
    ),
}
#: What stands on papers in every language: names of codes.
NAMES = re.compile(r"SSCC|GS1-128|Code 128|Data Matrix")
#: A sentence of the invented language, however its lines are broken.
INVENTED = re.compile(r"\[[^\[\]]*\]")


def said(paper: bytes) -> str:
    """Return all that a paper says: printed, instead of its pictures, and as its title."""
    with opened(paper) as document:
        alts = set[str]()
        for page in document:
            tree = pdfium.raw.FPDF_StructTree_GetForPage(page)
            alts |= spoken(tree)[1]
            pdfium.raw.FPDF_StructTree_Close(tree)
        title = document.get_metadata_dict()["Title"]
    return NAMES.sub("", " ".join((*texts(paper), *sorted(alts), title)))


def without_times(text: str, it: Words) -> str:
    """Return a text without its dates, which babel writes; in any language they have letters."""
    for at in (AT, AT + HOUR):
        text = text.replace(values.moment(it, at, "Europe/Warsaw"), "")
    return text.replace(values.day(it, date(2026, 3, 31)), "").replace(
        values.place(it, "Europe/Warsaw"), ""
    )


def letters(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[^\W\d_]{2,}", text)}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_word_of_a_paper_comes_from_the_catalogue(paper: str) -> None:
    invented = words("en-XA")
    text = without_times(said(PAPERS[paper](invented)), invented)
    left = text
    while (inner := INVENTED.sub("", left)) != left:  # one stands in another
        left = inner
    assert INVENTED.search(text)
    assert letters(left) == set()


@pytest.mark.parametrize("paper", PAPERS)
def test_no_english_word_is_left_on_a_paper_in_polish(paper: str) -> None:
    english, polish = words("en"), words("pl")
    left = letters(said(PAPERS[paper](polish)))
    told = letters(without_times(said(PAPERS[paper](english)), english))
    assert told
    assert left & told <= {"min"}


@pytest.mark.parametrize("language", languages())
def test_a_paper_says_in_which_language_it_is(language: str) -> None:
    for paper in ("a visit", "a pick list", "a parcel's label", "bins' labels"):
        assert f"/Lang({language}".encode() in PAPERS[paper](words(language))


@pytest.mark.parametrize(
    ("language", "number", "day", "moment", "place"),
    [
        ("en", "12,345", "31 Mar 2026", "Fri, 20 Nov 2026, 09:55", "Warsaw"),
        ("de", "12.345", "31. März 2026", "Fr., 20. Nov. 2026, 09:55", "Warschau"),
        ("fr", "12\u202f345", "31 mars 2026", "ven. 20 nov. 2026, 09:55", "Varsovie"),
        ("pl", "12\xa0345", "31 mar 2026", "pt., 20 lis 2026, 09:55", "Warszawa"),
        ("pt", "12\xa0345", "31/03/2026", "sexta, 20/11/2026, 09:55", "Varsóvia"),
    ],
)
def test_numbers_days_times_and_places_are_those_of_the_language(
    language: str, number: str, day: str, moment: str, place: str
) -> None:
    it = words(language)
    assert values.number(it, 12_345) == number
    assert values.day(it, date(2026, 3, 31)) == day
    assert values.moment(it, AT, "Europe/Warsaw") == moment
    assert values.place(it, "Europe/Warsaw") == place


@pytest.mark.parametrize("language", languages())
def test_a_large_number_is_printed_as_the_language_writes_it(language: str) -> None:
    it = words(language)
    [page, *_] = texts(pick_list_pdf(ORDER, it))
    assert " ".join(values.number(it, 12_345).split()) in page


def test_pieces_are_counted_by_the_language_and_other_units_called_as_the_company_does() -> None:
    polish = words("pl")
    assert [values.quantity(polish, n, "piece") for n in (1, 2, 5)] == [
        "1 sztuka", "2 sztuki", "5 sztuk",
    ]  # fmt: skip
    assert values.quantity(polish, 2, "m") == "2 m"
