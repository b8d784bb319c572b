"""The visit report as its readers have it: as a picture, as text, and read aloud."""

import ctypes
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import numpy as np
import pypdfium2 as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from stock_tracker.papers.visit_report import (
    BOX,
    Part,
    Presence,
    Signature,
    VisitPaper,
    drawing,
    visit_report_pdf,
)
from tests.unit.test_stock_papers import AWKWARD, ENGLISH, opened, pictures, texts

PIXELS_PER_MM = 4
AT = datetime(2026, 11, 20, 8, 55, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
#: A cross over the whole box, so that it can be found in the picture.
CROSS = f"M0 0L{BOX[0]} {BOX[1]}M0 {BOX[1]}L{BOX[0]} 0"
PAPER = VisitPaper(
    report="b1946ac92492d2347c6235b4d2611184",
    site=("BAKERY", "Boulangerie Dupont & fils"),
    client="Boulangeries Dupont",
    technician="Élodie Lefèvre",
    work_order="W-4711",
    time_zone="Europe/Paris",
    planned=(AT, AT + 120 * MINUTE),
    presence=Presence(AT + 7 * MINUTE, AT + 80 * MINUTE, is_uncertain=False),
    written_at=AT + 78 * MINUTE,
    work="Replaced both filters.\nBearing worn.",
    parts=(Part("FIL-20", "Filter 20", "issue", 2, "piece"),),
    signature=Signature("Marie Dupont", "owner", CROSS),
)


def text(paper: VisitPaper) -> str:
    return " ".join(texts(visit_report_pdf(paper, ENGLISH)))


def dark_in_signature(paper: VisitPaper) -> np.ndarray:
    """Return where the pen was within the frame of the signature, on the last page; bool (h, w)."""
    dark = pictures(visit_report_pdf(paper, ENGLISH), PIXELS_PER_MM)[-1] < 128
    left, right = (mm * PIXELS_PER_MM for mm in (18, 108))
    # The only lines that are as wide as the frame, and no wider.
    edges = dark[:, left + 4 : right - 4].mean(axis=1) > 0.95
    rows = np.flatnonzero(edges & (dark[:, right + 20 :].mean(axis=1) < 0.05))
    assert rows.max() - rows.min() == pytest.approx(34 * PIXELS_PER_MM, abs=4)
    return dark[rows.min() + 6 : rows.max() - 6, left + 6 : right - 6]


def test_it_says_who_was_there_when_what_was_done_and_who_signed() -> None:
    said = text(PAPER)
    for words in (
        "Visit report: Boulangerie Dupont & fils", "BAKERY", "Boulangeries Dupont",
        "Élodie Lefèvre", "W-4711", "Fri, 20 Nov 2026, 09:55 to Fri, 20 Nov 2026, 11:55",
        "Arrived Fri, 20 Nov 2026, 10:02", "Left Fri, 20 Nov 2026, 11:15", "1 h 13 min",
        "Replaced both filters.", "Bearing worn.", "FIL-20", "Filter 20", "used", "2 pieces",
        "Signed by Marie Dupont, owner", "Signed on Fri, 20 Nov 2026, 11:13", PAPER.report,
    ):  # fmt: skip
        assert words in said, words
    assert "before it was seen elsewhere" not in said
    assert "Nobody" not in said


def test_times_are_those_of_the_site() -> None:
    assert "Arrived Fri, 20 Nov 2026, 18:02" in text(replace(PAPER, time_zone="Asia/Tokyo"))


def test_what_is_not_known_is_said_and_nothing_is_invented() -> None:
    bare = replace(
        PAPER, client=None, technician=None, work_order=None, planned=None, presence=None, work=" ",
        parts=(), signature=None,
    )  # fmt: skip
    said = text(bare)
    assert "not known: the van was not seen at this site" in said
    assert "Nothing was written down." in said
    assert "No parts were used." in said
    assert "Nobody was there to sign; written Fri, 20 Nov 2026, 11:13." in said
    assert "Client" not in said
    assert "Left" not in said
    there = text(replace(PAPER, presence=Presence(AT, None, is_uncertain=False)))
    assert "Left not yet" in there
    doubtful = text(replace(PAPER, presence=Presence(AT, AT + MINUTE, is_uncertain=True)))
    assert "more than five minutes before it was seen elsewhere" in doubtful


def as_png(size: tuple[int, int]) -> bytes:
    picture = Image.new("RGBA", size, (255, 255, 255, 0))
    pen = ImageDraw.Draw(picture)
    pen.line([(0, 0), size], fill=(0, 0, 0, 255), width=4)
    pen.line([(0, size[1]), (size[0], 0)], fill=(0, 0, 0, 255), width=4)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "signature",
    [
        Signature("Marie Dupont", None, path=CROSS),
        Signature("Marie Dupont", None, png=as_png(BOX)),
    ],
    ids=["path", "png"],
)
def test_a_signature_is_drawn_whole_in_its_frame(signature: Signature) -> None:
    dark = dark_in_signature(replace(PAPER, signature=signature))
    height, width = dark.shape
    thirds = [dark[:, i * width // 3 : (i + 1) * width // 3] for i in range(3)]
    assert all(third.any() for third in thirds)
    middle = dark[height // 2 - 8 : height // 2 + 8, width // 2 - 8 : width // 2 + 8]
    assert middle.any()  # the two lines cross there
    assert 0.005 < dark.mean() < 0.2


def test_nothing_stands_in_the_frame_of_an_empty_path() -> None:
    unsigned = replace(PAPER, signature=Signature("Marie Dupont", None, "M-60 -60"))
    assert not dark_in_signature(unsigned).any()


def test_it_can_be_read_aloud() -> None:
    paper = visit_report_pdf(PAPER, ENGLISH)
    assert b"pdfuaid" in paper
    assert b"/MarkInfo" in paper
    assert b"/Lang(en)" in paper
    with opened(paper) as document:
        assert document.get_metadata_dict()["Title"] == "Visit report: Boulangerie Dupont & fils"
        tree = pdfium.raw.FPDF_StructTree_GetForPage(document[0])
        kinds, alts = spoken(tree)
        pdfium.raw.FPDF_StructTree_Close(tree)
    assert {"H1", "H2", "Table", "TH", "Figure"} <= kinds
    assert "Signature of Marie Dupont" in alts


def spoken(tree: pdfium.raw.FPDF_STRUCTTREE) -> tuple[set[str], set[str]]:
    """Return the kinds of elements of a page, and what is said instead of pictures."""
    kinds, alts = set[str](), set[str]()
    waiting = [
        pdfium.raw.FPDF_StructTree_GetChildAtIndex(tree, i)
        for i in range(pdfium.raw.FPDF_StructTree_CountChildren(tree))
    ]
    while waiting:
        it = waiting.pop()
        kinds.add(words_of(pdfium.raw.FPDF_StructElement_GetType, it))
        alts.add(words_of(pdfium.raw.FPDF_StructElement_GetAltText, it))
        children = (
            pdfium.raw.FPDF_StructElement_GetChildAtIndex(it, i)
            for i in range(pdfium.raw.FPDF_StructElement_CountChildren(it))
        )
        waiting += [child for child in children if child]
    return kinds, alts


def words_of(get: Callable[..., int], element: object) -> str:
    size = get(element, None, 0)
    buffer = ctypes.create_string_buffer(size)
    get(element, buffer, size)
    return buffer.raw.decode("utf-16-le").rstrip("\0")


@pytest.mark.parametrize("words", AWKWARD)
def test_awkward_words_are_printed_as_they_are(words: str) -> None:
    said = text(
        replace(
            PAPER, site=(words, words), work=words, parts=(Part(words, words, "issue", 1, words),),
            signature=Signature(words, words, CROSS),
        )
    )  # fmt: skip
    assert said.count(" ".join(words.split())) >= 6


def test_a_long_report_goes_over_pages_that_say_which_they_are() -> None:
    parts = tuple(Part(f"P-{n:04}", "A part", "issue", n, "piece") for n in range(1, 121))
    pages = texts(visit_report_pdf(replace(PAPER, parts=parts, work="word " * 800), ENGLISH))
    assert len(pages) > 2
    for number, page in enumerate(pages, start=1):
        assert f"{number} / {len(pages)}" in page
    assert "P-0120" in " ".join(pages)


def test_the_same_report_makes_the_same_bytes() -> None:
    assert visit_report_pdf(PAPER, ENGLISH) == visit_report_pdf(PAPER, ENGLISH)


#: What the wire contract lets through as path data: letters and numbers in any order.
paths = st.text("MmLlHhVvCcSsQqTtAaZz0123456789+-., eE\n", max_size=120).map("M".__add__)


@settings(deadline=None, max_examples=40)
@given(paths)
def test_whatever_path_data_comes_a_page_is_made(path: str) -> None:
    assert visit_report_pdf(
        replace(PAPER, parts=(), signature=Signature("x", None, path)), ENGLISH
    ).startswith(b"%PDF")


def test_a_path_stays_within_its_attribute() -> None:
    drawn = drawing('M0 0"/><x')
    assert ET.fromstring(drawn)[0].get("d") == 'M0 0"/><x'
