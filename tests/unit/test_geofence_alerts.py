"""Every cell of both tables of alerts, what of it is news, and that history plays no part."""

from collections.abc import Sequence
from datetime import date
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geofence import alerts as states
from geofence.alerts import (
    CHANCE_AT_RISK,
    CHANCE_LIKELY,
    CHANCE_SAFE,
    CHANCE_SURE,
    FACTS,
    FRESH_MS,
    LIKELY_FOR_MS,
    SILENT_MS,
    AlertChange,
    AlertState,
    Fact,
    Kind,
    LiveAlert,
    Outlook,
    Presence,
    Subject,
    at_risk,
    heard,
    is_worth_telling,
    missed,
    over,
    overstayed,
    settle,
    settle_stops,
    silent,
)
from geofence.tours import Stop

MINUTE: Final = 60_000
LONG_AGO: Final = 0
START: Final = 1_790_000_000_000
END: Final = START + 60 * MINUTE
DAY_END: Final = START + 900 * MINUTE
STOP = Stop(11, 1, date(2026, 9, 21), 1, 5, START, END, 1_800, DAY_END)
OVERSTAY_MS: Final = (1_800 + 900) * 1_000

KINDS: Final = get_args(Kind)
OF_THE_MOMENT: Final = ("at_risk", "silent")
HOLDS = Fact("holds", END, "it holds")
ENDED = Fact("ended", END, "it has ended", END + 5 * MINUTE)
NEVER = Fact("never", END, "it never was")


def late(stop: Stop, visit: Presence | None, now: int) -> Fact:
    """Return whether a stop is late whose van is seen now."""
    return states.late(stop, visit, seen_at=now, now=now)


def subject(kind: Kind) -> Subject:
    return Subject(1, None if kind == "silent" else STOP, kind)


def live(kind: Kind, state: AlertState, *, told: bool = True, due_at: int = END) -> LiveAlert:
    ended_at = ENDED.ended_at if state == "cleared" else None
    return LiveAlert(1, None if kind == "silent" else 11, kind, state, due_at, ended_at, told)


def test_an_alert_is_about_what_its_subject_is_about() -> None:
    for kind in KINDS:
        assert subject(kind).key == live(kind, "open").key
    assert len({subject(kind).key for kind in KINDS}) == len(KINDS)


# ---- what a fact does to an alert: it holds


@pytest.mark.parametrize("kind", KINDS)
def test_none_and_it_holds_raises(kind: Kind) -> None:
    about = subject(kind)
    assert settle(about, HOLDS, None) == AlertChange(about, "open", HOLDS, is_new=True, news=None)
    fresh = replace(HOLDS, is_news=True)
    assert settle(about, fresh, None) == AlertChange(
        about, "open", fresh, is_new=True, news="raised"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_news", [True, False])
def test_open_and_told_and_it_holds_changes_nothing(kind: Kind, *, is_news: bool) -> None:
    assert settle(subject(kind), replace(HOLDS, is_news=is_news), live(kind, "open")) is None


@pytest.mark.parametrize(
    ("kind", "is_told"),
    [
        ("at_risk", True),
        ("late", False),
        ("missed", False),
        ("overstayed", False),
        ("silent", False),
    ],
)
def test_only_a_risk_is_told_later_than_it_is_shown(kind: Kind, *, is_told: bool) -> None:
    untold = live(kind, "open", told=False)
    assert settle(subject(kind), HOLDS, untold) is None
    change = settle(subject(kind), replace(HOLDS, is_news=True), untold)
    assert (change is not None) is is_told
    if change is not None:
        assert (change.state, change.is_new, change.news) == ("open", False, "raised")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("is_news", "news"), [(True, "raised"), (False, None)])
def test_cleared_and_it_holds_reopens_or_is_another_silence(
    kind: Kind, *, is_news: bool, news: str | None
) -> None:
    change = settle(subject(kind), replace(HOLDS, is_news=is_news), live(kind, "cleared"))
    assert change is not None
    assert (change.state, change.news) == ("open", news)
    assert change.is_new is (kind == "silent")


