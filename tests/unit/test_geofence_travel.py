"""Travel times of a fleet: what they learn of moving, standing and breaks, and what disturbs neither."""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, lgamma, log, nan
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.forecast import travel
from geofence.forecast.quantiles import Floats
from geofence.forecast.travel import (
    EDGES_H,
    EDGES_M,
    KNOTS_M,
    LEFT_EDGES_S,
    PARTS,
    STANDING_EDGES_S,
    UNCALIBRATED,
    Legs,
    Model,
    Spans,
    calibrate,
    moving,
    prior_s,
    standing,
    usual_s,
)

MINUTE_S: Final = 60.0
#: What it takes to each knot, in a fleet all of whose legs are alike.
ALIKE_S: Final = (100.0, 200.0, 300.0, 500.0, 800.0, 1_200.0, 2_000.0, 3_000.0, 5e3, 8e3, 2e6)
#: Everybody stands for less than a minute.
NEVER: Final = (1.0, *[0.0] * (len(STANDING_EDGES_S) - 1))

Leg = tuple[float, float, float]  # distance_m, hour, moving / prior

legs = st.tuples(st.floats(0, 120_000), st.floats(0, 23.99), st.floats(0.4, 2.99))
stands = st.just(0.0) | st.floats(0, 4 * 3_600)
standing_legs = st.lists(st.tuples(legs, stands), max_size=40)
distances = st.floats(0, 500_000)
hours = st.floats(0, 23.999)


def columns_of(observed: Sequence[Leg], stood_s: Sequence[float] = (), break_s: float = 0) -> Legs:
    """Return legs that have moved for a ratio of the prior; each stood so long, and all broke."""
    distance_m, hour, ratio = np.array(observed, dtype=float).reshape(-1, 3).T
    stood = np.array(stood_s, dtype=float) if stood_s else np.zeros(len(observed))
    broke = np.full(len(observed), float(break_s))
    return Legs(distance_m, hour, ratio * prior_s(distance_m) + stood + broke, stood, broke)


def model_of(observed: Sequence[Leg], stood_s: Sequence[float] = ()) -> Model:
    return calibrate(columns_of(observed, stood_s))


def model_of_pairs(observed: Sequence[tuple[Leg, float]]) -> Model:
    return model_of([leg for leg, _ in observed], [stood_s for _, stood_s in observed])


def alike(
    seconds: Sequence[float] = ALIKE_S,
    stands: Sequence[float] = NEVER,
    break_s: float | None = None,
) -> Model:
    """Return a fleet all of whose legs take the same, at any hour."""
    rows = (tuple(seconds),) * len(PARTS)
    breaks = None if break_s is None else (break_s,) * 3
    return Model(rows, rows, rows, (tuple(stands),) * len(PARTS), breaks)


def histogram(**share_of: float) -> tuple[float, ...]:
    """Return shares of standing by the minute at which their bin begins; the rest never stands."""
    begins = [0.0, *STANDING_EDGES_S[:-1]]
    row = [0.0] * len(begins)
    for minute, share in share_of.items():
        row[begins.index(int(minute.removeprefix("from_")) * MINUTE_S)] = share
    row[0] = 1 - sum(row)
    return tuple(row)


def expected_s(model: Model, distance_m: float, hour: float = 10.0) -> float:
    return float(moving(model, np.array([distance_m]), np.array([hour])).expected_s[0])


