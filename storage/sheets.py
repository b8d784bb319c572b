"""Files of reference data as sheets: rows, and the reasons for refusing some. Pure.

A file is read row by row into a frozen `msgspec.Struct` that names its columns. A row that cannot
be used becomes a `BadRow` with its line and a reason in words, and stops nothing else; what is left
is the rows that `storage/imports.py` stages. What the kinds are is not known here, and neither is
the database: codes that it holds come in as an argument (`known`).

A file states its rows in full: an empty cell, or an optional column that is missing, means the
default, also where the database holds something else.
"""

import csv
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from storage.settings import as_datetime

#: Bytes of a cell that no text may hold: controls (PostgreSQL refuses NUL), and halves of pairs.
_PRINTABLE = r"^[^\x00-\x1f\x7f\ud800-\udfff]+\Z"
#: The years that a time may be of, as written; the wire contract has the same ones.
YEARS: Final = range(2000, 2100)

Code = Annotated[
    str,
    Meta(max_length=64, pattern=_PRINTABLE, description="1 to 64 characters on one line"),
]
Name = Annotated[
    str,
    Meta(max_length=200, pattern=_PRINTABLE, description="1 to 200 characters on one line"),
]
LatitudeDeg = Annotated[
    float, Meta(ge=-90, le=90, description="a number from -90 to 90 with a decimal point")
]
LongitudeDeg = Annotated[
    float, Meta(ge=-180, le=180, description="a number from -180 to 180 with a decimal point")
]
YesNo = Annotated[
    str,
    Meta(
        pattern=r"^(?i:true|false|1|0|yes|no)\Z",
        description="true or false (also 1 or 0, yes or no)",
    ),
]
Quantity = Annotated[int, Meta(ge=0, le=1_000_000, description="a whole number from 0 to 1000000")]
PackQuantity = Annotated[
    int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")
]

#: The cells of one row by column, or the reason why the row has none.
Cells = dict[str, object]
NumberedRow = tuple[int, Cells | str]
StagedRow = tuple[object, ...]
Row = TypeVar("Row", bound=msgspec.Struct)
#: What is wrong with a row: itself, that it names what is not there, or that another has its place.
Fault = Literal["unusable", "unknown", "taken"]


class UnusableFileError(ValueError):
    """A whole file that cannot be imported; the message says why, in a sentence."""


class UnusableRowError(ValueError):
    """One row that cannot be used; the message says why."""

    fault: Fault = "unusable"


class UnknownCodeError(UnusableRowError):
    """A row names what is not there."""

    fault: Fault = "unknown"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was refused.

    Attributes:
        line: Its line in a CSV file, from 1; its number among the features of a GeoJSON file.
        reason: Why, in words.
        cells: What the row held; empty where it could not be read.
        fault: Of what kind the reason is.
    """

    line: int
    reason: str
    cells: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    fault: Fault = field(default="unusable", compare=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file after reading: the rows to stage, and the refused ones in order of line."""

    staged: list[StagedRow]
    bad: list[BadRow]
    counted_in: str = "line"


def csv_rows(data: bytes, row_type: type[msgspec.Struct]) -> Iterator[NumberedRow]:
    """Yield the rows of a CSV file with their line numbers, without those that are all empty.

    The file is UTF-8 with or without a byte order mark, separated by `,` or `;`, whichever the
    header has more of. Cells are stripped, empty ones left out, unknown columns ignored. A row is
    one line: a quoted cell may hold separators but no line break, so that a forgotten quote costs
    its own row and not the rest of the file.

    Raises:
        UnusableFileError: no header, or one that repeats a column or lacks required ones.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    header = lines[0].decode(errors="replace") if lines else ""
    separator = ";" if header.count(";") > header.count(",") else ","
    columns = _columns(_split(header, separator), row_type)
    width = header.count(separator) + 1

    for number, raw in enumerate(lines[1:], start=2):
        try:
            cells = _split(raw.decode(), separator)
        except UnicodeDecodeError as error:
            wrong = raw[error.start : error.start + 1].hex()
            yield number, f"the line is not UTF-8 (byte {wrong}): save the file as CSV UTF-8"
            continue
        except csv.Error:
            yield number, "a quote is not closed on its line, or something follows its end"
            continue
        if not any(cells):
            continue
        if any(cells[width:]):
            yield number, f"it has {len(cells)} cells, but the header has {width}: quote a cell"
            continue
        yield number, {name: cells[at] for name, at in columns if at < len(cells) and cells[at]}


def _split(line: str, separator: str) -> list[str]:
    """Return a line's cells, stripped. A line without quotes needs no parser, and most have none.

    Raises:
        csv.Error: quotes that do not pair.
    """
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    reader = csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True)
    return [cell.strip() for cell in next(reader)]


def _columns(header: Sequence[str], row_type: type[msgspec.Struct]) -> list[tuple[str, int]]:
    """Return the columns that a row type knows, with their places in the header."""
    names = [name.casefold() for name in header]
    fields = msgspec.structs.fields(row_type)
    if missing := [f.name for f in fields if f.required and f.name not in names]:
        listed = ", ".join(missing)
        raise UnusableFileError(
            f"The header lacks {'columns' if len(missing) > 1 else 'the column'} {listed}: "
            f"its first line must name {', '.join(f.name for f in fields if f.required)}."
        )
    if twice := sorted({f.name for f in fields if names.count(f.name) > 1}):
        raise UnusableFileError(f"The header names {', '.join(twice)} more than once.")
    return [(f.name, names.index(f.name)) for f in fields if f.name in names]


def has_column(data: bytes, name: str) -> bool:
    """Return whether the header of a CSV file names a column; an empty cell cannot tell that."""
    header = next(iter(data.removeprefix(b"\xef\xbb\xbf").splitlines()), b"")
    cells = re.split("[,;]", header.decode(errors="replace"))
    return name in [cell.strip(' \t"').casefold() for cell in cells]


def as_row(cells: Cells, row_type: type[Row]) -> Row:
    """Return cells as a row, numbers read from their text.

    Raises:
        UnusableRowError: a cell is missing or not what its column holds; all such cells are named.
    """
    try:
        return msgspec.convert(cells, row_type, strict=False)
    except msgspec.ValidationError:
        raise UnusableRowError("; ".join(_complaints(cells, row_type))) from None


def _complaints(cells: Cells, row_type: type[msgspec.Struct]) -> Iterator[str]:
    """Yield what is wrong with each cell, in the words of the column's own description."""
    for column in msgspec.structs.fields(row_type):
        if column.name not in cells:
            if column.required:
                yield f"{column.name} is missing"
            continue
        try:
            msgspec.convert(cells[column.name], column.type, strict=False)
        except msgspec.ValidationError:
            yield f"{column.name} is {cells[column.name]!r}, but must be {_wanted(column.type)}"


