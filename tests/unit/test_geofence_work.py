"""How long visits last: what is learnt of it, what not, and what is left of one under way."""

from collections.abc import Sequence
from math import nan
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.forecast import work as rules
from geofence.forecast.quantiles import HIGH, LOW, MEDIAN, QUANTILES, SHARES, Floats, log_normal
from geofence.forecast.work import UNCALIBRATED_WORK, Work, calibrate_work, lags_s, work_left

HOUR_S: Final = 3_600.0
QUARTER_S: Final = 900.0
NOBODY: Final = np.empty(0)

ratios = st.lists(st.floats(0.05, 5.9), max_size=50)
elapsed = st.floats(0, 50_000)
planned = st.just(0) | st.integers(60, 20_000)
draws = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1e-12, 1.0]), min_size=1, max_size=9)


def work_of(observed: Sequence[float], planned_s: float = HOUR_S) -> Work:
    """Return what visits of one planned duration teach, by their ratios."""
    planned = np.full(len(observed), planned_s)
    return calibrate_work(planned, planned * np.array(observed, dtype=float), NOBODY)


def sure(ratio: float = 1.0, lag_s: float = 0.0, typical_s: float = 1_800.0) -> Work:
    """Return a fleet that works for one ratio of what is planned, and waits for one lag."""
    return Work(((ratio,) * QUANTILES,) * 3, (lag_s,) * QUANTILES, typical_s)


def of_quantiles(quantiles: Sequence[float]) -> Work:
    return Work((tuple(quantiles),) * 3, (0.0,) * QUANTILES, 1_800.0)


def left_s(
    work: Work, planned_s: float, elapsed_s: float = 0.0, draw: Sequence[float] = (0.5,)
) -> Floats:
    return work_left(work, np.array([planned_s]), np.array([elapsed_s]), np.array(draw))[0]


# ---- what is learnt


def test_a_fleet_that_works_longer_than_planned_is_believed() -> None:
    rng = np.random.default_rng(2)
    work = work_of(np.exp(np.log(1.4) + 0.2 * rng.normal(size=3_000)).tolist())
    *_, long = work.ratio
    assert long[MEDIAN] == pytest.approx(1.4, rel=0.03)
    assert long[LOW] == pytest.approx(1.4 * np.exp(-0.256), rel=0.05)
    assert long[HIGH] == pytest.approx(1.4 * np.exp(0.256), rel=0.05)
    assert work.observations == 3_000


def test_few_visits_move_what_is_believed_a_little_and_many_all_the_way() -> None:
    found = [left_s(work_of([1.8] * n), HOUR_S)[0] / HOUR_S - 1 for n in (0, 2, 15, 300)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0)
    assert 0 < found[1] < 0.25
    assert found[3] == pytest.approx(0.8, rel=0.02)


def test_vans_left_at_a_site_and_a_minute_at_the_door_are_no_work() -> None:
    assert work_of([6.01, 40.0, 59 / HOUR_S, nan]) == UNCALIBRATED_WORK
    assert work_of([5.99, 61 / HOUR_S]).observations == 2


def test_short_jobs_overrun_by_their_own_share_and_long_ones_by_theirs() -> None:
    planned_s = np.repeat([600.0, 1_200.0, 7_200.0], 500)
    work = calibrate_work(planned_s, planned_s * np.repeat([2.0, 1.5, 1.0], 500), NOBODY)
    for asked_s, ratio in [
        (60, 2.0),
        (900, 2.0),
        (901, 1.5),
        (1_800, 1.5),
        (1_801, 1.0),
        (90_000, 1.0),
    ]:
        assert left_s(work, asked_s)[0] == pytest.approx(ratio * asked_s, rel=0.01)


@pytest.mark.parametrize(
    ("planned_s", "class_of"), [(60, 0), (900, 0), (901, 1), (1_800, 1), (1_801, 2), (86_400, 2)]
)
def test_a_visit_teaches_most_of_its_own_class(planned_s: float, class_of: int) -> None:
    medians = [row[MEDIAN] for row in work_of([2.0] * 30, planned_s).ratio]
    believed = [2.0 if c == class_of else medians[c] for c in range(3)]
    assert medians == believed
    assert max(median for c, median in enumerate(medians) if c != class_of) <= 2.0