# ---- it has ended


@pytest.mark.parametrize("kind", sorted(FACTS))
def test_none_and_a_fact_that_has_ended_is_recorded_and_no_news(kind: Kind) -> None:
    fact = replace(ENDED, is_news=True)
    assert settle(subject(kind), fact, None) == AlertChange(
        subject(kind), "cleared", fact, is_new=True, news=None
    )


@pytest.mark.parametrize("kind", OF_THE_MOMENT)
def test_none_and_a_risk_or_silence_that_has_ended_changes_nothing(kind: Kind) -> None:
    assert settle(subject(kind), ENDED, None) is None


@pytest.mark.parametrize("kind", KINDS)
def test_open_and_it_has_ended_clears_and_is_news_if_the_beginning_was(kind: Kind) -> None:
    for told in (True, False):
        change = settle(subject(kind), ENDED, live(kind, "open", told=told))
        assert change is not None
        assert (change.state, change.fact, change.is_new) == ("cleared", ENDED, False)
        assert change.news == (("back" if kind == "silent" else "cleared") if told else None)


@pytest.mark.parametrize("kind", KINDS)
def test_cleared_and_it_has_ended_just_then_changes_nothing(kind: Kind) -> None:
    assert settle(subject(kind), ENDED, live(kind, "cleared")) is None


@pytest.mark.parametrize(
    ("kind", "corrects"),
    [("at_risk", False), ("late", True), ("missed", True), ("overstayed", True), ("silent", True)],
)
def test_cleared_and_it_has_ended_at_another_time_corrects_it_and_is_no_news(
    kind: Kind, *, corrects: bool
) -> None:
    other = replace(ENDED, ended_at=END + 7 * MINUTE)
    change = settle(subject(kind), other, live(kind, "cleared"))
    assert (change is not None) is corrects
    if change is not None:
        assert change == AlertChange(subject(kind), "cleared", other, is_new=False, news=None)


# ---- it never was, or is foreseen no more


@pytest.mark.parametrize("kind", KINDS)
def test_none_and_it_never_was_changes_nothing(kind: Kind) -> None:
    assert settle(subject(kind), NEVER, None) is None


@pytest.mark.parametrize("kind", KINDS)
def test_open_and_it_never_was_withdraws_and_is_news_if_the_beginning_was(kind: Kind) -> None:
    for told in (True, False):
        change = settle(subject(kind), NEVER, live(kind, "open", told=told))
        assert change == AlertChange(
            subject(kind), "withdrawn", NEVER, is_new=False, news="withdrawn" if told else None
        )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "at_risk"])
def test_cleared_and_a_fact_or_silence_that_never_was_withdraws(kind: Kind) -> None:
    for told in (True, False):
        change = settle(subject(kind), NEVER, live(kind, "cleared", told=told))
        assert change is not None
        assert (change.state, change.is_new) == ("withdrawn", False)
        assert change.news == ("withdrawn" if told else None)


def test_cleared_and_a_risk_foreseen_no_more_stays_as_it_was() -> None:
    assert settle(subject("at_risk"), NEVER, live("at_risk", "cleared")) is None


# ---- the plan changes under an alert


@pytest.mark.parametrize("kind", ["at_risk", "late", "missed", "overstayed"])
@pytest.mark.parametrize(("is_news", "news"), [(True, "raised"), (False, None)])
def test_an_open_alert_moves_with_its_window(
    kind: Kind, *, is_news: bool, news: str | None
) -> None:
    fact = replace(HOLDS, is_news=is_news)
    change = settle(subject(kind), fact, live(kind, "open", due_at=END - MINUTE))
    assert change == AlertChange(subject(kind), "open", fact, is_new=False, news=news)


@pytest.mark.parametrize("kind", sorted(FACTS))
def test_a_cleared_fact_moves_with_its_window_and_is_no_news(kind: Kind) -> None:
    change = settle(subject(kind), ENDED, live(kind, "cleared", due_at=END - MINUTE))
    assert change == AlertChange(subject(kind), "cleared", ENDED, is_new=False, news=None)


