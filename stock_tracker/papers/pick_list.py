"""What the warehouse picks by: an order as a page, and as a table for other programs.

Lines stand in the order of the walk, by bin and reference. The order's code is a Code 128 and a
DataMatrix at the top, so that whoever picks confirms by scanning. A quantity is told in pieces and, where
it is packed, in packs. The table is CSV as RFC 4180 has it; a cell that a spreadsheet would take for a
formula gets an apostrophe before it.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from stock_tracker.papers import pages, symbols

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS: Final = (
    "order", "van", "bin", "item", "name", "qty", "packs", "requested", "instead_of", "why",
)  # fmt: skip
WHERE: Final = {"van": "To the van", "home": "To the technician's home", "site": "To the site"}


@dataclass(frozen=True, slots=True)
class PickLine:
    """One item: `qty` base units to pick of `requested`, in packs of `pack_qty`."""

    bin: str
    ref: str
    name: str
    qty: int
    requested: int
    pack_qty: int
    why: str
    instead_of: str | None = None


@dataclass(frozen=True, slots=True)
class PickList:
    """An order as the warehouse sees it. `ship_to` is lines of an address; times are aware."""

    order: str
    warehouse: str
    van: str
    technician: str
    mode: Literal["van", "home", "site"]
    ship_to: Sequence[str]
    due_at: datetime
    time_zone: str
    is_urgent: bool
    lines: Sequence[PickLine]


def as_pdf(it: PickList) -> bytes:
    """Return the pick list as pages of A4."""
    lines = [
        {**asdict(line), "packs": in_packs(line.qty, line.pack_qty)} for line in _walk(it.lines)
    ]
    due = it.due_at.astimezone(ZoneInfo(it.time_zone))
    head = {key: value for key, value in asdict(it).items() if key not in {"lines", "due_at"}}
    return pages.pdf(
        "pick_list.typ",
        {
            **head,
            "lines": lines,
            "due": f"{due:%a %d %b %Y, %H:%M}",
            "where": WHERE[it.mode],
            "bars": symbols.code_128(it.order),
            "matrix": symbols.data_matrix(it.order),
        },
    )


def as_csv(it: PickList) -> bytes:
    """Return the pick list as a table, UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in _walk(it.lines):
        row = (
            it.order, it.van, line.bin, line.ref, line.name, str(line.qty),
            in_packs(line.qty, line.pack_qty), str(line.requested), line.instead_of or "", line.why,
        )  # fmt: skip
        writer.writerow([guarded(cell) for cell in row])
    return out.getvalue().encode()


def in_packs(qty: int, pack_qty: int) -> str:
    """Return a quantity in packs, like `3 x 10 + 2`; empty for what is packed singly."""
    packs, rest = divmod(qty, pack_qty)
    if pack_qty == 1 or not packs:
        return ""
    return f"{packs} x {pack_qty}" + (f" + {rest}" if rest else "")


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _walk(lines: Sequence[PickLine]) -> list[PickLine]:
    return sorted(lines, key=lambda line: (line.bin == "", line.bin, line.ref))