def test_a_class_without_visits_takes_after_all_and_does_not_change_the_others() -> None:
    work = work_of([1.6] * 200, QUARTER_S)
    short, middle, long = work.ratio
    assert middle == long
    assert middle[MEDIAN] == short[MEDIAN] == 1.6
    assert middle[0] < short[0]


@given(st.lists(st.tuples(planned, st.floats(1, 9e4), st.floats(-900, 3_000)), max_size=40),
       st.randoms(use_true_random=False))  # fmt: skip
def test_the_order_of_the_visits_plays_no_part(
    visits: list[tuple[float, float, float]], random: object
) -> None:
    shuffled = list(visits)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (
        calibrate_work(*np.array(rows, dtype=float).reshape(-1, 3).T) for rows in (visits, shuffled)
    )
    assert one == other


@given(st.lists(st.tuples(st.floats(0.1, 3), st.floats(1, 1.9)), max_size=40), planned, draws)
def test_visits_that_took_longer_never_make_one_shorter(
    observed: list[tuple[float, float]], planned_s: float, draw: list[float]
) -> None:
    # Planned for long: so that the class of those without a plan stays the same.
    before = work_of([ratio for ratio, _ in observed], 4 * HOUR_S)
    after = work_of([ratio * more for ratio, more in observed], 4 * HOUR_S)
    for asked_s in (planned_s or 60, 4 * HOUR_S):
        sooner_s, later_s = (left_s(work, asked_s, draw=draw) for work in (before, after))
        assert (later_s >= sooner_s * (1 - 1e-12)).all()


def test_where_nothing_was_planned_the_usual_visit_stands_for_it() -> None:
    work = calibrate_work(np.array([0.0] * 250 + [nan] * 250), np.full(500, 4_000.0), NOBODY)
    assert work.ratio == UNCALIBRATED_WORK.ratio
    assert work.observations == 500
    assert work.typical_s == pytest.approx(4_000)
    assert left_s(work, 0)[0] == pytest.approx(left_s(work, 4_000)[0])
    assert left_s(work, 0, 1_000)[0] == pytest.approx(left_s(work, 4_000, 1_000)[0])


def test_a_visit_without_a_plan_is_of_the_class_of_the_usual_visit() -> None:
    rows = tuple((ratio,) * QUANTILES for ratio in (3.0, 2.0, 1.0))
    for typical_s, ratio in [(900.0, 3.0), (1_800.0, 2.0), (4_000.0, 1.0)]:
        work = Work(rows, (0.0,) * QUANTILES, typical_s)
        assert left_s(work, 0)[0] == pytest.approx(ratio * typical_s)


def test_before_a_fleet_has_worked_a_visit_lasts_as_planned_or_half_an_hour() -> None:
    low_s, expected_s = left_s(UNCALIBRATED_WORK, HOUR_S, draw=[0.1, 0.5])
    assert expected_s == pytest.approx(HOUR_S)
    assert low_s == pytest.approx(HOUR_S * np.exp(-0.35 * 1.28155))
    assert left_s(UNCALIBRATED_WORK, 0)[0] == pytest.approx(1_800)


# ---- who waits


def test_who_waits_for_the_planned_departure_is_believed_to_leave_so_late() -> None:
    work = calibrate_work(NOBODY, NOBODY, np.array([60.0, 120.0, 180.0] * 500))
    assert lags_s(work, np.array([0.25, 0.5, 0.75])) == pytest.approx([60, 120, 180])


def test_before_anybody_has_waited_there_is_no_lag() -> None:
    assert lags_s(UNCALIBRATED_WORK, np.array([0.0, 0.5, 1.0])).tolist() == [0, 0, 0]


