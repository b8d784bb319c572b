"""The papers of the warehouse, read back as their readers do: as pictures of pages, and as text."""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
import zxingcpp
from biip.checksums import gs1_standard_check_digit
from biip.gs1_messages import GS1Message
from biip.sscc import Sscc
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pypdfium2 import raw

from stock_tracker.barcodes import is_sscc, look_up
from stock_tracker.papers.labels import BinLabel, ShippingLabel, bin_labels_pdf, sscc_label_pdf
from stock_tracker.papers.pick_list import (
    COLUMNS,
    Destination,
    PickLine,
    PickList,
    packs,
    pick_list_csv,
    pick_list_pdf,
)
from stock_tracker.papers.sscc import sscc
from stock_tracker.papers.symbols import code_128, data_matrix
from storage.words import words

MM_PER_INCH = 25.4
PIXELS_PER_MM = 8  # 203 dpi, a common label printer
AWKWARD = (
    "#let x = 1",
    "$x^2$",
    'say "hi"',
    "back\\slash",
    "café Éty œuf",
    "<b>bold</b>",
    "[a] *b*",
)
ENGLISH = words("en")
ELODIE = Destination("V012", "Élodie Lefèvre")
SSCC = sscc("3401234", 4711)

LINE = PickLine("A-02-1", "REF-1", "O-ring 24 × 3", 32, 10, "2 on board, filled up to 12")
ORDER = PickList(
    order_code="R-20251204-1530-V012",
    warehouse="Lyon Est",
    destination=ELODIE,
    mode="home",
    ship_to=("12 rue de l’Église", "69003 Lyon"),
    due_at=datetime(2025, 12, 4, 15, 30, tzinfo=UTC),
    time_zone="Europe/Paris",
    lines=(LINE,),
)
LABEL = ShippingLabel(
    sscc=SSCC,
    order_code=ORDER.order_code,
    destination=ELODIE,
    ship_from=("Entrepôt Lyon Est", "69330 Meyzieu"),
    ship_to=("Élodie Lefèvre", "12 rue de l’Église", "69003 Lyon"),
)


@contextmanager
def opened(paper: bytes) -> Iterator[pdfium.PdfDocument]:
    document = pdfium.PdfDocument(paper)
    try:
        yield document
    finally:
        document.close()


def texts(paper: bytes) -> list[str]:
    """Return the text of each page, every run of white space as one space."""
    with opened(paper) as document:
        return [" ".join(page.get_textpage().get_text_bounded().split()) for page in document]


def pictures(paper: bytes, pixels_per_mm: float = PIXELS_PER_MM) -> list[np.ndarray]:
    """Return the pages in shades of grey, as a black-and-white printer has them; uint8 (h, w)."""
    scale = pixels_per_mm * MM_PER_INCH / 72
    with opened(paper) as document:
        return [
            page.render(scale=scale, grayscale=True).to_numpy().copy().squeeze()
            for page in document
        ]


def scanned(paper: bytes) -> dict[zxingcpp.BarcodeFormat, zxingcpp.Barcode]:
    """Return the bar codes of the first page, one a symbology."""
    return {found.format: found for found in zxingcpp.read_barcodes(pictures(paper)[0])}


def rows(sheet: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(sheet.decode(), newline="")))


# --- SSCC


@given(st.integers(4, 12), st.data(), st.integers(0, 9))
def test_an_sscc_is_what_gs1_asks_of_one(length: int, data: st.DataObject, extension: int) -> None:
    prefix = data.draw(st.text("0123456789", min_size=length, max_size=length))
    serial = data.draw(st.integers(0, 10 ** (16 - length) - 1))
    code = sscc(prefix, serial, extension)
    assert len(code) == 18
    assert code[0] == str(extension)
    assert code[1 : 1 + length] == prefix
    assert int(code[1 + length : 17]) == serial
    assert int(code[17]) == gs1_standard_check_digit(code[:17])
    assert Sscc.parse(code).value == code
    assert is_sscc(code)


@pytest.mark.parametrize("prefix", ["", "340", "1234567890123", "340 123", "34012a", "34\u0661234"])
def test_what_is_no_company_prefix_makes_no_sscc(prefix: str) -> None:
    with pytest.raises(ValueError, match="no GS1 Company Prefix: give its 4 to 12 digits"):
        sscc(prefix, 1)