def test_a_silence_has_no_window_that_could_move() -> None:
    moved = live("silent", "open", due_at=END - MINUTE)
    assert settle(subject("silent"), replace(HOLDS, is_news=True), moved) is None


# ---- when each kind holds, and when it has ended: late


def present(
    arrived_at: int, dwell_ms: int = 0, *, left: bool = False, overstayed: bool = False
) -> Presence:
    last = arrived_at + dwell_ms
    return Presence(arrived_at, last, last + 30_000 if left else None, overstayed)


@pytest.mark.parametrize(
    ("now", "phase"),
    [
        (START, "never"),
        (END, "never"),
        (END + 1, "holds"),
        (DAY_END, "holds"),
        (DAY_END + 1, "ended"),
    ],
)
def test_a_stop_is_late_from_its_windows_end_to_the_end_of_the_day(now: int, phase: str) -> None:
    fact = late(STOP, None, now)
    assert (fact.phase, fact.due_at, fact.ended_at) == (phase, END, None)
    assert fact.reason


@pytest.mark.parametrize("now", [START, END + 1, DAY_END + 1])
@pytest.mark.parametrize(
    ("arrived_at", "phase", "minutes"),
    [
        (START - 1, "never", None),
        (END, "never", None),
        (END + 1, "ended", 1),
        (END + 5 * MINUTE, "ended", 5),
        (END + 5 * MINUTE + 1, "ended", 6),
    ],
)
def test_late_has_ended_with_a_late_arrival_and_never_was_with_one_in_time(
    now: int, arrived_at: int, phase: str, minutes: int | None
) -> None:
    fact = late(STOP, present(arrived_at), now)
    assert (fact.phase, fact.ended_at, fact.minutes) == (phase, arrived_at, minutes)


def test_late_says_how_late_it_is_and_in_words() -> None:
    assert late(STOP, None, END + 1).minutes == 1
    assert late(STOP, None, END + 10 * MINUTE).minutes == 10
    arrival = late(STOP, present(END + 5 * MINUTE), END + 6 * MINUTE)
    assert arrival.reason == "arrived 5 min after the window ended"
    assert "arrived in time" in late(STOP, present(END), END + 6 * MINUTE).reason


@pytest.mark.parametrize(
    ("age_ms", "is_news"), [(1, True), (FRESH_MS, True), (FRESH_MS + 1, False)]
)
def test_a_window_that_ended_is_news_for_15_minutes(age_ms: int, *, is_news: bool) -> None:
    assert late(STOP, None, END + age_ms).is_news is is_news


@pytest.mark.parametrize(
    ("seen_at", "now", "phase", "is_news"),
    [
        (END, END + 1, "never", False),
        (END + 1, END + 1, "holds", True),
        (END, END + SILENT_MS, "never", False),
        (END, END + SILENT_MS + 1, "holds", True),
        (END, END + SILENT_MS + FRESH_MS + 1, "holds", False),
        (0, DAY_END + 1, "ended", False),
    ],
)
def test_of_a_van_not_seen_since_the_window_ended_it_is_not_known_before_it_is_silent(
    seen_at: int, now: int, phase: str, *, is_news: bool
) -> None:
    fact = states.late(STOP, None, seen_at, now)
    assert (fact.phase, fact.is_news) == (phase, is_news)


def test_who_has_arrived_is_late_or_not_whenever_the_van_was_seen() -> None:
    for seen_at in (0, END, END + MINUTE):
        assert states.late(STOP, present(END + 1), seen_at, END + MINUTE).phase == "ended"
        assert states.late(STOP, present(END), seen_at, END + MINUTE).phase == "never"


def test_a_window_that_ends_after_its_day_is_late_after_that_or_not_at_all() -> None:
    night = replace(STOP, day_end=END - MINUTE)
    assert late(night, None, END).phase == "never"
    assert late(night, None, END + 1).phase == "ended"
    assert missed(night, None, END).phase == "never"
    assert missed(night, None, END + 1).phase == "holds"