def test_who_left_before_the_plan_had_no_lag_and_who_left_much_later_another_reason() -> None:
    def of(lags: list[float]) -> tuple[float, ...]:
        return calibrate_work(NOBODY, NOBODY, np.array(lags)).lag_s

    assert of([120.0] * 20 + [1_801.0, 9_000.0, nan]) == of([120.0] * 20)
    assert of([120.0] * 20 + [-600.0] * 5) == of([120.0] * 20 + [0.0] * 5)
    assert of([1_800.0] * 99)[MEDIAN] == 1_800


@given(st.lists(st.floats(-900, 3_000), max_size=50), draws)
def test_lags_rise_with_the_draw_and_stay_below_half_an_hour(
    lags: list[float], draw: list[float]
) -> None:
    found = lags_s(calibrate_work(NOBODY, NOBODY, np.array(lags)), np.array(sorted(draw)))
    assert (np.diff(found) >= 0).all()
    assert (found >= 0).all()
    assert (found <= 1_800).all()


# ---- what is left of a visit


@pytest.mark.parametrize("past", [0.0, 0.3, 0.8, 1.1, 1.5, 4.0])
@pytest.mark.parametrize("shape", ["log-normal", "two kinds of jobs", "even"])
def test_what_is_left_is_what_is_left_of_those_that_have_lasted_as_long(
    shape: str, past: float
) -> None:
    rng = np.random.default_rng(3)
    seen = {
        "log-normal": np.exp(0.35 * rng.normal(size=4_000)),
        "two kinds of jobs": rng.choice([0.6, 1.6], 4_000) * rng.uniform(0.8, 1.2, 4_000),
        "even": rng.uniform(0.2, 2.2, 4_000),
    }[shape]
    quantiles = np.quantile(seen, SHARES)
    # A million visits: evenly between two quantiles, and beyond the last by a Pareto tail.
    share = (np.arange(1_000_000) + 0.5) / 1_000_000
    lasted = np.interp(share, [0, *SHARES], [0, *quantiles])
    is_tail = share > SHARES[-1]
    lasted[is_tail] = quantiles[-1] * (0.02 / (1 - share[is_tail])) ** (1 / 5)
    draw = [0.1, 0.25, 0.5, 0.75, 0.9, 0.97]
    still = np.quantile(lasted[lasted > past], draw) - past
    found = left_s(of_quantiles(quantiles.tolist()), HOUR_S, past * HOUR_S, draw) / HOUR_S
    assert found == pytest.approx(still, rel=0.02, abs=0.001)


def test_of_a_fleet_that_is_sure_what_is_left_is_the_rest() -> None:
    found = left_s(sure(1.5), HOUR_S, 1_200, [0.1, 0.5, 0.9])
    assert found == pytest.approx([4_200] * 3)


def test_who_has_overrun_all_that_was_seen_may_overrun_by_a_seventh_more() -> None:
    # Of a Pareto tail with exponent 5, half are over at 2 ** (1 / 5) times what has passed.
    for ratio in (2.0, 4.0, 40.0):
        found = left_s(sure(2.0), HOUR_S, ratio * HOUR_S)[0]
        assert found == pytest.approx((2 ** (1 / 5) - 1) * ratio * HOUR_S)


rising = st.lists(st.floats(0.01, 0.3), min_size=QUANTILES, max_size=QUANTILES).map(
    lambda steps: tuple(np.cumsum(steps).tolist())
)


@given(rising, st.floats(0, 50))
def test_beyond_and_its_inverse_undo_each_other(quantiles: tuple[float, ...], ratio: float) -> None:
    share = rules._beyond(quantiles, np.array([ratio]))
    assert rules._ratio_beyond(quantiles, share) == pytest.approx([ratio], abs=1e-9)


@given(rising, st.floats(1e-6, 1))
def test_the_inverse_and_beyond_undo_each_other(quantiles: tuple[float, ...], share: float) -> None:
    ratio = rules._ratio_beyond(quantiles, np.array([share]))
    assert rules._beyond(quantiles, ratio) == pytest.approx([share], rel=1e-6)