@pytest.mark.parametrize("serial", [-1, 10**9])
def test_a_serial_that_does_not_fit_is_refused_with_the_room_there_is(serial: int) -> None:
    with pytest.raises(ValueError, match="room for 0 to 999999999"):
        sscc("3401234", serial)


@pytest.mark.parametrize("extension", [-1, 10])
def test_an_extension_is_one_digit(extension: int) -> None:
    with pytest.raises(ValueError, match="no extension digit"):
        sscc("3401234", 1, extension)


# --- the parcel's label


@pytest.mark.parametrize("is_emergency", [False, True])
def test_an_sscc_label_scans_back_to_its_sscc(is_emergency: bool) -> None:  # noqa: FBT001
    found = scanned(sscc_label_pdf(replace(LABEL, is_emergency=is_emergency), ENGLISH))
    assert set(found) == {zxingcpp.BarcodeFormat.Code128}
    bars = found[zxingcpp.BarcodeFormat.Code128]
    assert bars.symbology_identifier == "]C1"
    assert bars.content_type == zxingcpp.ContentType.GS1
    assert bars.bytes == b"00" + SSCC.encode()
    message = GS1Message.parse(bars.bytes.decode())
    assert [(it.ai.ai, it.value) for it in message.element_strings] == [("00", SSCC)]
    assert look_up(bars.bytes, {SSCC: "the parcel"}, bars.symbology_identifier) is not None


def test_the_bars_of_an_sscc_are_as_wide_as_high_and_as_free_as_gs1_asks() -> None:
    per_mm = 20
    [page] = pictures(sscc_label_pdf(LABEL, ENGLISH), per_mm)
    assert page.shape == pytest.approx((148 * per_mm, 105 * per_mm), abs=1)
    place = zxingcpp.read_barcodes(page)[0].position
    middle = (place.top_left.y + place.bottom_left.y) // 2
    dark = page[middle] < 128
    changes = np.flatnonzero(np.diff(dark))
    assert np.diff(changes).min() / per_mm == pytest.approx(0.5, abs=0.06)
    first, last = changes[0] + 1, changes[-1]
    assert first / per_mm >= 10 * 0.5
    assert (len(dark) - 1 - last) / per_mm >= 10 * 0.5
    column = page[:, first + 1] < 128
    above = np.flatnonzero(~column[:middle])[-1]
    below = middle + np.flatnonzero(~column[middle:])[0]
    assert (below - above - 1) / per_mm >= 31.75
    free = page[above + 2 : below - 1]
    assert (free[:, : first - 1] > 128).all()
    assert (free[:, last + 2 :] > 128).all()


def test_an_sscc_label_says_in_letters_what_it_carries_and_for_whom() -> None:
    [text] = texts(sscc_label_pdf(LABEL, ENGLISH))
    assert f"(00){SSCC}" in text
    for said in (*LABEL.ship_from, *LABEL.ship_to, ORDER.order_code, "V012", f"SSCC {SSCC}"):
        assert said in text
    assert "EMERGENCY" not in text
    [text] = texts(sscc_label_pdf(replace(LABEL, is_emergency=True), ENGLISH))
    assert "EMERGENCY" in text


