"""Reading files into rows, and the words in which rows are refused."""

import csv
import io
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.sheets import (
    Code,
    LatitudeDeg,
    Name,
    Quantity,
    Sheet,
    StagedRow,
    UnusableFileError,
    UnusableRowError,
    csv_rows,
    has_column,
    known,
    moment,
    sift,
)


class Row(msgspec.Struct, frozen=True):
    code: Code
    latitude_deg: LatitudeDeg
    qty: Quantity = 1
    note: Name | None = None


def read(data: bytes | str) -> Sheet:
    def make(line: int, row: Row) -> StagedRow:
        return (row.code, line, row.latitude_deg, row.qty, row.note)

    raw = data.encode() if isinstance(data, str) else data
    return sift(csv_rows(raw, Row), Row, make, ["code"])


def reasons(data: bytes | str) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for bad in read(data).bad]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [b",", b";"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_byte_order_mark_separator_and_line_ends_do_not_matter(
    start: bytes, separator: bytes, end: bytes
) -> None:
    data = start + end.join([b"Code,latitude_deg,qty", b"A, 48.5 ,3"]).replace(b",", separator)
    assert read(data).staged == [("A", 2, 48.5, 3, None)]


def test_unknown_columns_are_ignored_and_missing_optional_ones_have_their_default() -> None:
    assert read("colour,latitude_deg,code\nred,48,A\n").staged == [("A", 2, 48.0, 1, None)]


def test_empty_lines_are_skipped_and_still_counted() -> None:
    assert [row[1] for row in read("code,latitude_deg\n\nA,1\n,,\n \nB,2\n").staged] == [3, 6]


def test_missing_required_columns_are_one_error_that_names_them() -> None:
    with pytest.raises(UnusableFileError, match="lacks columns code, latitude_deg"):
        read("qty,note\n1,x\n")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(UnusableFileError, match="lacks columns"):
        read(b"")


def test_a_column_named_twice_is_refused() -> None:
    with pytest.raises(UnusableFileError, match="qty more than once"):
        read("code,latitude_deg,qty,qty\n")


def test_quoted_cells_hold_separators_and_quotes() -> None:
    assert read('code,latitude_deg,note\nA,1,"one, ""two"""\n').staged[0][4] == 'one, "two"'


def test_a_forgotten_quote_costs_its_own_line_only() -> None:
    sheet = read('code,latitude_deg,note\nA,1,"open\nB,2,closed\n')
    assert [bad.line for bad in sheet.bad] == [2]
    assert [row[0] for row in sheet.staged] == ["B"]


def test_a_line_that_is_not_utf_8_costs_itself_only() -> None:
    sheet = read(b"code,latitude_deg,note\nA,1,caf\xe9\nB,2,caf\xc3\xa9\n")
    assert "not UTF-8 (byte e9)" in sheet.bad[0].reason
    assert [row[4] for row in sheet.staged] == ["café"]


def test_every_wrong_cell_of_a_row_is_named_in_words() -> None:
    assert reasons("code,latitude_deg,qty\nA,north,-1\n,1,1\n") == [
        (
            2,
            (
                "latitude_deg is 'north', but must be a number from -90 to 90 with a decimal point;"
                " qty is '-1', but must be a whole number from 0 to 1000000"
            ),
        ),
        (3, "code is missing"),
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "90.01", "48,5"])
def test_a_latitude_off_the_earth_is_refused(text: str) -> None:
    assert len(reasons(f'code;latitude_deg\nA;"{text}"\n')) == 1


def test_more_cells_than_columns_are_refused() -> None:
    assert reasons("code,latitude_deg\nA,1,2\n") == [
        (2, "it has 3 cells, but the header has 2: quote a cell")
    ]


def test_the_second_of_two_equal_keys_is_refused_with_the_line_of_the_first() -> None:
    assert reasons("code,latitude_deg\nA,1\nB,1\nA,2\n") == [(4, "code A is already in line 2")]


def test_a_refused_row_does_not_take_its_key() -> None:
    assert [row[1] for row in read("code,latitude_deg\nA,100\nA,2\n").staged] == [3]


def test_a_nul_is_refused_since_postgresql_cannot_hold_it() -> None:
    assert "1 to 64 characters" in reasons(b"code,latitude_deg\nA\0,1\n")[0][1]


def test_an_unknown_reference_says_what_to_do() -> None:
    with pytest.raises(
        UnusableRowError,
        match="site S-12 is not known: import sites first, or correct the code",
    ):
        known({}, "site", "S-12")


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T08:00+01:00", "2026-01-31T07:00:00Z", "20260131T070000Z", "1769842800000"],
)
def test_a_moment_is_iso_with_an_offset_or_milliseconds(text: str) -> None:
    assert moment(text) == datetime(2026, 1, 31, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-01-31T08:00", "no offset"),
        ("1769842800", "not between the years"),
        ("999999999999999", "not between|is no time"),
        ("0001-01-01T00:00+14:00", "not between|is no time"),
        ("yesterday", "is no time"),
    ],
)
def test_a_moment_without_offset_or_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnusableRowError, match=reason):
        moment(text)


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)


@given(st.lists(st.tuples(texts, st.floats(-90, 90), texts), max_size=8), st.sampled_from(",;"))
def test_what_csv_writes_is_what_is_read(
    rows: list[tuple[str, float, str]], separator: str
) -> None:
    rows = [
        (f"{at}{code.strip()}", latitude, note) for at, (code, latitude, note) in enumerate(rows)
    ]
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator)
    writer.writerows([("code", "latitude_deg", "note"), *rows])
    sheet = read(file.getvalue())
    assert not sheet.bad
    assert [(row[0], row[2], row[4]) for row in sheet.staged] == [
        (code, latitude, note.strip() or None) for code, latitude, note in rows
    ]


@given(st.binary(max_size=200))
def test_no_bytes_after_the_header_are_more_than_bad_rows(data: bytes) -> None:
    sheet = read(b"code,latitude_deg,note\n" + data)
    lines = [bad.line for bad in sheet.bad] + [row[1] for row in sheet.staged]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize(
    "header", [b"a,skills", b"a;Skills;b", b'\xef\xbb\xbf"skills",a', b"skills \na"]
)
def test_a_header_that_names_a_column_has_it(header: bytes) -> None:
    assert has_column(header + b"\nx,y\n", "skills")


@pytest.mark.parametrize("data", [b"", b"a,b\nskills,1", b"skill,a", b"myskills,a"])
def test_a_header_that_does_not_name_a_column_lacks_it(data: bytes) -> None:
    assert not has_column(data, "skills")