@given(rising)
def test_beyond_a_quantile_lies_the_share_it_is_named_for(quantiles: tuple[float, ...]) -> None:
    asked = np.array([0.0, *quantiles, quantiles[-1] * 2])
    shares = [1.0, *(1 - share for share in SHARES), 0.02 / 2**5]
    assert rules._beyond(quantiles, asked) == pytest.approx(shares)


@given(rising, st.floats(0, 20), st.floats(0, 20))
def test_fewer_last_longer(quantiles: tuple[float, ...], one: float, other: float) -> None:
    fewer, more = rules._beyond(quantiles, np.array([max(one, other), min(one, other)]))
    assert 0 <= fewer <= more <= 1


@given(ratios, planned, elapsed, draws)
def test_what_is_left_is_a_time_and_greater_draws_last_longer(
    observed: list[float], planned_s: float, elapsed_s: float, draw: list[float]
) -> None:
    found = left_s(work_of(observed), planned_s, elapsed_s, sorted(draw))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found) >= -1e-6).all()


@given(ratios, planned, elapsed, elapsed, draws)
def test_the_longer_a_visit_goes_on_the_later_it_is_believed_to_end(
    observed: list[float], planned_s: float, one_s: float, other_s: float, draw: list[float]
) -> None:
    work = work_of(observed)
    sooner_s, later_s = sorted([one_s, other_s])
    before, after = (s + left_s(work, planned_s, s, draw) for s in (sooner_s, later_s))
    assert (before <= after * (1 + 1e-9)).all()


def test_who_has_overrun_far_may_overrun_more() -> None:
    slight, far = (
        left_s(UNCALIBRATED_WORK, HOUR_S, times * HOUR_S, [0.1, 0.5, 0.9]) for times in (1.2, 4)
    )
    assert slight[1] < far[1] < HOUR_S
    assert far[2] - far[1] > far[1] - far[0] > 0


@given(rising, st.floats(1, 3), planned, draws)
def test_a_fleet_that_works_more_slowly_is_never_done_sooner(
    quantiles: tuple[float, ...], times: float, planned_s: float, draw: list[float]
) -> None:
    usual = left_s(of_quantiles(quantiles), planned_s, draw=draw)
    slow = left_s(of_quantiles([times * ratio for ratio in quantiles]), planned_s, draw=draw)
    assert (slow >= usual * (1 - 1e-9)).all()


@given(ratios, st.lists(st.tuples(planned, elapsed), min_size=1, max_size=6), draws)
def test_visits_that_are_asked_for_together_do_not_matter_to_each_other(
    observed: list[float], visits: list[tuple[float, float]], draw: list[float]
) -> None:
    work = work_of(observed)
    planned_s, elapsed_s = np.array(visits, dtype=float).T
    together = work_left(work, planned_s, elapsed_s, np.array(draw))
    assert together.tolist() == [left_s(work, *visit, draw).tolist() for visit in visits]


def test_a_visit_that_begins_in_the_future_has_not_begun() -> None:
    assert left_s(sure(1.5), HOUR_S, -600)[0] == left_s(sure(1.5), HOUR_S)[0]


# ---- on its way through a database


def test_it_goes_through_json_unharmed() -> None:
    planned_s = np.full(20, HOUR_S)
    work = calibrate_work(planned_s, 1.1 * planned_s, np.array([30.0]), (1, 2))
    assert work.period_ms == (1, 2)
    assert msgspec.json.decode(msgspec.json.encode(work), type=Work) == work


@pytest.mark.parametrize(
    "other",
    [
        {"ratio": [[1.0]] * 3},
        {"ratio": [[1.0] * QUANTILES] * 2},
        {"ratio": [[1.0] * QUANTILES] * 4},
        {"lag_s": [0.0]},
    ],
)
def test_other_quantiles_and_other_classes_are_refused(other: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match="calibrate again"):
        msgspec.convert(msgspec.to_builtins(UNCALIBRATED_WORK) | other, Work)


def test_quantiles_of_a_log_normal_distribution_are_what_holds_before() -> None:
    for row in UNCALIBRATED_WORK.ratio:
        assert row == pytest.approx(log_normal(0.35))