# ---- missed


@pytest.mark.parametrize(
    ("now", "phase"), [(END + 1, "never"), (DAY_END, "never"), (DAY_END + 1, "holds")]
)
def test_a_stop_is_missed_once_its_day_is_over(now: int, phase: str) -> None:
    fact = missed(STOP, None, now)
    assert (fact.phase, fact.due_at, fact.ended_at) == (phase, END, None)


@pytest.mark.parametrize("now", [START, DAY_END + 1])
@pytest.mark.parametrize("arrived_at", [START, END + 1, DAY_END - 1])
def test_a_stop_with_a_visit_was_never_missed(now: int, arrived_at: int) -> None:
    fact = missed(STOP, present(arrived_at), now)
    assert (fact.phase, fact.ended_at) == ("never", arrived_at)


@pytest.mark.parametrize(
    ("age_ms", "is_news"), [(1, True), (FRESH_MS, True), (FRESH_MS + 1, False)]
)
def test_a_missed_stop_is_news_for_15_minutes_after_its_day(age_ms: int, *, is_news: bool) -> None:
    assert missed(STOP, None, DAY_END + age_ms).is_news is is_news


@given(st.integers(START, DAY_END + 60 * MINUTE))
def test_a_stop_without_a_visit_is_late_or_missed_but_not_both(now: int) -> None:
    holding = [late(STOP, None, now).phase, missed(STOP, None, now).phase].count("holds")
    assert holding == (now > END)


# ---- overstayed


def test_a_visit_is_overstayed_while_it_is_open_and_too_long() -> None:
    visit = present(START, OVERSTAY_MS + MINUTE, overstayed=True)
    fact = overstayed(STOP, visit, START + OVERSTAY_MS + MINUTE)
    assert (fact.phase, fact.due_at, fact.ended_at) == ("holds", START + OVERSTAY_MS, None)
    assert (fact.minutes, fact.reason) == (16, "16 min longer than planned")
    assert (fact.cause, fact.is_news) == ("long_visit", True)


def test_an_overstay_has_ended_when_the_van_was_last_there() -> None:
    visit = present(START, OVERSTAY_MS + MINUTE, left=True, overstayed=True)
    fact = overstayed(STOP, visit, DAY_END)
    assert (fact.phase, fact.due_at) == ("ended", START + OVERSTAY_MS)
    assert (fact.ended_at, fact.minutes) == (START + OVERSTAY_MS + MINUTE, 16)


@pytest.mark.parametrize("visit", [None, present(START, OVERSTAY_MS), present(START, left=True)])
def test_what_was_no_long_visit_was_never_overstayed(visit: Presence | None) -> None:
    assert overstayed(STOP, visit, DAY_END).phase == "never"


@pytest.mark.parametrize(
    ("age_ms", "is_news"), [(1, True), (FRESH_MS, True), (FRESH_MS + 1, False)]
)
def test_an_overstay_is_news_for_15_minutes(age_ms: int, *, is_news: bool) -> None:
    visit = present(START, OVERSTAY_MS + 1, overstayed=True)
    assert overstayed(STOP, visit, START + OVERSTAY_MS + age_ms).is_news is is_news


# ---- at risk


EXPECTED_LATE = END + 4 * MINUTE


@pytest.mark.parametrize(
    ("chance", "state", "phase"),
    [
        (CHANCE_AT_RISK, None, "holds"),
        (CHANCE_AT_RISK - 0.001, None, "never"),
        (CHANCE_SAFE, "open", "holds"),
        (CHANCE_SAFE - 0.001, "open", "never"),
        (CHANCE_AT_RISK - 0.001, "cleared", "never"),
        (CHANCE_AT_RISK, "cleared", "holds"),
    ],
)
def test_what_is_at_risk_stays_so_until_it_is_clearly_not(
    chance: float, state: AlertState | None, phase: str
) -> None:
    alert = None if state is None else live("at_risk", state)
    fact = at_risk(STOP, Outlook(EXPECTED_LATE, chance, START), LONG_AGO, alert, START)
    assert (fact.phase, fact.due_at) == (phase, END)


