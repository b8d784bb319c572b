"""A machine's clock that is wrong for a while does no lasting harm."""

from pathlib import Path

import pytest

from storage.settings import Settings, clock
from tests.integration.conftest import Running, running
from tests.integration.without_broker import HOUR, MINUTE, MONDAY, Base, local_ms
from tests.unit.reference_visits import Place
from tests.unit.test_geofence_visits import at

HOUR_MS = 3_600_000
STORED = "SELECT count(*) FROM fix"
REFUSED = "SELECT reason FROM rejected"
TOPIC = "fleet/v1/van-001/position"


@pytest.fixture
def shift(tmp_path: Path) -> Path:
    path = tmp_path / "shift"
    path.write_text("0")
    return path


@pytest.fixture
def shifted(settings: Settings, shift: Path) -> Settings:
    """An ingest whose simulated clock began two hours ago, so that there is a time to be set back to."""
    began = {
        "clock_origin_ms": settings.clock_origin_ms - 2 * HOUR_MS,
        "clock_start_ms": settings.clock_start_ms - 2 * HOUR_MS,
    }
    return settings.model_copy(update={**began, "clock_shift_file": str(shift)})


def set_clock(shift: Path, wrong_ms: int) -> None:
    shift.write_text(str(wrong_ms))


async def publish(ingest: Running, t: int) -> None:
    await ingest.publish(TOPIC, b'{"t":%d,"lat":48.0,"lon":11.0}' % t)


async def test_positions_are_stored_while_the_clock_is_an_hour_back(
    shifted: Settings, shift: Path
) -> None:
    now = clock(shifted.model_copy(update={"clock_shift_file": ""}))
    async with running(shifted) as ingest:
        await publish(ingest, now())
        await ingest.until(STORED, [(1,)])
        set_clock(shift, -HOUR_MS)
        await publish(ingest, now())
        await ingest.until(STORED, [(2,)])
        set_clock(shift, 0)
        await publish(ingest, now())
        await ingest.until(STORED, [(3,)])
        assert ingest.rows(REFUSED) == []


async def test_after_a_step_forwards_and_back_a_position_from_the_future_is_refused_as_before(
    shifted: Settings, shift: Path
) -> None:
    now = clock(shifted.model_copy(update={"clock_shift_file": ""}))
    async with running(shifted) as ingest:
        set_clock(shift, HOUR_MS)
        await publish(ingest, now() + HOUR_MS // 2)
        await ingest.until(STORED, [(1,)])
        set_clock(shift, 0)
        await publish(ingest, now() + HOUR_MS // 2 + 1)
        await ingest.until(REFUSED, [("future",)])


ALERTS = "SELECT kind, state FROM alert ORDER BY kind, state"


@pytest.mark.parametrize("ahead_ms", [5 * HOUR, 40 * HOUR])
def test_what_a_clock_ahead_has_judged_is_judged_anew_by_the_right_one(
    base: Base, ahead_ms: int
) -> None:
    noon = local_ms(MONDAY, 12)
    base.put_site(Place(1, *at(0), 80))
    base.put_tour(1, MONDAY, [(1, noon, noon + HOUR)])
    base.tick(noon)
    base.tick(noon + ahead_ms)
    judged = dict(base.rows(ALERTS))
    assert judged["late"] == ("open" if ahead_ms == 5 * HOUR else "cleared")
    base.tick(noon + MINUTE)
    assert {state for kind, state in base.rows(ALERTS) if kind != "silent"} == {"withdrawn"}
    base.tick(noon + 2 * HOUR)
    assert ("late", "open") in base.rows(ALERTS)
    base.tick(noon + 20 * HOUR)
    assert ("missed", "open") in base.rows(ALERTS)


def test_clocks_that_differ_by_seconds_take_nothing_back(base: Base) -> None:
    noon = local_ms(MONDAY, 12)
    base.put_site(Place(1, *at(0), 80))
    base.put_tour(1, MONDAY, [(1, noon - HOUR, noon)])
    base.tick(noon + 15 * MINUTE + 1_000)
    base.execute("UPDATE stop SET window_end = window_end + INTERVAL '1 hour'")
    base.tick(noon + 15 * MINUTE - 1_000)
    assert base.rows("SELECT judged FROM stop") == [("window",)]