@pytest.mark.parametrize("wrong", ["", SSCC[:-1], SSCC[:-1] + str((int(SSCC[-1]) + 1) % 10)])
def test_a_label_without_a_sound_sscc_is_not_made(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no SSCC: give 18 digits"):
        sscc_label_pdf(replace(LABEL, sscc=wrong), ENGLISH)


def test_capitals_keep_their_accents_on_a_label() -> None:
    def first_ink(name: str) -> int:
        [page] = pictures(sscc_label_pdf(replace(LABEL, ship_to=(name,)), ENGLISH), 20)
        below_the_title = page[8 * 20 :, 45 * 20 :]
        return int(np.flatnonzero((below_the_title < 128).any(axis=1))[0])

    assert first_ink("E") - first_ink("É") > 0.4 * 20


def test_texts_too_long_for_a_label_leave_its_sscc_alone() -> None:
    long = replace(
        LABEL,
        order_code="R-20251204-1530-" + "V" * 64,
        destination=Destination("É" * 64, "Jean-Philippe " * 30),
        ship_from=("Avenue" * 40,) * 9,
        ship_to=("Boulevard " * 20,) * 9,
    )
    paper = sscc_label_pdf(long, ENGLISH)
    [text] = texts(paper)
    assert "V" * 64 in text.replace(" ", "")
    assert scanned(paper)[zxingcpp.BarcodeFormat.Code128].bytes == b"00" + SSCC.encode()
    [page], [short] = pictures(paper), pictures(sscc_label_pdf(LABEL, ENGLISH))
    from_the_title_down = slice(92 * PIXELS_PER_MM, None)
    assert np.array_equal(page[from_the_title_down], short[from_the_title_down])


# --- the bins' labels


def test_each_bin_label_scans_back_to_the_code_or_else_to_the_reference() -> None:
    codes = ["", "03401234567892", "RÉF é", "Ω漢", "plain-ASCII/1", "X" * 64]
    labels = [BinLabel(f"A-{at}", f"REF-{at}", "Joint", codes[at % 6]) for at in range(30)]
    pages = pictures(bin_labels_pdf(labels, ENGLISH))
    assert len(pages) == 2
    for at, label in enumerate(labels):
        page, row, column = pages[at // 24], at % 24 // 3, at % 3
        top, left = round((0.5 + 37 * row) * PIXELS_PER_MM), 70 * column * PIXELS_PER_MM
        cut = page[top : top + 37 * PIXELS_PER_MM, left : left + 70 * PIXELS_PER_MM]
        [found] = zxingcpp.read_barcodes(np.ascontiguousarray(cut))
        assert found.format == zxingcpp.BarcodeFormat.DataMatrix
        assert found.text == (label.code or label.ref)


def test_bin_labels_say_bin_reference_and_name_in_letters() -> None:
    labels = [BinLabel(f"B-{at}", f"REF-{at}", name) for at, name in enumerate(AWKWARD)]
    [text] = texts(bin_labels_pdf(labels, ENGLISH))
    for label in labels:
        assert f"{label.bin} {label.ref} {label.name}" in text


def test_no_bins_make_an_empty_sheet() -> None:
    assert texts(bin_labels_pdf([], ENGLISH)) == [""]


# --- the pick list


def test_a_pick_list_scans_back_to_its_order() -> None:
    found = scanned(pick_list_pdf(ORDER, ENGLISH))
    assert set(found) == {zxingcpp.BarcodeFormat.Code128, zxingcpp.BarcodeFormat.DataMatrix}
    assert {it.text for it in found.values()} == {ORDER.order_code}
    assert found[zxingcpp.BarcodeFormat.Code128].symbology_identifier == "]C0"


@pytest.mark.parametrize("code", ["R-20251204-1530-Évian", "R-20251204-1530-" + "V" * 64])
def test_an_order_code_too_long_or_too_foreign_for_bars_has_its_data_matrix(code: str) -> None:
    found = scanned(pick_list_pdf(replace(ORDER, order_code=code), ENGLISH))
    assert {form: it.text for form, it in found.items()} == {
        zxingcpp.BarcodeFormat.DataMatrix: code
    }


def test_names_with_characters_of_the_typesetter_are_printed_as_they_are() -> None:
    lines = tuple(
        PickLine(f"B-{at:02d}", f"R{at}{name}"[:18], name, 1, 1, f"why {name}", lot=name)
        for at, name in enumerate(AWKWARD)
    )
    order = replace(
        ORDER,
        lines=lines,
        warehouse=AWKWARD[0],
        ship_to=AWKWARD,
        destination=Destination(*AWKWARD[:2]),
    )
    text = " ".join(texts(pick_list_pdf(order, ENGLISH)))
    for at, (name, line) in enumerate(zip(AWKWARD, lines, strict=True)):
        assert f"B-{at:02d} {line.ref} {name} Lot {name} why {name}" in text
    assert f"For van {AWKWARD[0]} {AWKWARD[1]}" in text


printable = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(printable, printable)
@settings(max_examples=30, deadline=None)
@example("😀 👩‍🔧 漢字 שלום", "\x1d\u202e")
@example('"], panic("caught"), ["', "#panic()")
def test_no_name_stops_a_pick_list(name: str, ref: str) -> None:
    paper = pick_list_pdf(
        replace(ORDER, lines=(replace(LINE, name=name, ref=ref, bin=ref),)), ENGLISH
    )
    assert len(texts(paper)) == 1


def test_a_reference_copied_from_the_page_holds_nothing_that_cannot_be_seen() -> None:
    ref = "ABCDEFGHIJ" * 4
    [text] = texts(pick_list_pdf(replace(ORDER, lines=(replace(LINE, ref=ref, bin=ref),)), ENGLISH))
    assert text.count(ref) >= 1
    assert text.isprintable()


def test_a_pick_list_of_nothing_says_so() -> None:
    [text] = texts(pick_list_pdf(replace(ORDER, lines=()), ENGLISH))
    assert "Nothing to pick." in text
    assert "0 lines, 0 units" in text


def test_one_line_is_one_page_with_all_that_a_picker_needs() -> None:
    line = replace(LINE, lot="L77", expiry=date(2026, 3, 31), substitute_for="REF-9")
    [text] = texts(pick_list_pdf(replace(ORDER, lines=(line,)), ENGLISH))
    assert "A-02-1 REF-1 O-ring 24 × 3 Instead of REF-9 Lot L77, use by 31 Mar 2026" in text
    assert "2 on board, filled up to 12 32 3 × 10 + 2" in text
    assert "Thu, 4 Dec 2025, 16:30 (Paris)" in text
    assert "The technician's home" in text
    assert "1 line, 32 units" in text


def test_each_page_of_a_long_list_names_the_order_the_page_and_the_columns() -> None:
    lines = tuple(replace(LINE, ref=f"REF-{at}.", bin=f"B-{at}") for at in range(400))
    pages = texts(pick_list_pdf(replace(ORDER, lines=lines, is_emergency=True), ENGLISH))
    assert len(pages) > 1
    for number, text in enumerate(pages, 1):
        assert text.count(ORDER.order_code) == (2 if number == 1 else 1)
        assert text.endswith(f"{ORDER.order_code} {number} / {len(pages)}")
        assert "EMERGENCY" in text
        assert "Bin Item Quantity Packs" in text
    whole = " ".join(pages)
    places = [whole.index(f"B-{at} REF-{at}. ") for at in range(400)]
    assert places == sorted(places)
    assert "400 lines, 12,800 units" in whole


def test_each_line_has_a_box_to_tick() -> None:
    lines = tuple(replace(LINE, ref=f"REF-{at}") for at in range(30))
    with opened(pick_list_pdf(replace(ORDER, lines=lines), ENGLISH)) as document:
        shapes = [
            shape.get_bounds()
            for page in document
            for shape in page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH], max_depth=9)
        ]
    side = 5 / MM_PER_INCH * 72
    boxes = [it for it in shapes if all(abs(it[far] - it[far - 2] - side) < 2 for far in (2, 3))]
    assert len(boxes) == 30


