"""Answers in other forms than JSON: GeoJSON (RFC 7946), lon-lat, and CSV (RFC 4180) for spreadsheets.

A CSV has all rows of a list, whatever its `limit`, in the columns of the JSON: what is nested is taken apart
(`handling.owner` is `handling_owner`), lists and objects stay JSON. Its times are local, as people write
them, and lose the `_ms` of their names. It is written to a file first and then sent, so that who reads slowly holds
no connection to the database, and what fails, fails before the first byte.
"""

import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from tempfile import SpooledTemporaryFile
from types import UnionType
from typing import IO, Annotated, Any, Final, Literal, TypeVar, get_args, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Query
from fastapi.responses import JSONResponse, StreamingResponse

from api.problems import Problem
from api.times import TIME_ZONE
from storage.spreadsheet import cell

Row = TypeVar("Row")

GEOJSON: Final = "application/geo+json"
CSV: Final = "text/csv"
#: How a route describes an answer that has another form where it is asked for.
AS_GEOJSON: Final[dict[str, Any]] = {GEOJSON: {"schema": {"type": "object"}}}
AS_CSV: Final[dict[str, Any]] = {CSV: {"schema": {"type": "string"}}}

#: What a spreadsheet can still be worked with.
CSV_ROWS_MAX: Final = 100_000
#: What is longer goes from memory to a file.
IN_MEMORY_MAX: Final = 1_000_000
CHUNK: Final = 65_536
BOM: Final = "\ufeff"
MS: Final = "_ms"

Form = Annotated[
    Literal["json", "csv"], Query(alias="format", description="A csv has all rows, not a page.")
]
Bom = Annotated[
    bool,
    Query(
        description="Begin a CSV with a byte order mark, without which Excel takes it for Latin-1."
    ),
]


class GeoJSONResponse(JSONResponse):
    """GeoJSON as its media type; all sites are megabytes, hence the faster encoder."""

    media_type = GEOJSON

    def render(self, content: object) -> bytes:
        """Return the content as JSON."""
        return msgspec.json.encode(content)


def point(longitude_deg: float, latitude_deg: float) -> dict[str, object]:
    """Return a Point."""
    return {"type": "Point", "coordinates": [longitude_deg, latitude_deg]}


def feature(
    geometry: Mapping[str, object] | None, properties: Mapping[str, object]
) -> dict[str, object]:
    """Return a Feature."""
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(features: Sequence[Mapping[str, object]], **more: object) -> dict[str, object]:
    """Return a FeatureCollection; `more` are foreign members (6.1)."""
    return {"type": "FeatureCollection", "features": features, **more}


# ---- CSV ----


async def csv_answer(
    name: str, day: date, shape: type[Row], rows: AsyncIterable[Row], *, bom: bool
) -> StreamingResponse:
    """Return rows as a CSV file.

    Args:
        name: What is in it; with the day it makes the file's name.
        day: Today.
        shape: The dataclass that the rows are.
        rows: The rows.
        bom: Whether it begins with a byte order mark.

    Raises:
        Problem: There are more rows than a spreadsheet takes.
    """
    columns = list(_columns(shape))
    file = SpooledTemporaryFile(IN_MEMORY_MAX, "w+b")  # noqa: SIM115  `_read` closes it
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    text.write(BOM if bom else "")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(name.removesuffix(MS) for name in columns)
    async for row in _bounded(rows):
        cells = dict(_cells(row))
        table.writerow(cells.get(name, "") for name in columns)
    text.detach()
    return StreamingResponse(
        _read(file),
        media_type=f"{CSV}; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}-{day}.csv"'},
    )


async def _bounded(rows: AsyncIterable[Row]) -> AsyncIterator[Row]:
    count = 0
    async for row in rows:
        count += 1
        if count > CSV_ROWS_MAX:
            detail = f"It has more than {CSV_ROWS_MAX} rows: ask for a part of it."
            raise Problem(422, "csv_too_long", detail)
        yield row


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


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
    return f"{moment:%Y-%m-%d %H:%M:%S}"
