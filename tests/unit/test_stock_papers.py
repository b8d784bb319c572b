"""Papers of the warehouse, looked at as their readers do: rendered, scanned, opened as a table."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from biip.sscc import Sscc
from hypothesis import given
from hypothesis import strategies as st

from stock_tracker import barcodes
from stock_tracker.papers import labels, pick_list, symbols
from stock_tracker.papers.labels import BinLabel, BoxLabel
from stock_tracker.papers.pick_list import PickLine, PickList

AWKWARD = ["# 3 $x$ [a]", 'quoted "name"', "back\\slash", "Joint d'étanchéité", "<b>&amp;", "_*`@"]
DUE = datetime(2026, 9, 22, 4, 30, tzinfo=UTC)


def line(number: int = 1, **more: Any) -> PickLine:
    usual: dict[str, Any] = {
        "bin": f"A-{number:03d}", "ref": f"P-{number:04d}", "name": f"Part {number}", "qty": 3,
        "requested": 3, "pack_qty": 1, "why": "1 on board and 0 on order",
    }  # fmt: skip
    return PickLine(**(usual | more))


def pick(lines: Sequence[PickLine] = (), **more: Any) -> PickList:
    usual: dict[str, Any] = {
        "order": "R-20260921-1400-van-017", "warehouse": "Nord", "van": "van-017",
        "technician": "Ana Roux", "mode": "home", "ship_to": ["12 rue de l'Église", "59000 Lille"],
        "due_at": DUE, "time_zone": "Europe/Paris", "is_urgent": False, "lines": lines,
    }  # fmt: skip
    return PickList(**(usual | more))


def seen(data: bytes) -> list[tuple[str, str, str]]:
    """What a scanner reads of all pages: text, symbology identifier, format."""
    found = []
    for page in pypdfium2.PdfDocument(data):
        image = page.render(scale=4).to_pil()
        found += [
            (code.text, code.symbology_identifier, code.format.name)
            for code in zxingcpp.read_barcodes(image)
        ]
    return found


def words(data: bytes) -> str:
    pages = pypdfium2.PdfDocument(data)
    return "\n".join(page.get_textpage().get_text_range() for page in pages).replace("\r\n", "\n")


# --- Boxes ------------------------------------------------------------------------------------------


@given(st.integers(4, 12), st.data())
def test_a_boxs_number_is_one_that_gs1_would_accept(digits: int, data: st.DataObject) -> None:
    prefix = data.draw(st.text("0123456789", min_size=digits, max_size=digits))
    serial = data.draw(st.integers(0, 10 ** (16 - digits) - 1))
    extension = data.draw(st.integers(0, 9))
    number = symbols.sscc(prefix, serial, extension)
    assert Sscc.parse(number).value == number
    assert number[1 : 1 + digits] == prefix
    assert barcodes.is_sscc(number)


@pytest.mark.parametrize(
    ("prefix", "serial", "words_of"),
    [("123", 1, "4 to 12 digits"), ("12A4567", 1, "4 to 12 digits"), ("1" * 13, 1, "4 to 12"),
     ("1234567", 10**9, "room for 9 digits"), ("1234567", -1, "room for 9")],
)  # fmt: skip
def test_a_number_that_cannot_be_says_why(prefix: str, serial: int, words_of: str) -> None:
    with pytest.raises(ValueError, match=words_of):
        symbols.sscc(prefix, serial)


def test_a_boxs_label_scans_back_to_its_number_as_gs1_128() -> None:
    number = symbols.sscc("0400000", 17)
    label = BoxLabel(number, "R-1", "van-017", ["Nord"], ["Ana Roux", "Lille"], "URGENT")
    page = labels.box_pdf(label)
    read = seen(page)
    [(text, aim)] = [(text, aim) for text, aim, kind in read if kind == "Code128"]
    assert (text, aim) == (f"(00){number}", "]C1")
    # What a scanner sends, this system takes for the box.
    assert barcodes.sscc(f"00{number}".encode(), aim) == number
    assert ("R-1", "]d1", "DataMatrix") in read
    for told in ("van-017", number, "Ana Roux", "URGENT"):
        assert told in words(page)
    [sheet] = pypdfium2.PdfDocument(page)
    assert [round(side / 72 * 25.4) for side in sheet.get_size()] == [105, 148]


# --- Pick lists -------------------------------------------------------------------------------------


def test_a_pick_list_is_confirmed_by_scanning_its_order() -> None:
    read = seen(pick_list.as_pdf(pick([line()])))
    assert {(text, kind) for text, _, kind in read} == {
        ("R-20260921-1400-van-017", "Code128"),
        ("R-20260921-1400-van-017", "DataMatrix"),
    }


def test_what_people_wrote_stands_on_the_page_as_they_wrote_it() -> None:
    lines = [line(i, name=name, why=f"because {name}") for i, name in enumerate(AWKWARD)]
    page = words(pick_list.as_pdf(pick(lines, technician=AWKWARD[0], ship_to=AWKWARD)))
    for name in AWKWARD:
        assert name in page.replace("’", "'").replace("“", '"').replace("”", '"')  # noqa: RUF001


def test_an_urgent_list_says_so_in_a_word_and_the_time_is_the_warehouses() -> None:
    urgent, usual = (
        words(pick_list.as_pdf(pick([line()], is_urgent=is_so))) for is_so in (True, False)
    )
    assert "URGENT" in urgent
    assert "URGENT" not in usual
    assert "Tue 22 Sep 2026, 06:30" in usual
    assert "TO THE TECHNICIAN" in usual.upper()


@pytest.mark.parametrize("count", [0, 1, 400])
def test_a_list_of_any_length_has_all_its_lines_and_numbers_its_pages(count: int) -> None:
    data = pick_list.as_pdf(pick([line(i) for i in range(count)]))
    page = words(data)
    pages = len(pypdfium2.PdfDocument(data))
    assert all(f"P-{i:04d}" in page for i in range(count))
    assert f"{pages} / {pages}" in page
    assert ("Nothing is left to pick." in page) == (count == 0)
    assert pages == (1 if count < 2 else pages)
    assert page.count("Done") == (pages if count else 0)  # the head is on every page


def test_lines_stand_in_the_order_of_the_walk_and_those_without_a_bin_last() -> None:
    lines = [
        line(1, bin=""),
        line(2, bin="B-1"),
        line(3, bin="A-2"),
        line(4, bin="A-2", ref="P-0000"),
    ]
    rows = list(csv.DictReader(io.StringIO(pick_list.as_csv(pick(lines)).decode())))
    assert [row["item"] for row in rows] == ["P-0000", "P-0003", "P-0002", "P-0001"]


def test_packs_shortages_and_substitutes_are_told() -> None:
    lines = [line(1, qty=32, requested=35, pack_qty=10), line(2, instead_of="P-0009")]
    page = words(pick_list.as_pdf(pick(lines)))
    for told in ("32", "3 x 10 + 2", "of 35", "instead of P-0009"):
        assert told in page


@pytest.mark.parametrize(
    ("qty", "pack", "told"),
    [(3, 1, ""), (9, 10, ""), (10, 10, "1 x 10"), (32, 10, "3 x 10 + 2"), (0, 5, "")],
)
def test_a_quantity_is_told_in_packs_where_there_are_any(qty: int, pack: int, told: str) -> None:
    assert pick_list.in_packs(qty, pack) == told


def test_the_same_list_is_the_same_file() -> None:
    assert pick_list.as_pdf(pick([line()])) == pick_list.as_pdf(pick([line()]))
    assert pick_list.as_pdf(pick([line()])) != pick_list.as_pdf(pick([line(2)]))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)


@given(
    st.lists(
        st.builds(
            lambda i, name, why: line(i, name=name, why=why), st.integers(0, 99), texts, texts
        ),
        max_size=5,
    )
)
def test_the_table_reads_back_and_holds_no_formula(lines: list[PickLine]) -> None:
    text = pick_list.as_csv(pick(lines)).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    told = sorted(
        (row["item"], row["name"].removeprefix("'"), row["why"].removeprefix("'")) for row in rows
    )
    wrote = sorted((x.ref, x.name.removeprefix("'"), x.why.removeprefix("'")) for x in lines)
    assert told == wrote
    for row in rows:
        assert not any(cell.startswith(pick_list.FORMULA) for cell in row.values())


def test_an_order_whose_code_is_not_ascii_has_no_bars_but_its_matrix() -> None:
    read = seen(pick_list.as_pdf(pick([line()], order="R-1-fourgonné")))
    assert [(text, kind) for text, _, kind in read] == [("R-1-fourgonné", "DataMatrix")]


# --- Bins -------------------------------------------------------------------------------------------


def test_every_bin_label_scans_to_its_code() -> None:
    made = [
        BinLabel(f"A-{i:02d}", f"P-{i:04d}", AWKWARD[i % 6] * 3, f"0400638133{i:04d}")
        for i in range(30)
    ]
    page = labels.bins_pdf(made)
    assert sorted(text for text, _, _ in seen(page)) == [label.code for label in made]
    assert len(pypdfium2.PdfDocument(page)) == 2
    assert all(label.bin in words(page) for label in made)


def test_no_bins_make_a_page_that_says_so() -> None:
    assert "nothing to label" in words(labels.bins_pdf([]))
