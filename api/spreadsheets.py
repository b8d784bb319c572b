"""Lists as CSV (RFC 4180), for people who work on in a spreadsheet.

A CSV has all rows of a list, whatever its `limit`, in the columns of the JSON: what is nested is taken apart
(`handling.owner` is `handling_owner`), lists and objects stay JSON. Times are local ones of the company with
their offset from UTC (ISO 8601: `2026-10-25T02:30:00+01:00`), without which the hour that comes twice in autumn
would be two; they lose the `_ms` of their names. Text is no formula: see `storage/spreadsheet.py`.
"""

import asyncio
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_type_hints
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Response

from api.problems import Problem
from api.resources import Now
from api.routes.parameters import today
from api.times import TIME_ZONE
from storage.spreadsheet import cell

Row = TypeVar("Row")

CSV: Final = "text/csv"
#: How a route describes that its answer has this form too.
AS_CSV: Final[dict[str, Any]] = {CSV: {"schema": {"type": "string"}}}
#: What a spreadsheet can still be worked with, and an answer may hold.
ROWS_MAX: Final = 50_000
BOM: Final = "\ufeff"
MS: Final = "_ms"

Bom = Annotated[
    bool,
    Query(
        description="Begin a CSV with a byte order mark, without which Excel takes it for Latin-1.",
        examples=[False],
    ),
]


@dataclass(frozen=True, slots=True)
class Spreadsheet:
    """A list is wanted as CSV."""

    day: date
    bom: bool

    async def of(self, name: str, shape: type[Row], rows: Sequence[Row]) -> Response:
        """Return rows as a file, whose name tells what is in it and the day.

        Raises:
            Problem: There are more than `ROWS_MAX`.
        """
        if len(rows) > ROWS_MAX:
            detail = f"It has more than {ROWS_MAX:,} rows: ask for a shorter time, or one van."
            raise Problem(422, "csv_too_long", detail)
        content = await asyncio.to_thread(written, shape, rows)
        return Response(
            (BOM if self.bom else "") + content,
            media_type=f"{CSV}; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{name}-{self.day}.csv"'},
        )


def _wanted(
    now_ms: Now,
    form: Annotated[
        Literal["json", "csv"],
        Query(alias="format", description="A csv has all rows, not a page.", examples=["json"]),
    ] = "json",
    bom: Bom = False,  # noqa: FBT002  a query says it by name
) -> Spreadsheet | None:
    return Spreadsheet(today(now_ms), bom) if form == "csv" else None


#: What is wanted is a CSV, or None.
AsSpreadsheet = Annotated[Spreadsheet | None, Depends(_wanted)]


def rows_of(sheet: Spreadsheet | None, limit: int) -> int:
    """Return how many rows to look for: of a CSV one more than there may be."""
    return limit if sheet is None else ROWS_MAX + 1


def written(shape: type[Row], rows: Sequence[Row]) -> str:
    """Return rows as the text of a CSV, with a header; `shape` is the dataclass that they are."""
    columns = list(_columns(shape))
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(name.removesuffix(MS) for name in columns)
    for row in rows:
        cells = dict(_cells(row))
        table.writerow(cells.get(name, "") for name in columns)
    return text.getvalue()


def _columns(shape: type[object], prefix: str = "") -> Iterator[str]:
    """Yield the names of the columns of a dataclass, those of what it holds after its own name."""
    hints = get_type_hints(shape)
    for one in fields(shape):  # type: ignore[arg-type]
        hint = hints[one.name]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        inner = next((it for it in kinds if isinstance(it, type) and is_dataclass(it)), None)
        if inner is None:
            yield prefix + one.name
        else:
            yield from _columns(inner, f"{prefix}{one.name}_")


def _cells(row: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the cells of a row by the names of their columns."""
    for one in fields(row):  # type: ignore[arg-type]
        value, name = getattr(row, one.name), prefix + one.name
        if is_dataclass(value) and not isinstance(value, type):
            yield from _cells(value, f"{name}_")
        elif name.endswith(MS) and isinstance(value, int):
            yield name, _local(value)
        else:
            yield name, cell(value)


def _local(t_ms: int) -> str:
    moment = datetime.fromtimestamp(t_ms / 1_000, UTC).astimezone(ZoneInfo(TIME_ZONE))
    return moment.isoformat(timespec="seconds")
