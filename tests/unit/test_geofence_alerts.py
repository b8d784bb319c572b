"""Every cell of the table of late stops, and what of it is news."""

from dataclasses import replace
from datetime import date
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.alerts import FRESH_MS, AlertChange, LateAlert, judge
from geofence.tours import Stop

MINUTE: Final = 60_000
START: Final = 1_790_000_000_000
END: Final = START + 60 * MINUTE
STOP = Stop(11, 1, date(2026, 9, 21), 1, 5, START, END)

OPEN = LateAlert(11, "open", None, told=True)
CLEARED = LateAlert(11, "cleared", END + 5 * MINUTE, told=True)
ALERTS = [None, OPEN, CLEARED]

NOT_ARRIVED = "not arrived when the window ended"


# ---- not arrived, window over


def test_none_and_not_arrived_raises() -> None:
    assert judge(STOP, None, None, END + 1) == AlertChange(
        STOP, "open", None, NOT_ARRIVED, is_new=True, news="raised"
    )


def test_open_and_not_arrived_changes_nothing() -> None:
    assert judge(STOP, None, OPEN, END + 1) is None


def test_cleared_and_not_arrived_reopens() -> None:
    assert judge(STOP, None, CLEARED, END + 10 * MINUTE) == AlertChange(
        STOP, "open", None, NOT_ARRIVED, is_new=False, news="raised"
    )


# ---- arrived after the window


def test_none_and_a_late_arrival_is_recorded_and_no_news() -> None:
    assert judge(STOP, END + 1, None, END + 2) == AlertChange(
        STOP, "cleared", END + 1, "arrived 1 min after the window ended", is_new=True, news=None
    )


def test_open_and_a_late_arrival_clears() -> None:
    assert judge(STOP, END + 5 * MINUTE, OPEN, END + 6 * MINUTE) == AlertChange(
        STOP,
        "cleared",
        END + 5 * MINUTE,
        "arrived 5 min after the window ended",
        is_new=False,
        news="cleared",
    )


def test_cleared_and_another_late_arrival_corrects_it_and_is_no_news() -> None:
    assert judge(STOP, END + 6 * MINUTE + 1, CLEARED, END + 8 * MINUTE) == AlertChange(
        STOP,
        "cleared",
        END + 6 * MINUTE + 1,
        "arrived 7 min after the window ended",
        is_new=False,
        news=None,
    )


def test_cleared_and_the_same_late_arrival_changes_nothing() -> None:
    assert judge(STOP, CLEARED.arrived_at, CLEARED, END + 8 * MINUTE) is None


# ---- arrived in time, or the window is not over


@pytest.mark.parametrize("now", [START, END, END + 10 * MINUTE])
@pytest.mark.parametrize("arrived_at", [START - 1, START, END])
def test_none_and_an_arrival_in_time_changes_nothing(arrived_at: int, now: int) -> None:
    assert judge(STOP, arrived_at, None, now) is None


@pytest.mark.parametrize("now", [START - 1, START, END])
def test_none_and_a_window_that_is_not_over_changes_nothing(now: int) -> None:
    assert judge(STOP, None, None, now) is None


@pytest.mark.parametrize(
    ("alert", "known"), [(OPEN, "raised on what was known"), (CLEARED, "cleared on what was known")]
)
def test_an_alert_and_an_arrival_in_time_withdraws_with_the_reason(
    alert: LateAlert, known: str
) -> None:
    change = judge(STOP, END, alert, END + 5 * MINUTE)
    assert change is not None
    assert (change.state, change.arrived_at, change.is_new) == ("withdrawn", END, False)
    assert "had arrived in time" in change.reason
    assert known in change.reason
    assert change.news == "withdrawn"


@pytest.mark.parametrize("alert", [OPEN, CLEARED])
def test_an_alert_and_a_window_that_is_not_over_withdraws_with_the_reason(
    alert: LateAlert,
) -> None:
    """The plan was changed: the window now ends later."""
    change = judge(STOP, None, alert, END)
    assert change is not None
    assert (change.state, change.arrived_at, change.is_new) == ("withdrawn", None, False)
    assert "the window is not over" in change.reason


# ---- news


@pytest.mark.parametrize(("age_ms", "news"), [(FRESH_MS, "raised"), (FRESH_MS + 1, None)])
@pytest.mark.parametrize("alert", [None, CLEARED])
def test_a_missed_window_is_news_for_15_minutes(
    alert: LateAlert | None, age_ms: int, news: str | None
) -> None:
    change = judge(STOP, None, alert, END + age_ms)
    assert change is not None
    assert (change.state, change.news) == ("open", news)


@pytest.mark.parametrize("age_ms", [0, FRESH_MS + 1])
@pytest.mark.parametrize(("told", "news"), [(True, "cleared"), (False, None)])
def test_planners_hear_of_a_late_arrival_if_they_were_told_that_it_was_missing(
    age_ms: int, *, told: bool, news: str | None
) -> None:
    arrived_at = END + 3 * MINUTE
    change = judge(STOP, arrived_at, replace(OPEN, told=told), arrived_at + age_ms)
    assert change is not None
    assert (change.state, change.news) == ("cleared", news)


@pytest.mark.parametrize("alert", [OPEN, CLEARED])
@pytest.mark.parametrize(("told", "news"), [(True, "withdrawn"), (False, None)])
def test_planners_hear_of_a_withdrawal_if_they_were_told_of_the_alert(
    alert: LateAlert, *, told: bool, news: str | None
) -> None:
    change = judge(STOP, END, replace(alert, told=told), END + 5 * MINUTE)
    assert change is not None
    assert (change.state, change.news) == ("withdrawn", news)


def test_fresh_is_15_minutes() -> None:
    assert FRESH_MS == 15 * MINUTE


# ---- whatever came before


times = st.integers(START - 120 * MINUTE, END + 120 * MINUTE)


@given(times | st.none(), times, st.lists(st.tuples(times | st.none(), times), max_size=5))
def test_what_stands_in_the_end_depends_on_the_last_facts_alone(
    arrived_at: int | None, now: int, history: list[tuple[int | None, int]]
) -> None:
    def fold(facts: list[tuple[int | None, int]]) -> LateAlert | None:
        alert = None
        for arrival, moment in facts:
            change = judge(STOP, arrival, alert, moment)
            if change is not None:
                assert change.is_new is (alert is None)
                assert change.reason
                alert = LateAlert(STOP.stop_id, change.state, change.arrived_at, told=True)
            if alert is not None and alert.state == "withdrawn":
                alert = None
        return alert

    assert fold([*history, (arrived_at, now)]) == fold([(arrived_at, now)])


@given(times | st.none(), times, st.sampled_from(ALERTS))
def test_a_change_once_made_is_not_made_again(
    arrived_at: int | None, now: int, alert: LateAlert | None
) -> None:
    change = judge(STOP, arrived_at, alert, now)
    if change is not None:
        made = LateAlert(11, change.state, change.arrived_at, told=True)
        live = None if made.state == "withdrawn" else made
        assert judge(STOP, arrived_at, live, now) is None
