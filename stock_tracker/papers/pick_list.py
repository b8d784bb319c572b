"""The pick list of an order: what a picker walks with, on paper or as a sheet.

Paper first: one line a thing to take, in the order of the shelves, with a box to tick, the quantity
large, and in packs as they lie in the bin. The order's code stands at the top as Data Matrix and as
Code 128, so that a scan tells which order is being picked, and in plain letters on every page. Why a
thing is wanted stands under its name: a picker who knows finds the mistakes. Colour never says
anything alone.

Bars need printable ASCII and room; an order code that gives neither has its Data Matrix only.

The sheet (RFC 4180, UTF-8) holds the same lines. A cell that a spreadsheet would take for a formula
gets an apostrophe in front: names come from suppliers, and `=HYPERLINK(...)` is no name.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from stock_tracker.papers import values
from stock_tracker.papers.page import pdf
from stock_tracker.papers.symbols import Symbol, code_128, data_matrix
from stock_tracker.resupply.orders import Mode
from storage.spreadsheet import harmless
from storage.words import ENGLISH, Words, sentence
from storage.words import words as words_of

GOES_TO: Final[Mapping[Mode, str]] = {
    "van": sentence("The van"),
    "home": sentence("The technician's home"),
    "site": sentence("The site"),
}
#: What the bars may take of the page, and how wide a module is where that leaves a choice.
BARS_WIDTH_MM: Final = 100.0
MODULE_MM: Final = 0.38
SMALLEST_MODULE_MM: Final = 0.25
COLUMNS: Final = (
    *("order", "bin", "ref", "name", "qty", "pack_qty"),
    *("packs", "lot", "expiry", "substitute_for", "why"),
)


@dataclass(frozen=True, slots=True)
class PickLine:
    """One thing to take from one bin.

    Attributes:
        bin: Empty where the warehouse has not said; such lines come last.
        ref: The item's reference.
        name: The item's name.
        qty: In base units.
        pack_qty: Base units in a pack; 1 where it comes singly.
        why: Why it is wanted, in words; may be empty.
        lot: The lot to take, where it matters.
        expiry: The last day of use of that lot.
        substitute_for: The reference that was asked for, where this one replaces it.
    """

    bin: str
    ref: str
    name: str
    qty: int
    pack_qty: int
    why: str = ""
    lot: str | None = None
    expiry: date | None = None
    substitute_for: str | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom the parts are for."""

    van_code: str
    technician: str


@dataclass(frozen=True, slots=True)
class PickList:
    """An order, ready to be picked.

    Attributes:
        order_code: Its stable name.
        warehouse: The warehouse's name.
        destination: Whom the parts are for.
        mode: How they get there.
        ship_to: Lines of an address, or a position in words; may be empty.
        due_at: When it should be there, an aware time.
        time_zone: The warehouse's IANA zone.
        lines: In any order.
        is_emergency: Whether it goes before everything else.
    """

    order_code: str
    warehouse: str
    destination: Destination
    mode: Mode
    ship_to: tuple[str, ...]
    due_at: datetime
    time_zone: str
    lines: tuple[PickLine, ...]
    is_emergency: bool = False


def pick_list_pdf(order: PickList, words: Words) -> bytes:
    """Return the list as a PDF of A4 pages; the same list makes the same bytes.

    Raises:
        ValueError: A time that is not aware.
    """
    lines = _walk(order.lines)
    return pdf(
        "pick_list.typ",
        {
            "order_code": order.order_code,
            "warehouse": order.warehouse,
            "van_code": order.destination.van_code,
            "technician": order.destination.technician,
            "goes_to": words.t(GOES_TO[order.mode]),
            "ship_to": order.ship_to,
            "due_at": f"{values.moment(words, order.due_at, order.time_zone)}"
            f" ({values.place(words, order.time_zone)})",
            "is_emergency": order.is_emergency,
            "matrix": {"svg": data_matrix(order.order_code).svg},
            "bars": _bars(code_128(order.order_code)),
            "total": _total(lines, words),
            "lines": [
                {
                    "bin": line.bin,
                    "ref": line.ref,
                    "name": line.name,
                    "qty": values.number(words, line.qty),
                    "packs": packs(line.qty, line.pack_qty, words),
                    "notes": _notes(line, words),
                    "why": line.why,
                }
                for line in lines
            ],
            "words": _words(order.order_code, words),
        },
        words,
    )


