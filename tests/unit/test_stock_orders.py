"""What an order's state follows from, and how orders are named."""

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from stock_tracker.resupply.orders import LineFacts, State, order_code, state_of

PROPOSED = {"was_sent": False, "is_approved": False}
APPROVED = {"was_sent": False, "is_approved": True}
SENT = {"was_sent": True, "is_approved": True}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("lines", "was", "state"),
    [
        ([LineFacts(5)], PROPOSED, "proposed"),
        ([LineFacts(5)], APPROVED, "approved"),
        ([LineFacts(5)], SENT, "sent"),
        ([LineFacts(5, picked=5)], SENT, "picked"),
        ([LineFacts(5, picked=1), LineFacts(2)], SENT, "picked"),
        ([LineFacts(5, picked=5, shipped=3)], SENT, "shipped"),
        ([LineFacts(5, shipped=5), LineFacts(2)], SENT, "shipped"),
        ([LineFacts(5, received=2)], SENT, "shipped"),
        ([LineFacts(5, shipped=5, received=5)], SENT, "received"),
        ([LineFacts(5, cancelled=2, received=3)], SENT, "received"),
        ([LineFacts(5, received=5), LineFacts(2, cancelled=2)], SENT, "received"),
        ([LineFacts(5, received=5), LineFacts(2)], SENT, "shipped"),
        ([LineFacts(5, cancelled=5)], SENT, "cancelled"),
        ([LineFacts(5, cancelled=5), LineFacts(2, cancelled=2)], PROPOSED, "cancelled"),
        ([LineFacts(5, cancelled=5), LineFacts(2, picked=1)], SENT, "picked"),
        # A box that was received before anybody reported that it was picked, or sent.
        ([LineFacts(5, received=5)], APPROVED, "received"),
    ],
)
def test_the_state_follows_from_what_is_known(
    lines: list[LineFacts], was: dict[str, bool], state: State
) -> None:
    for order in itertools.permutations(lines):
        assert state_of(order, **was) == state


def test_an_orders_code_is_the_van_and_the_moment_whatever_the_zone_it_is_told_in() -> None:
    moment = utc("2026-09-21T12:00+02:00")
    assert order_code("van-001", moment) == "R-20260921-1000-van-001"
    assert order_code("van-001", moment.astimezone(ZoneInfo("Asia/Tokyo"))) == order_code(
        "van-001", moment
    )


def test_vans_and_cutoffs_have_codes_of_their_own() -> None:
    moments = [utc(f"2026-09-{day}T{hour}:00+02:00") for day in (21, 22) for hour in (12, 16)]
    codes = {order_code(van, moment) for van in ("van-001", "van-002") for moment in moments}
    assert len(codes) == 8
