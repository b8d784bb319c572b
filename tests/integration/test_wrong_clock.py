"""A machine's clock that is set back does not make ingest refuse the fleet."""

from pathlib import Path

import pytest

from storage.settings import Settings, clock
from tests.integration.conftest import Running, running

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