def bounds_s(model: Model, distance_m: Floats, hour: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the 10 % bound, what is expected, and the 90 % bound."""
    spans = moving(model, distance_m, hour)
    assert (spans.lower_s >= 0).all()
    assert (spans.upper_s >= 0).all()
    return spans.expected_s - spans.lower_s, spans.expected_s, spans.expected_s + spans.upper_s


def shares_of(draws: int) -> Floats:
    return (np.arange(draws) + 0.5) / draws


def left_s(
    model: Model, stood_s: float, covered: float, draw: Floats | None = None, hour: float = 10.0
) -> Floats:
    """Return how long one van still stands, by draws."""
    columns = (np.array([value]) for value in (hour, stood_s, covered))
    return standing(model, *columns, shares_of(2_000) if draw is None else draw)[0]


# ---- moving


def test_an_uncalibrated_model_says_what_the_prior_says() -> None:
    distance_m = np.array([0.0, 700.0, 3_000.0, 12_345.0, 60_000.0, 700_000.0])
    spans = moving(UNCALIBRATED, distance_m, np.full(6, 10.0))
    assert spans.expected_s == pytest.approx(prior_s(distance_m))


def test_the_prior_is_plain_road_sense() -> None:
    minutes = prior_s(np.array([0.0, 3_000.0, 15_000.0, 80_000.0])) / 60
    town, main, motorway = 60 * 3 / 20, 60 * 12 / 40, 60 * 65 / 65
    assert minutes == pytest.approx(
        [2, 2 + town, 2 + town + main, 2 + town + main + motorway], rel=1e-9
    )


def test_a_fleet_of_many_legs_is_believed() -> None:
    rng = np.random.default_rng(1)
    distance_m, hour = rng.uniform(500, 60_000, 40_000), rng.uniform(6, 20, 40_000)
    ratio = 1.3 * np.exp(0.2 * rng.normal(size=40_000))
    none = np.zeros(40_000)
    model = calibrate(Legs(distance_m, hour, ratio * prior_s(distance_m), none, none), 9, (1, 2))
    low, expected, high = bounds_s(model, np.array([10_000.0]), np.array([8.0]))
    usual = 1.3 * prior_s(np.array([10_000.0]))
    assert expected == pytest.approx(usual, rel=0.03)
    assert low == pytest.approx(usual * exp(-0.256), rel=0.04)
    assert high == pytest.approx(usual * exp(0.256), rel=0.04)
    assert model.observations == 40_000
    assert model.period_ms == (1, 2)


def test_what_a_leg_has_stood_and_broken_is_no_moving() -> None:
    observed = [(5_000.0, 10.0, 1.2)] * 60
    plain = calibrate(columns_of(observed))
    stood = calibrate(columns_of(observed, [400.0] * 60, 2_700))
    assert stood.expected_s == pytest.approx(np.array(plain.expected_s))
    assert expected_s(stood, 5_500) == pytest.approx(1.2 * prior_s(np.array(5_500)), rel=0.01)


def test_a_slow_peak_is_slow_and_the_rest_of_the_day_is_not() -> None:
    model = model_of([(5_000.0, 8.0, 2.0)] * 500 + [(5_000.0, 10.0, 1.0)] * 500)
    usual = float(prior_s(np.array(5_500)))
    assert expected_s(model, 5_500, 8.0) == pytest.approx(2 * usual, rel=0.01)
    assert expected_s(model, 5_500, 10.0) == pytest.approx(usual, rel=0.01)


def test_a_cell_without_legs_takes_after_its_band_and_a_band_without_after_the_fleet() -> None:
    model = model_of([(5_000.0, 10.0, 2.0)] * 300 + [(30_000.0, 10.0, 1.2)] * 900)
    short, long, none = (float(prior_s(np.array(metres))) for metres in (5_500, 27_000, 500))
    assert expected_s(model, 5_500, 8.0) == pytest.approx(2.0 * short, rel=0.01)
    assert expected_s(model, 27_000, 8.0) == pytest.approx(1.2 * long, rel=0.01)
    assert expected_s(model, 500, 10.0) == pytest.approx(1.2 * none, rel=0.01)


def test_few_legs_move_the_prior_a_little_and_many_move_it_all_the_way() -> None:
    usual = float(prior_s(np.array(5_500)))
    shares = [
        expected_s(model_of([(5_000.0, 10.0, 1.8)] * n), 5_500) / usual - 1 for n in (0, 2, 15, 300)
    ]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0)
    assert 0 < shares[1] < 0.25
    assert shares[3] == pytest.approx(0.8, rel=0.02)


@given(st.lists(legs, min_size=1, max_size=30), st.lists(st.floats(3.01, 50), max_size=30))
def test_errands_do_not_disturb_it(observed: list[Leg], ratios: list[float]) -> None:
    errands = [(observed[0][0], observed[0][1], ratio) for ratio in ratios]
    stood_s = [0.0] * len(observed) + [600.0] * len(errands)
    assert model_of(observed + errands, stood_s) == model_of(observed)


@pytest.mark.parametrize(
    ("distance_m", "hour", "travel_s", "standing_s"),
    [
        (nan, 10.0, 600.0, 0.0),
        (5_000.0, nan, 600.0, 0.0),
        (5_000.0, 10.0, nan, 0.0),
        (5_000.0, 10.0, 600.0, nan),
        (-1.0, 10.0, 200.0, 0.0),
        (5_000.0, -0.1, 600.0, 0.0),
        (5_000.0, 24.0, 600.0, 0.0),
        (0.0, 10.0, 0.0, 0.0),
        (0.0, 10.0, 300.0, 300.0),  # nothing but standing
        (5_000.0, 10.0, 124.9, 0.0),  # just over 40 m/s
        (0.0, 10.0, 360.1, 0.0),  # just over 3 times 2 min
    ],
)
def test_what_cannot_be_is_left_out(
    distance_m: float, hour: float, travel_s: float, standing_s: float
) -> None:
    columns = (np.array([value]) for value in (distance_m, hour, travel_s, standing_s, 0.0))
    assert calibrate(Legs(*columns)) == UNCALIBRATED


@pytest.mark.parametrize(
    ("distance_m", "hour", "travel_s"),
    [(5_000.0, 0.0, 600.0), (5_000.0, 23.99, 600.0), (5_000.0, 10.0, 125.0), (0.0, 10.0, 360.0)],
)
def test_what_can_just_be_is_not_left_out(distance_m: float, hour: float, travel_s: float) -> None:
    columns = (np.array([value]) for value in (distance_m, hour, travel_s, 0.0, 0.0))
    assert calibrate(Legs(*columns)).observations == 1


@given(standing_legs, st.randoms(use_true_random=False))
def test_the_order_of_the_legs_plays_no_part(
    observed: list[tuple[Leg, float]], random: object
) -> None:
    shuffled = list(observed)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert model_of_pairs(shuffled) == model_of_pairs(observed)


def test_slow_short_legs_do_not_make_a_very_long_one_faster() -> None:
    short, long = [(0.0, 0.0, 1.0)] * 8, [(60_000.0, 0.0, 0.41)] * 30
    before = expected_s(model_of(short + long), 300_000, 0)
    assert expected_s(model_of([*short, *long, *[(0.0, 0.0, 2.9)] * 99]), 300_000, 0) >= before


@given(st.lists(legs, max_size=40), st.lists(legs, max_size=40), distances, hours)
def test_more_legs_on_slow_roads_never_make_it_faster(
    observed: list[Leg], more: list[Leg], distance_m: float, hour: float
) -> None:
    slowest = max((ratio for *_, ratio in observed), default=0.0)
    slow = [(d, h, max(ratio, slowest, 2.5)) for d, h, ratio in more]
    asked = np.array([distance_m]), np.array([hour])
    before, after = (
        bounds_s(model_of(observed), *asked),
        bounds_s(model_of(observed + slow), *asked),
    )
    for fast, slower in zip(before, after, strict=True):
        assert slower[0] >= fast[0] * (1 - 1e-12)


@given(st.lists(st.tuples(legs, st.floats(1.0, 2.0)), max_size=40), distances, hours)
def test_legs_that_took_longer_never_make_it_faster(
    observed: list[tuple[Leg, float]], distance_m: float, hour: float
) -> None:
    asked = np.array([distance_m]), np.array([hour])
    before = bounds_s(model_of([leg for leg, _ in observed]), *asked)
    longer = [(d, h, min(ratio * times, 2.99)) for (d, h, ratio), times in observed]
    for fast, slower in zip(before, bounds_s(model_of(longer), *asked), strict=True):
        assert slower[0] >= fast[0] * (1 - 1e-12)


@given(st.lists(legs, max_size=60), distances, distances, hours)
def test_who_drives_farther_drives_longer(
    observed: list[Leg], one_m: float, other_m: float, hour: float
) -> None:
    distance_m = np.array(sorted([one_m, other_m]))
    for seconds in bounds_s(model_of(observed), distance_m, np.full(2, hour)):
        assert seconds[0] <= seconds[1] * (1 + 1e-12)


def test_a_fast_band_beyond_a_slow_one_is_no_way_to_be_there_sooner() -> None:
    model = model_of([(5_000.0, 10.0, 2.5)] * 300 + [(9_000.0, 10.0, 0.6)] * 300)
    near_s, far_s = expected_s(model, 5_500), expected_s(model, 9_500)
    assert near_s == far_s == pytest.approx(2.5 * prior_s(np.array(5_500)), rel=0.01)


@given(st.lists(legs, max_size=60), st.lists(st.tuples(distances, hours), min_size=1))
def test_expected_lies_within_its_range(
    observed: list[Leg], asked: list[tuple[float, float]]
) -> None:
    distance_m, hour = np.array(asked).T
    low, expected, high = bounds_s(model_of(observed), distance_m, hour)
    assert (low > 0).all()
    assert (low <= expected).all()
    assert (expected <= high).all()


def test_at_a_knot_a_model_says_what_stands_there_and_between_two_what_lies_between() -> None:
    model = alike()
    for knot_m, seconds in zip(KNOTS_M, ALIKE_S, strict=True):
        assert expected_s(model, knot_m) == pytest.approx(seconds)
    for near_m, far_m in pairwise(KNOTS_M):
        near_s, between_s, far_s = (
            expected_s(model, metres) for metres in (near_m, (near_m + far_m) / 2, far_m)
        )
        assert near_s < between_s < far_s


def test_every_band_has_a_knot_of_its_own() -> None:
    bands = np.searchsorted(EDGES_M, KNOTS_M[1:-1], side="right").tolist()
    assert bands == list(range(travel.BANDS)) == list(travel.BAND_OF_KNOT[1:-1])


@pytest.mark.parametrize(
    ("hour", "part"),
    [(0, "night"), (3, "night"), (5.74, "night"), (6.25, "day"), (6.5, "day"), (8, "morning peak"),
     (10, "day"), (12.5, "midday"), (15, "day"), (17.5, "evening peak"), (19.5, "day"),
     (22, "night"), (23.999, "night")],
)  # fmt: skip
def test_every_hour_has_its_part_of_the_day(hour: float, part: str) -> None:
    rows = tuple((100.0 * (i + 1),) * len(KNOTS_M) for i in range(len(PARTS)))
    model = Model(rows, rows, rows, (NEVER,) * len(PARTS))
    assert expected_s(model, 5_000, hour) == 100 * (PARTS.index(part) + 1)


@given(standing_legs, distances, st.sampled_from(EDGES_H))
def test_from_one_part_of_the_day_to_the_next_nothing_jumps(
    observed: list[tuple[Leg, float]], distance_m: float, edge_h: float
) -> None:
    model = model_of_pairs(observed)
    hour = edge_h + np.array([-0.25, -1e-6, 0, 1e-6, 0.25])
    for before, just_before, at, just_after, after in bounds_s(model, np.full(5, distance_m), hour):
        assert just_before == pytest.approx(at, rel=1e-4)
        assert just_after == pytest.approx(at, rel=1e-4)
        assert at == pytest.approx((before + after) / 2)


@given(standing_legs, st.floats(0, 0.25), st.sampled_from(EDGES_H))
def test_between_two_parts_of_the_day_standing_goes_over_from_the_one_to_the_other(
    observed: list[tuple[Leg, float]], past_h: float, edge_h: float
) -> None:
    model = model_of_pairs(observed)
    minute = np.array([STANDING_EDGES_S[0]])

    def who_stands(hour: float) -> float:
        """Return the share of those who stand at all."""
        draws = shares_of(4_000)
        return float((left_s(model, 0, 0, draws, hour) >= minute).mean())

    before, after = who_stands(edge_h - 0.25), who_stands(edge_h + 0.25)
    gone = (past_h + 0.25) / 0.5
    assert who_stands(edge_h + past_h) == pytest.approx(before + gone * (after - before), abs=6e-4)


def test_another_word_for_what_is_expected_is_as_wide_for_its_length() -> None:
    spans = Spans(np.array([100.0]), np.array([20.0]), np.array([50.0]))
    assert [column.tolist() for column in spans.told(np.array([300.0]))] == [[300], [60], [150]]


# ---- a model on its way through a database


def test_a_model_goes_through_json_unharmed() -> None:
    legs = columns_of([(5_000.0, 12.0, 1.3)] * 20, [200.0] * 20, 2_700)
    model = calibrate(legs, 20, (1, 2))
    assert model.break_s is not None
    assert msgspec.json.decode(msgspec.json.encode(model), type=Model) == model


@pytest.mark.parametrize("field", ["expected_s", "low_s", "high_s", "standing"])
@pytest.mark.parametrize(
    "rows", [[[1.0]], [[1.0]] * len(PARTS), [[1.0] * 99] * len(PARTS), "one part less"]
)
def test_a_model_of_other_bands_is_refused(field: str, rows: list[list[float]] | str) -> None:
    fields = msgspec.to_builtins(UNCALIBRATED)
    other = fields | {field: fields[field][1:] if isinstance(rows, str) else rows}
    with pytest.raises(msgspec.ValidationError, match="calibrate again"):
        msgspec.convert(other, Model)


# ---- standing: what is learnt


def test_before_a_fleet_has_driven_one_leg_in_five_stands_for_some_eight_minutes() -> None:
    total_s = left_s(UNCALIBRATED, 0, 0)
    assert (total_s > 0).mean() == pytest.approx(0.2, abs=0.001)
    assert 7 * MINUTE_S < total_s[total_s > 0].mean() < 10 * MINUTE_S


@given(standing_legs)
def test_every_part_of_the_day_shares_all_its_legs_out(observed: list[tuple[Leg, float]]) -> None:
    for row in model_of_pairs(observed).standing:
        assert sum(row) == pytest.approx(1)
        assert min(row) > 0


@pytest.mark.parametrize(
    ("stood_s", "bin_of"),
    [(0, 0), (59.9, 0), (60, 1), (179, 2), (180, 3), (7_199, 15), (7_200, 16), (10_800, 16),
     (90_000, 16)],
)  # fmt: skip
def test_every_leg_is_counted_where_its_standing_belongs(stood_s: float, bin_of: int) -> None:
    model = model_of([(5_000.0, 8.0, 1.0)] * 500, [stood_s] * 500)
    gained = np.array(model.standing[PARTS.index("morning peak")])
    assert int(gained.argmax()) == bin_of
    assert gained.max() > 0.95


def test_a_part_of_the_day_without_legs_stands_as_the_fleet_does() -> None:
    stood_s = [300.0] * 40 + [0.0] * 60
    model = model_of([(5_000.0, 8.0, 1.0)] * 100, stood_s)
    row_of = dict(zip(PARTS, np.array(model.standing), strict=True))
    for part in ("night", "day", "midday", "evening peak"):
        assert row_of[part] == pytest.approx(row_of["night"])
    # 4 up to 6 minutes, of 100 legs and of 15 as few had guessed; the part itself believes its own.
    assert row_of["night"][4] == pytest.approx(
        (40 + 15 * UNCALIBRATED.standing[0][4]) / 115, rel=1e-9
    )
    assert row_of["morning peak"][4] == pytest.approx((40 + 15 * row_of["night"][4]) / 115)


@given(st.lists(st.tuples(legs, stands, st.floats(0, 3_600)), max_size=40), hours)
def test_legs_that_stood_longer_never_make_anybody_stand_less(
    observed: list[tuple[Leg, float, float]], hour: float
) -> None:
    driven = [leg for leg, _, _ in observed]
    before = model_of(driven, [stood_s for _, stood_s, _ in observed])
    after = model_of(driven, [stood_s + more_s for _, stood_s, more_s in observed])
    draws = shares_of(200)
    less_s, more_s = left_s(before, 0, 0, draws, hour), left_s(after, 0, 0, draws, hour)
    assert (more_s >= less_s * (1 - 1e-6) - 1e-6).all()


# ---- standing: what is still to come on a leg under way


def chances_by_bayes(row: Sequence[float], stood_s: float, covered: float) -> list[float]:
    """Return the chances of nothing, and of each of `LEFT_EDGES_S`, by the formula of the theory."""
    edges_s = [60.0 * m for m in (1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30, 40, 50, 60, 90, 120, 180)]
    if stood_s < 60:
        stood_s = 0.0

    def between(least_s: float, most_s: float) -> float:
        """Return the share of legs that stand for so long in all."""
        found = 0.0
        for share, (low_s, high_s) in zip(row[1:], pairwise(edges_s), strict=True):
            overlap_s = min(most_s, high_s) - max(least_s, low_s)
            found += share * max(0.0, overlap_s) / (high_s - low_s)
        return found + 1e-12 * (most_s - least_s)

    def weight(share: float, left_s: float) -> float:
        n, k = (stood_s + left_s) / 180, stood_s / 180
        pieces = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        return exp(log(share) + pieces + (n - k) * log(1 - covered) - 50) if share > 0 else 0.0

    weights = [weight(row[0], 0.0) if stood_s == 0 else 0.0]
    for least_s, most_s in pairwise(LEFT_EDGES_S.tolist()):
        share = between(stood_s + least_s, stood_s + most_s)
        weights.append(weight(share, (least_s + most_s) / 2))
    return [each / sum(weights) for each in weights]


@given(standing_legs, hours, st.floats(0, 11_000) | st.floats(0, 1_000), st.floats(0, 0.99))
@settings(max_examples=60)
def test_a_slow_reckoning_bin_by_bin_comes_to_the_same(
    observed: list[tuple[Leg, float]], hour: float, stood_s: float, covered: float
) -> None:
    # The parts of the day are blended elsewhere: here one holds all day.
    row = model_of_pairs(observed).standing[0]
    still_s = left_s(alike(stands=row), stood_s, covered, shares_of(20_000), hour)
    up_to = 0.0
    ends_s = [0.0, *LEFT_EDGES_S[1:].tolist()]
    chances = chances_by_bayes(row, stood_s, covered)
    for end_s, chance in zip(ends_s, chances, strict=True):
        up_to += chance
        assert (still_s <= end_s + 1e-3).mean() == pytest.approx(up_to, rel=0.01, abs=2e-4)


@pytest.mark.parametrize("observed", [[], [0.0, 0.0, 400.0] * 30])
@pytest.mark.parametrize(
    ("stood_s", "covered"), [(60, 0.1), (60, 0.9), (300, 0.3), (300, 0.9), (900, 0.3), (1_800, 0.5)]
)
def test_bins_of_what_is_left_are_fine_enough(
    observed: list[float], stood_s: float, covered: float
) -> None:
    row = model_of([(5_000.0, 10.0, 1.0)] * len(observed), observed).standing[0]
    seconds, weights = [left + 5.0 for left in range(0, 10_800, 10)], []
    for left in seconds:
        i = next((i for i, s in enumerate(STANDING_EDGES_S) if stood_s + left < s), None)
        width_s = 0.0 if i is None else STANDING_EDGES_S[i] - STANDING_EDGES_S[i - 1]
        density = 0.0 if i is None else row[i] / width_s
        pieces = lgamma((stood_s + left) / 180 + 1) - lgamma(left / 180 + 1)
        weights.append(density * exp(pieces + left / 180 * log(1 - covered)))
    mean_s = np.average(seconds, weights=weights)
    assert left_s(alike(stands=row), stood_s, covered).mean() == pytest.approx(
        mean_s, rel=0.02, abs=2
    )


@pytest.mark.parametrize("stood_s", [0.0, 59.9])
def test_who_has_not_set_off_will_stand_as_the_fleet_does(stood_s: float) -> None:
    model = alike(stands=histogram(from_2=0.1, from_15=0.3))
    draws = np.array([0.0, 0.3, 0.599, 0.65, 0.6999, 0.7001, 0.85, 0.9999])
    assert left_s(model, stood_s, 0, draws) == pytest.approx(
        [0, 0, 0, 150, 180, 900, 1_050, 1_200], abs=0.2
    )


def test_who_has_stood_for_nothing_halfway_stands_less_than_who_has_not_begun() -> None:
    for model in (UNCALIBRATED, model_of([(5_000.0, 10.0, 1.0)] * 50, [500.0, 60.0] * 25)):
        assert left_s(model, 0, 0.5).mean() < 0.5 * left_s(model, 0, 0).mean()


@given(standing_legs, hours, st.floats(0, 20_000), st.floats(0, 1), st.floats(0, 1))
def test_the_less_of_the_way_is_left_the_less_is_still_stood(
    observed: list[tuple[Leg, float]], hour: float, stood_s: float, one: float, other: float
) -> None:
    model = model_of_pairs(observed)
    draws = shares_of(100)
    far, near = sorted([one, other])
    far_s, near_s = (left_s(model, stood_s, at, draws, hour) for at in (far, near))
    assert (near_s <= far_s * (1 + 1e-6) + 1e-6).all()


@given(st.floats(0, 1_200), st.floats(0, 1_200), st.floats(0.1, 0.9))
def test_the_longer_it_has_stood_on_the_same_share_the_longer_it_still_stands(
    one_s: float, other_s: float, covered: float
) -> None:
    short_s, long_s = sorted([one_s, other_s])
    before, after = (left_s(UNCALIBRATED, s, covered).mean() for s in (short_s, long_s))
    assert after >= before - 2


@pytest.mark.parametrize(("covered", "times"), [(0.1, 3), (0.5, 2), (0.9, 1.25)])
def test_a_quarter_of_an_hour_promises_more_than_two_minutes(covered: float, times: float) -> None:
    two, fifteen = (left_s(UNCALIBRATED, 60.0 * m, covered).mean() for m in (2, 15))
    assert fifteen > times * two


def test_who_has_stood_for_a_quarter_of_an_hour_halfway_stands_for_some_ten_minutes_more() -> None:
    still_s = left_s(UNCALIBRATED, 15 * MINUTE_S, 0.5)
    assert 5 * MINUTE_S < np.median(still_s) < 15 * MINUTE_S


@given(st.floats(0, 3_600), st.floats(0, 3_600), st.floats(0.25, 1))
def test_who_stands_on_is_never_believed_to_have_done_sooner(
    one_s: float, other_s: float, covered: float
) -> None:
    sooner_s, later_s = sorted([one_s, other_s])
    before, after = (s + left_s(UNCALIBRATED, s, covered).mean() for s in (sooner_s, later_s))
    assert after >= before - 2


@given(
    standing_legs,
    st.lists(st.tuples(hours, st.floats(0, 1e6), st.floats(0, 1)), min_size=1, max_size=5),
    st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1e-12, 1 - 1e-12, 1.0]), min_size=1),
)
def test_any_draw_of_any_van_is_a_time_and_greater_draws_stand_longer(
    observed: list[tuple[Leg, float]], vans: list[tuple[float, float, float]], draws: list[float]
) -> None:
    hour, stood_s, covered = np.array(vans).T
    still_s = standing(model_of_pairs(observed), hour, stood_s, covered, np.array(sorted(draws)))
    assert still_s.shape == (len(vans), len(draws))
    assert np.isfinite(still_s).all()
    assert (still_s >= 0).all()
    # To the second: a draw may fall on the very end of a bin that is hardly possible.
    assert (np.diff(still_s, axis=1) >= -1).all()
    # Nobody is believed to stand for more than three hours from now.
    assert (still_s <= 10_800 + 1).all()


@pytest.mark.parametrize("hours_long", [3, 5, 100])
@pytest.mark.parametrize("covered", [0.0, 0.5, 1.0])
def test_who_has_stood_longer_than_the_last_bin_still_has_some_rest(
    hours_long: float, covered: float
) -> None:
    still_s = left_s(UNCALIBRATED, 3_600.0 * hours_long, covered)
    assert np.isfinite(still_s).all()
    assert (still_s > 0).all()


@given(standing_legs, st.lists(st.tuples(hours, st.floats(0, 9e3), st.floats(0, 1)), min_size=2))
def test_vans_that_are_asked_for_together_do_not_matter_to_each_other(
    observed: list[tuple[Leg, float]], vans: list[tuple[float, float, float]]
) -> None:
    model, draws = model_of_pairs(observed), shares_of(21)
    together = standing(model, *np.array(vans).T, draws)
    for row, (hour, stood_s, covered) in zip(together, vans, strict=True):
        assert row.tolist() == left_s(model, stood_s, covered, draws, hour).tolist()


# ---- what half of all legs take


@pytest.mark.parametrize(
    ("stands", "stood_s"),
    [
        (histogram(from_3=0.5), 0),
        (histogram(from_3=0.51), 210),
        (histogram(from_1=0.3, from_20=0.3), 90),
        (histogram(from_1=0.05, from_20=0.6), 1_350),
        (histogram(from_120=0.9), 9_000),
    ],
)
def test_usual_is_moving_and_what_half_of_all_legs_stand(
    stands: tuple[float, ...], stood_s: float
) -> None:
    asked = np.array([5_500.0]), np.array([10.0])
    assert usual_s(alike(stands=stands), *asked) == pytest.approx([800 + stood_s])


def test_usual_goes_by_the_part_of_the_day() -> None:
    legs = [(5_000.0, 8.0, 1.0)] * 99 + [(5_000.0, 10.0, 1.0)] * 99
    model = model_of(legs, [420.0] * 99 + [0.0] * 99)
    usual = usual_s(model, np.full(3, 5_500.0), np.array([8.0, 10.0, 9.1]))
    peak, day, between = (
        usual - moving(model, np.full(3, 5_500.0), np.array([8, 10, 9.1])).expected_s
    )
    assert (peak, day) == (420, 0)
    assert 0 <= between < 420


def test_nothing_is_asked_of_no_legs() -> None:
    assert usual_s(UNCALIBRATED, np.empty(0), np.empty(0)).shape == (0,)
    assert standing(UNCALIBRATED, *np.empty((3, 0)), shares_of(5)).shape == (0, 5)


# ---- the lunch of a fleet


def breaks_of(breaks: Sequence[tuple[float, float]], van_days: int) -> Sequence[float] | None:
    """Return the fleet's break of legs by their hour and halts, s."""
    hour, break_s = np.array(breaks, dtype=float).reshape(-1, 2).T
    zeros = np.zeros(len(breaks))
    return calibrate(Legs(zeros + 5_000, hour, break_s + 800, zeros, break_s), van_days).break_s


@pytest.mark.parametrize(
    ("count", "van_days", "is_used_to"),
    [(5, 10, True), (5, 11, False), (4, 10, False), (10, 10, True), (0, 10, False), (0, 0, False)],
)
def test_a_fleet_is_used_to_a_break_if_half_of_its_van_days_have_one(
    count: int, van_days: int, *, is_used_to: bool
) -> None:
    found = breaks_of([(12.0, 2_700.0)] * count + [(12.0, 0.0)] * 20, van_days)
    assert found == ((2_700, 2_700, 2_700) if is_used_to else None)


def test_a_break_is_as_long_as_half_of_them_are() -> None:
    found = breaks_of([(12.0, 60.0 * minutes) for minutes in (20, 30, 40, 50, 100)], 5)
    assert found == pytest.approx((60 * 24, 60 * 40, 60 * 80))


@pytest.mark.parametrize(
    ("hour", "break_s"),
    [(10.4, 900), (14.5, 900), (12.0, 599), (12.0, 7_201), (nan, 900), (12, nan)],
)
def test_halts_at_another_time_or_of_another_length_are_no_break(
    hour: float, break_s: float
) -> None:
    usual = [(12.0, 2_700.0)] * 5
    assert breaks_of([(hour, break_s)] * 5, 5) is None
    assert breaks_of(usual + [(hour, break_s)] * 99, 5) == breaks_of(usual, 5)


@pytest.mark.parametrize(
    ("hour", "break_s"), [(10.5, 900), (14.49, 900), (12.0, 600), (12.0, 7_200)]
)
def test_halts_that_just_are_a_break_are_one(hour: float, break_s: float) -> None:
    assert breaks_of([(hour, break_s)], 1) == pytest.approx((break_s,) * 3)