def _words(order_code: str, words: Words) -> dict[str, str]:
    """Return what stands on every pick list."""
    return {
        "title": words.t("Pick list {order}", order=order_code),
        "pick_list": words.t("Pick list"),
        "emergency": words.t("EMERGENCY"),
        "warehouse": words.t("Warehouse"),
        "for_van": words.t("For van"),
        "there_by": words.t("There by"),
        "goes_to": words.t("Goes to"),
        "matrix": words.t("{code} of {text}", code="Data Matrix", text=order_code),
        "bars": words.t("{code} of {text}", code="Code 128", text=order_code),
        "bin": words.t("Bin"),
        "item": words.t("Item"),
        "quantity": words.t("Quantity"),
        "packs": words.t("Packs"),
        "nothing": words.t("Nothing to pick."),
        "picked_by": words.t("Picked by"),
        "time": words.t("Time"),
    }


def pick_list_csv(order: PickList) -> bytes:
    """Return the list as comma-separated values in UTF-8, with a header, in the order of the paper.

    It is for programs: always in English, days as ISO 8601 has them.
    """
    english = words_of(ENGLISH)
    text = io.StringIO(newline="")
    sheet = csv.writer(text, lineterminator="\r\n")
    sheet.writerow(COLUMNS)
    for line in _walk(order.lines):
        cells = (
            *(order.order_code, line.bin, line.ref, line.name, str(line.qty), str(line.pack_qty)),
            *(packs(line.qty, line.pack_qty, english), line.lot or ""),
            *(line.expiry.isoformat() if line.expiry else "", line.substitute_for or "", line.why),
        )
        sheet.writerow(harmless(cell) for cell in cells)
    return text.getvalue().encode()


def packs(qty: int, pack_qty: int, words: Words) -> str:
    """Return a quantity in packs as they lie in the bin, like `3 × 10 + 2`; empty for singles."""
    if pack_qty <= 1:
        return ""
    whole, loose = divmod(qty, pack_qty)
    if not whole:
        return words.t("{n} loose", n=values.number(words, loose))
    of_packs = f"{values.number(words, whole)} × {values.number(words, pack_qty)}"
    return of_packs + (f" + {values.number(words, loose)}" if loose else "")


def _walk(lines: tuple[PickLine, ...]) -> list[PickLine]:
    """Return the lines in the order of the shelves: A-2 before A-10, and no bin last."""
    return sorted(lines, key=lambda line: (not line.bin, _natural(line.bin), _natural(line.ref)))


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """Return a key by which runs of digits count as numbers."""
    return tuple(
        (between, int(digits or 0)) for between, digits in re.findall(r"([^0-9]*)([0-9]*)", text)
    )


def _bars(symbol: Symbol | None) -> dict[str, object] | None:
    if symbol is None or symbol.modules_wide * SMALLEST_MODULE_MM > BARS_WIDTH_MM:
        return None
    width_mm = min(BARS_WIDTH_MM, symbol.modules_wide * MODULE_MM)
    return {"svg": symbol.svg, "width_mm": width_mm}


def _notes(line: PickLine, words: Words) -> list[str]:
    notes = []
    if line.substitute_for:
        notes.append(words.t("Instead of {item}", item=line.substitute_for))
    lot = [words.t("Lot {lot}", lot=line.lot)] if line.lot else []
    expiry = [words.t("use by {day}", day=values.day(words, line.expiry))] if line.expiry else []
    return notes + ([", ".join(lot + expiry)] if lot or expiry else [])


def _total(lines: list[PickLine], words: Words) -> str:
    count, units = len(lines), sum(line.qty for line in lines)
    return ", ".join(
        (
            words.tn("{n} line", "{n} lines", count, n=values.number(words, count)),
            words.tn("{n} unit", "{n} units", units, n=values.number(words, units)),
        )
    )
