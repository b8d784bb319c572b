"""Cells that are text are text, whatever a spreadsheet would like to compute."""

from datetime import UTC, date, datetime

import pytest

from api.answers import PartUsed
from storage.spreadsheet import cell, harmless


@pytest.mark.parametrize("text", ["=1+1", "+33 1", "-2", "@SUM(A1)", "\tx", "\rx"])
def test_what_begins_like_a_formula_is_text(text: str) -> None:
    assert harmless(text) == cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("", ""),
        ("Dupont = Cie", "Dupont = Cie"),
        (True, "true"),
        (False, "false"),
        (-5, "-5"),
        (-0.5, "-0.5"),
        (date(2026, 11, 20), "2026-11-20"),
        (datetime(2026, 11, 20, 9, 0, tzinfo=UTC), "2026-11-20T09:00:00+00:00"),
        ([3, 4], "[3, 4]"),
        ({"why": "é"}, '{"why": "é"}'),
        (
            [PartUsed("P-1", "Fuse", "piece", "issue", 2)],
            '[{"item": "P-1", "name": "Fuse", "base_unit": "piece", "kind": "issue", "qty": 2}]',
        ),
    ],
)
def test_values_are_cells_as_people_read_them(value: object, expected: str) -> None:
    assert cell(value) == expected