@pytest.mark.parametrize(("now", "phase"), [(END, "holds"), (END + 1, "ended")])
def test_a_risk_has_ended_when_the_window_is_over(now: int, phase: str) -> None:
    assert at_risk(STOP, Outlook(EXPECTED_LATE, 1.0, now), LONG_AGO, None, now).phase == phase


@pytest.mark.parametrize(
    ("expected_at", "minutes", "words"),
    [
        (END + 4 * MINUTE, 4, "expected 4 min after the window's end"),
        (END - 4 * MINUTE, -4, "expected 4 min before the window's end: it may be late"),
        (END, 0, "expected 0 min before the window's end: it may be late"),
    ],
)
def test_a_risk_says_when_the_van_is_expected(expected_at: int, minutes: int, words: str) -> None:
    fact = at_risk(
        STOP, Outlook(expected_at, 0.3, START, "slow_road", (2, 3)), LONG_AGO, None, START
    )
    assert (fact.minutes, fact.reason) == (minutes, words)
    assert (fact.cause, fact.pushes) == ("slow_road", (2, 3))


def since(chance: float) -> int | None:
    """Return since when it has been likely, where it has been so for long."""
    return LONG_AGO if chance >= CHANCE_LIKELY else None


#: Before the window's end, and before the expected arrival.
NOTICE: Final = 15 * MINUTE + MINUTE // 2
AHEAD: Final = 11 * MINUTE


@pytest.mark.parametrize(
    ("chance", "to_end_ms", "ahead_ms", "is_told"),
    [
        # Nearly sure: at any time, but not of who is expected at once or should have been there.
        (CHANCE_SURE, 300 * MINUTE, 320 * MINUTE, True),
        (CHANCE_SURE, NOTICE, AHEAD, True),
        (CHANCE_SURE, 0, 5 * MINUTE, True),
        (CHANCE_SURE, 0, 5 * MINUTE - 1, False),
        (1.0, 0, -5 * MINUTE, False),
        # Likely: once the window ends soon ...
        (CHANCE_SURE - 0.001, NOTICE + 1, 20 * MINUTE, False),
        (CHANCE_SURE - 0.001, NOTICE, 20 * MINUTE, True),
        (CHANCE_LIKELY, NOTICE + 1, 20 * MINUTE, False),
        (CHANCE_LIKELY, NOTICE, 20 * MINUTE, True),
        (CHANCE_LIKELY, 0, 20 * MINUTE, True),
        (CHANCE_LIKELY, NOTICE, 500 * MINUTE, True),
        # ... and while there is time to be told.
        (CHANCE_LIKELY, NOTICE, AHEAD, True),
        (CHANCE_LIKELY, NOTICE, AHEAD - 1, False),
        (CHANCE_LIKELY, 0, AHEAD, True),
        (CHANCE_LIKELY, 0, AHEAD - 1, False),
        (CHANCE_SURE - 0.001, 0, AHEAD - 1, False),
        (CHANCE_LIKELY, NOTICE + 1, AHEAD - 1, False),
        # Not likely: never.
        (CHANCE_LIKELY - 0.001, NOTICE, 20 * MINUTE, False),
        (CHANCE_LIKELY - 0.001, 0, AHEAD, False),
        (CHANCE_AT_RISK, 0, AHEAD, False),
    ],
)
def test_a_client_is_told_when_it_is_nearly_sure_or_likely_at_the_last_moment(
    chance: float, to_end_ms: int, ahead_ms: int, *, is_told: bool
) -> None:
    now = END - to_end_ms
    outlook = Outlook(now + ahead_ms, chance, now)
    assert is_worth_telling(STOP, outlook, since(chance), now) is is_told
    assert at_risk(STOP, outlook, since(chance), None, now).is_news is is_told