def _wanted(kind: object) -> str:
    """Return the description in an annotated type, or inside a union of such."""
    for part in get_args(kind):
        if isinstance(part, Meta) and part.description:
            return part.description
        if inner := _wanted(part):
            return inner
    return ""


def sift(
    rows: Iterable[NumberedRow],
    row_type: type[Row],
    make: Callable[[int, Row], StagedRow],
    key: Sequence[str],
    counted_in: str = "line",
) -> Sheet:
    """Return the rows as they will be staged, and the refused ones.

    Args:
        rows: Numbered rows from a file.
        row_type: What a row of this kind must hold.
        make: Returns the staged row for a line, or raises `UnusableRowError`. Its first fields are the
            key.
        key: The columns that no two rows may share, to name them in the reason.
        counted_in: What the numbers count.
    """
    staged: list[StagedRow] = []
    bad: list[BadRow] = []
    first_lines: dict[Hashable, int] = {}
    for number, cells in rows:
        if isinstance(cells, str):
            bad.append(BadRow(number, cells))
            continue
        try:
            row = as_row(cells, row_type)
            made = make(number, row)
        except UnusableRowError as refused:
            bad.append(BadRow(number, str(refused), cells, refused.fault))
            continue
        first = first_lines.setdefault(made[: len(key)], number)
        if first == number:
            staged.append(made)
        else:
            named = ", ".join(f"{column} {getattr(row, column)}" for column in key)
            bad.append(BadRow(number, f"{named} is already in {counted_in} {first}", cells))
    return Sheet(staged, bad, counted_in)


def known(ids: Mapping[str, int], what: str, code: str) -> int:
    """Return the id behind a code.

    Raises:
        UnknownCodeError: there is none.
    """
    try:
        return ids[code]
    except KeyError:
        raise UnknownCodeError(
            f"{what} {code} is not known: import {what}s first, or correct the code"
        ) from None


def is_yes(text: str) -> bool:
    """Return what a `YesNo` cell says."""
    return text.casefold() in {"true", "1", "yes"}


@lru_cache(maxsize=4_096)
def moment(text: str) -> datetime:
    """Return a time given as ISO 8601 with an offset, or as integer ms since 1970 UTC.

    Raises:
        UnusableRowError: neither of the two, or not between 2000 and 2100.
    """
    try:
        if re.fullmatch("[0-9]{1,15}", text):
            return _sane(as_datetime(int(text)), text)
        return _sane(datetime.fromisoformat(text), text)
    except (ValueError, OverflowError) as error:
        if isinstance(error, UnusableRowError):
            raise
        raise UnusableRowError(
            f"{text!r} is no time: give it like 2026-01-31T08:00+01:00, or in ms since 1970"
        ) from None


def _sane(time: datetime, text: str) -> datetime:
    """Return an aware time between 2000 and 2100, or refuse it."""
    if time.tzinfo is None:
        raise UnusableRowError(f"{text!r} has no offset: end it with one, like Z or +01:00")
    if time.year not in YEARS:
        raise UnusableRowError(f"{text!r} is not between the years 2000 and 2100")
    return time
