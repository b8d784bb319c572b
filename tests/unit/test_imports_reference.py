"""What makes a van's code, a home or a cut-off time good, without a database."""

import msgspec
import pytest

from geofence.imports.local_times import clock_time, zone
from geofence.imports.reference import (
    TechnicianRow,
    VanCode,
    WarehouseRow,
    staged_technician,
    staged_warehouse,
)
from storage.sheets import UnusableRowError, as_row


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../etc/passwd", "europe paris", ""])
def test_a_time_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(UnusableRowError, match="IANA"):
        zone(name)


@pytest.mark.parametrize("code", ["V-1", "AB_123", "véhicule"])
def test_a_van_code_fit_for_a_topic_is_taken(code: str) -> None:
    assert msgspec.convert(code, VanCode) == code


@pytest.mark.parametrize("character", list("/+#.>* \t\u00a0\n\0"))
def test_a_van_code_unfit_for_a_topic_is_refused(character: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(f"V{character}1", VanCode)


def test_half_a_home_is_refused() -> None:
    with pytest.raises(UnusableRowError, match="both"):
        staged_technician(2, as_row({"technician": "T", "name": "T", "home_latitude_deg": "48"},
                                    TechnicianRow))  # fmt: skip


@pytest.mark.parametrize("text", ["hvac;lift", "lift HVAC", " Lift ;hvac; lift"])
def test_skills_are_lower_case_words_however_they_are_written(text: str) -> None:
    assert staged_technician(2, TechnicianRow("T", "T", skills=text))[-1] == ["hvac", "lift"]
    assert staged_technician(2, TechnicianRow("T", "T"))[-1] == []


@pytest.mark.parametrize("text", ["16:00;7:30", "7:30 16:00", "07:30; 16:00;", "16:00;7:30;16:00"])
def test_cutoff_times_stand_in_order_however_they_are_written(text: str) -> None:
    row = WarehouseRow("W", "W", 48, 2, cutoff_times=text)
    assert staged_warehouse(2, row)[5] == [clock_time("07:30"), clock_time("16:00")]


@pytest.mark.parametrize("text", ["24:00", "8h30", "noon", ";"])
def test_cutoff_times_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UnusableRowError):
        staged_warehouse(2, WarehouseRow("W", "W", 48, 2, cutoff_times=text))