@pytest.mark.parametrize(
    ("likely_for_ms", "is_told"),
    [(None, False), (0, False), (LIKELY_FOR_MS - 1, False), (LIKELY_FOR_MS, True)],
)
@pytest.mark.parametrize("chance", [CHANCE_LIKELY, CHANCE_SURE])
def test_a_client_is_told_once_it_has_been_likely_for_a_minute(
    chance: float, likely_for_ms: int | None, *, is_told: bool
) -> None:
    now = END - NOTICE
    since = None if likely_for_ms is None else now - likely_for_ms
    outlook = Outlook(END + 5 * MINUTE, chance, now)
    assert is_worth_telling(STOP, outlook, since, now) is is_told


def test_it_is_told_by_the_end_of_its_own_window() -> None:
    outlook = Outlook(END + 5 * MINUTE, CHANCE_LIKELY, START)
    ends_later = replace(STOP, window_end=END + MINUTE)
    assert is_worth_telling(STOP, outlook, LONG_AGO, END - NOTICE)
    assert not is_worth_telling(ends_later, outlook, LONG_AGO, END - NOTICE)


def test_likely_is_less_than_nearly_sure_and_more_than_at_risk() -> None:
    assert 0 < CHANCE_SAFE < CHANCE_AT_RISK < 0.5 < CHANCE_LIKELY < CHANCE_SURE < 1


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 120 * MINUTE), st.integers(0, 180 * MINUTE))
def test_what_is_more_likely_is_told_as_well(
    one: float, other: float, to_end_ms: int, ahead_ms: int
) -> None:
    now = END - to_end_ms
    less, more = (Outlook(now + ahead_ms, chance, now) for chance in sorted([one, other]))
    assert is_worth_telling(STOP, more, LONG_AGO, now) >= is_worth_telling(
        STOP, less, LONG_AGO, now
    )


def test_a_risk_that_was_shown_is_told_when_its_time_has_come() -> None:
    outlook = Outlook(END + 5 * MINUTE, CHANCE_LIKELY, START)
    about = subject("at_risk")
    shown = settle(about, at_risk(STOP, outlook, LONG_AGO, None, END - NOTICE - 1), None)
    assert shown is not None
    assert (shown.state, shown.news) == ("open", None)
    untold = live("at_risk", "open", told=False)
    assert settle(about, at_risk(STOP, outlook, LONG_AGO, untold, END - NOTICE - 1), untold) is None
    told = settle(about, at_risk(STOP, outlook, LONG_AGO, untold, END - NOTICE), untold)
    assert told is not None
    assert (told.state, told.news) == ("open", "raised")


@pytest.mark.parametrize(
    ("arrived_at", "words"),
    [
        (END, "arrived in time"),
        (END + 1, "arrived 1 min after the window ended"),
        (END + 4 * MINUTE, "arrived 4 min after the window ended"),
    ],
)
def test_a_risk_is_over_with_the_arrival(arrived_at: int, words: str) -> None:
    fact = over(STOP, present(arrived_at))
    assert (fact.phase, fact.ended_at, fact.reason) == ("ended", arrived_at, words)


def test_a_risk_is_over_with_the_window() -> None:
    fact = over(STOP, None)
    assert (fact.phase, fact.due_at, fact.ended_at) == ("ended", END, None)


# ---- silent


@pytest.mark.parametrize(
    ("silence_ms", "on_duty", "phase"),
    [
        (0, True, "never"),
        (SILENT_MS - 1, True, "never"),
        (SILENT_MS - 1, False, "never"),
        (SILENT_MS, True, "holds"),
        (SILENT_MS, False, "ended"),
    ],
)
def test_a_van_on_duty_is_silent_after_15_minutes_without_a_fix(
    silence_ms: int, phase: str, *, on_duty: bool
) -> None:
    fact = silent(START, START + silence_ms, on_duty=on_duty)
    assert (fact.phase, fact.due_at) == (phase, START)