def test_lines_come_in_the_order_of_the_shelves_and_those_without_a_bin_last() -> None:
    given_order = [("", "R1"), ("A-10", "R1"), ("A-2", "R10"), ("B-1", "R1"), ("A-2", "R9")]
    lines = tuple(replace(LINE, bin=at, ref=ref) for at, ref in given_order)
    sheet = rows(pick_list_csv(replace(ORDER, lines=lines)))
    assert [(row[1], row[2]) for row in sheet[1:]] == [
        *(("A-2", "R9"), ("A-2", "R10"), ("A-10", "R1")),
        *(("B-1", "R1"), ("", "R1")),
    ]


def test_an_emergency_is_said_by_a_word_not_by_colour_alone() -> None:
    assert "EMERGENCY" not in texts(pick_list_pdf(ORDER, ENGLISH))[0]
    paper = pick_list_pdf(replace(ORDER, is_emergency=True), ENGLISH)
    assert "EMERGENCY" in texts(paper)[0]
    band = pictures(paper)[0][14 * PIXELS_PER_MM : 24 * PIXELS_PER_MM]
    assert (band < 100).mean() > 0.5  # dark enough in grey that white letters stand out


@pytest.mark.parametrize(
    ("qty", "pack_qty", "said"),
    [
        (32, 10, "3 × 10 + 2"),
        (30, 10, "3 × 10"),
        (2, 10, "2 loose"),
        (7, 1, ""),
        (0, 10, "0 loose"),
    ],
)
def test_quantities_are_said_in_packs(qty: int, pack_qty: int, said: str) -> None:
    assert packs(qty, pack_qty, ENGLISH) == said


def test_a_time_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone: give an aware time"):
        pick_list_pdf(replace(ORDER, due_at=datetime(2025, 12, 4, 15, 30)), ENGLISH)  # noqa: DTZ001


# --- the sheet


def test_the_sheet_holds_what_the_paper_holds() -> None:
    line = replace(LINE, lot="L77", expiry=date(2026, 3, 31), substitute_for="REF-9")
    sheet = pick_list_csv(replace(ORDER, lines=(line,)))
    assert sheet.endswith(b"\r\n")
    header, row = rows(sheet)
    assert dict(zip(header, row, strict=True)) == {
        "order": ORDER.order_code,
        "bin": "A-02-1",
        "ref": "REF-1",
        "name": "O-ring 24 × 3",
        "qty": "32",
        "pack_qty": "10",
        "packs": "3 × 10 + 2",
        "lot": "L77",
        "expiry": "2026-03-31",
        "substitute_for": "REF-9",
        "why": "2 on board, filled up to 12",
    }


def test_a_sheet_of_nothing_is_its_header() -> None:
    assert rows(pick_list_csv(replace(ORDER, lines=()))) == [list(COLUMNS)]


cells = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda it: not it.startswith("'"))


@given(st.lists(st.tuples(cells, cells, cells, cells), max_size=5))
@example([("=1+1", "+1", "-1", "@SUM(A1)"), ("\t=1", "\r=1", 'a"b', "a,b\r\nc")])
def test_no_cell_of_a_sheet_is_a_formula_and_each_reads_back(
    given_cells: list[tuple[str, str, str, str]],
) -> None:
    lines = tuple(PickLine(at, ref, name, 1, 1, why) for at, ref, name, why in given_cells)
    sheet = rows(pick_list_csv(replace(ORDER, lines=lines)))[1:]
    assert not [
        cell for row in sheet for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    ]
    read = [tuple(row[COLUMNS.index(it)] for it in ("bin", "ref", "name", "why")) for row in sheet]
    assert sorted(tuple(cell.removeprefix("'") for cell in row) for row in read) == sorted(
        given_cells
    )


# --- all papers


def test_the_same_order_makes_the_same_bytes_in_another_place_and_at_another_time() -> None:
    papers = (
        pick_list_pdf(ORDER, ENGLISH),
        sscc_label_pdf(LABEL, ENGLISH),
        bin_labels_pdf([BinLabel("A", "R", "n")], ENGLISH),
    )
    program = (
        "from hashlib import sha256\n"
        "from tests.unit.test_stock_papers import *\n"
        "for it in pick_list_pdf(ORDER, ENGLISH), sscc_label_pdf(LABEL, ENGLISH), "
        "bin_labels_pdf([BinLabel('A', 'R', 'n')], ENGLISH):\n"
        "    print(sha256(it).hexdigest())\n"
    )
    root = str(Path(__file__).parents[2])
    elsewhere = {**os.environ, "PYTHONPATH": root, "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/"}
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd="/", env=elsewhere
    )
    assert answer.stdout.decode().split() == [sha256(it).hexdigest() for it in papers]


def test_papers_bring_their_fonts_and_need_none_of_the_system() -> None:
    foreign = BinLabel("É", "Réf Ω Ж", "œuf ☎ 😀 漢")
    for paper in (
        pick_list_pdf(ORDER, ENGLISH),
        sscc_label_pdf(LABEL, ENGLISH),
        bin_labels_pdf([foreign], ENGLISH),
    ):
        with opened(paper) as document:
            fonts = [
                run.get_font()
                for page in document
                for run in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=9)
            ]
            assert all(font.is_embedded for font in fonts)
            families = {font.get_base_name().split("+")[-1].split("-")[0] for font in fonts}
        assert families == {"LibertinusSerif", "DejaVuSansMono"}


def test_symbols_know_their_quiet_zones() -> None:
    bars = code_128("A")
    assert bars is not None
    assert bars.modules_wide == 10 + 11 + 11 + 11 + 13 + 10  # start, A, check digit, stop
    matrix = data_matrix("A")
    assert (matrix.modules_wide, matrix.modules_high) == (14, 14)  # 10 x 10, two free all around