@pytest.mark.parametrize(
    ("more_ms", "is_news"), [(0, True), (FRESH_MS, True), (FRESH_MS + 1, False)]
)
def test_a_silence_is_news_for_15_minutes_from_when_it_became_one(
    more_ms: int, *, is_news: bool
) -> None:
    fact = silent(START, START + SILENT_MS + more_ms, on_duty=True)
    assert fact.is_news is is_news
    assert (fact.cause, fact.minutes) == ("silence", 15 + more_ms // MINUTE)


@pytest.mark.parametrize(
    ("after_ms", "phase", "minutes"),
    [(SILENT_MS - 1, "never", None), (SILENT_MS, "ended", 15), (40 * MINUTE, "ended", 40)],
)
def test_the_first_fix_after_a_silence_ends_it_or_shows_that_it_was_none(
    after_ms: int, phase: str, minutes: int | None
) -> None:
    alert = live("silent", "open", due_at=START)
    fact = heard(alert, START + after_ms)
    assert (fact.phase, fact.due_at, fact.ended_at) == (phase, START, START + after_ms)
    assert fact.minutes == minutes


def test_an_earlier_first_fix_corrects_when_a_silence_ended() -> None:
    alert = LiveAlert(1, None, "silent", "cleared", START, START + 40 * MINUTE, told=True)
    change = settle(subject("silent"), heard(alert, START + 20 * MINUTE), alert)
    assert change is not None
    assert (change.state, change.fact.ended_at, change.news) == (
        "cleared",
        START + 20 * MINUTE,
        None,
    )


# ---- a stop with all its alerts


def settled(
    visit: Presence | None,
    alerts: Sequence[LiveAlert],
    now: int,
    stop: Stop = STOP,
    seen_at: int | None = None,
) -> list[AlertChange]:
    seen_at = now if seen_at is None else seen_at
    presence = {} if visit is None else {stop.stop_id: visit}
    return settle_stops([stop], presence, {alert.key: alert for alert in alerts}, {1: seen_at}, now)


def told_of(changes: Sequence[AlertChange]) -> list[tuple[str, str, str | None]]:
    return [(change.subject.kind, change.state, change.news) for change in changes]


def test_an_unmet_stop_is_late_when_its_window_ends() -> None:
    assert told_of(settled(None, [], END)) == []
    assert told_of(settled(None, [], END + 1)) == [("late", "open", "raised")]
    assert told_of(settled(None, [], END + 1, seen_at=END)) == []


def test_when_the_day_is_over_late_is_cleared_and_missed_is_raised() -> None:
    alerts = [live("late", "open")]
    assert told_of(settled(None, alerts, DAY_END + 1)) == [
        ("late", "cleared", "cleared"),
        ("missed", "open", "raised"),
    ]


def test_a_visit_that_a_backlog_brings_withdraws_missed_and_says_how_late_it_was() -> None:
    alerts = [
        replace(live("late", "cleared"), ended_at=None),
        live("missed", "open"),
    ]
    changes = settled(present(END + 5 * MINUTE, left=True), alerts, DAY_END + 60 * MINUTE)
    assert told_of(changes) == [("late", "cleared", None), ("missed", "withdrawn", "withdrawn")]
    assert changes[0].fact.ended_at == END + 5 * MINUTE


@pytest.mark.parametrize("visit", [None, present(END - MINUTE)])
def test_an_open_risk_ends_with_the_arrival_or_the_window(visit: Presence | None) -> None:
    changes = settled(visit, [live("at_risk", "open")], END + 1)
    assert ("at_risk", "cleared", "cleared") in told_of(changes)


def test_a_risk_of_a_van_not_seen_since_the_window_ended_stays_until_it_is_silent() -> None:
    risk = live("at_risk", "open")
    assert settled(None, [risk], END + SILENT_MS, seen_at=END) == []
    assert told_of(settled(None, [risk], END + SILENT_MS + 1, seen_at=END)) == [
        ("late", "open", "raised"),
        ("at_risk", "cleared", "cleared"),
    ]
    for seen_at, phase in ((END, "holds"), (END + 1, "ended")):
        fact = at_risk(STOP, Outlook(EXPECTED_LATE, 1.0, seen_at), LONG_AGO, risk, END + MINUTE)
        assert (fact.phase, fact.is_news) == (phase, False)
    unseen = Outlook(END + MINUTE, 0.01, END)  # it will have arrived
    assert at_risk(STOP, unseen, LONG_AGO, risk, END + MINUTE).phase == "never"


def test_a_risk_stays_while_the_window_is_open_and_nobody_has_arrived() -> None:
    assert settled(None, [live("at_risk", "open")], END) == []


def test_a_risk_that_has_ended_is_not_judged_again() -> None:
    changes = settled(present(END - MINUTE), [live("at_risk", "cleared")], END + 1)
    assert changes == []


# ---- whatever came before


moments = st.integers(START - 120 * MINUTE, DAY_END + 120 * MINUTE)
windows = st.builds(
    lambda shift, day: replace(
        STOP, window_end=END + shift * MINUTE, day_end=DAY_END + day * MINUTE
    ),
    st.sampled_from([0, 0, 30, -20]),
    st.sampled_from([0, 0, -1_000]),
)


@st.composite
def presences(draw: st.DrawFn) -> Presence:
    arrived_at = draw(st.integers(START - 60 * MINUTE, END + 60 * MINUTE))
    dwell_ms = draw(st.integers(0, 2 * OVERSTAY_MS))
    return present(
        arrived_at, dwell_ms, left=draw(st.booleans()), overstayed=dwell_ms > OVERSTAY_MS
    )


Knowledge = tuple[Stop, Presence | None, int]
knowledge: st.SearchStrategy[Knowledge] = st.tuples(windows, presences() | st.none(), moments)


class Alerts:
    """The live alerts of a stop, kept as the table keeps them."""

    def __init__(self) -> None:
        self.live: dict[tuple[int, int | None, Kind], LiveAlert] = {}

    def know(self, stop: Stop, visit: Presence | None, now: int) -> list[AlertChange]:
        changes = settled(visit, list(self.live.values()), now, stop)
        for change in changes:
            key, before = change.subject.key, self.live.get(change.subject.key)
            assert change.is_new is (before is None)
            assert change.fact.reason
            if change.news not in {None, "raised"}:
                assert before is not None
                assert before.told, "an end is told to those who know of the beginning"
            if change.state == "withdrawn":
                del self.live[key]
                continue
            told = change.news is not None or (before is not None and before.told)
            self.live[key] = LiveAlert(
                *key, change.state, change.fact.due_at, change.fact.ended_at, told
            )
        return changes

    def facts(self) -> set[tuple[Kind, AlertState, int, int | None]]:
        return {
            (alert.kind, alert.state, alert.due_at, alert.ended_at)
            for alert in self.live.values()
            if alert.kind in FACTS
        }


@given(knowledge, st.lists(knowledge, max_size=5))
def test_what_stands_in_the_end_depends_on_what_is_known_in_the_end_alone(
    known: Knowledge, history: list[Knowledge]
) -> None:
    one, other = Alerts(), Alerts()
    for before in history:
        one.know(*before)
    one.know(*known)
    other.know(*known)
    assert one.facts() == other.facts()


@given(st.lists(knowledge, min_size=1, max_size=5), st.booleans())
def test_a_change_once_made_is_not_made_again(history: list[Knowledge], at_risk: bool) -> None:  # noqa: FBT001
    alerts = Alerts()
    if at_risk:
        risk = live("at_risk", "open")
        alerts.live[risk.key] = risk
    for known in history:
        alerts.know(*known)
    assert alerts.know(*history[-1]) == []


@given(knowledge)
def test_a_backlog_notifies_of_nothing_that_is_older_than_15_minutes(known: Knowledge) -> None:
    stop, _visit, now = known
    for change in Alerts().know(*known):
        if change.news is not None:
            begun = max(stop.day_end, stop.window_end) if change.subject.kind == "missed" else (
                change.fact.due_at
            )  # fmt: skip
            assert change.news == "raised"
            assert now - begun <= FRESH_MS


def test_fresh_is_15_minutes_and_so_is_silence() -> None:
    assert FRESH_MS == SILENT_MS == 15 * MINUTE
