"""Ranges of arrival: what they learn, what must not disturb them, and in which order they lie."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Geod

from geofence import eta
from geofence.eta import (
    EDGES_M,
    FACTOR_MAX,
    PSEUDO,
    REMAINING_S_MIN,
    UNCALIBRATED,
    UNCALIBRATED_WORK,
    AtStop,
    Eta,
    Itinerary,
    Model,
    OnTheWay,
    StopAhead,
    Waiting,
    Work,
    calibrate,
    calibrate_work,
    chance_late,
    crow_m,
    forecast,
    prior_s,
    remaining_work,
    travel,
)

MINUTE: Final = 60_000
HOUR: Final = 3_600_000
#: 10:00 UTC.
NOW: Final = 1_790_000_000_000 // (24 * HOUR) * 24 * HOUR + 10 * HOUR
LATITUDE: Final = 48.0
LONGITUDE: Final = 2.0
#: Degrees of latitude in 1 km.
KM: Final = 1_000 / np.radians(eta.EARTH_RADIUS_M)

Leg = tuple[float, float, float]  # distance_m, hour, travel / prior

legs = st.tuples(
    st.floats(0, 120_000), st.floats(0, 23.99), st.floats(0.4, eta.OUTLIER_RATIO - 0.01)
)
distances = st.floats(0, 500_000)
hours = st.floats(0, 23.999)


def model_of(observed: Sequence[Leg]) -> Model:
    rows = np.array([(d, h, prior_s(d) * ratio) for d, h, ratio in observed]).reshape(-1, 3)
    return calibrate(rows[:, 0], rows[:, 1], rows[:, 2])


def work_of(ratios: Sequence[float]) -> Work:
    return calibrate_work(np.full(len(ratios), 3_600.0), 3_600.0 * np.array(ratios))


def expected_s(model: Model, distance_m: float, hour: float = 10.0) -> float:
    return float(travel(model, np.array([distance_m]), np.array([hour]))[0][0])


def stop_at(stop_id: int, km: float, minutes: int = 30) -> StopAhead:
    """Return a stop so far north of where the van set off."""
    return StopAhead(stop_id, LATITUDE + km * KM, LONGITUDE, NOW, NOW + HOUR, minutes * 60)


def driving(km: float, minutes: float, *stops: StopAhead) -> Itinerary:
    """Return a van that has driven for so long and is so far north of where it set off."""
    way = OnTheWay(NOW - round(minutes * MINUTE), LATITUDE, LONGITUDE)
    return Itinerary(LATITUDE + km * KM, LONGITUDE, NOW, way, stops)


def expect(itinerary: Itinerary, now: int = NOW, work: Work = UNCALIBRATED_WORK) -> list[Eta]:
    return forecast(itinerary, UNCALIBRATED, work, now)


# ---- the travel times of a fleet


def test_an_uncalibrated_model_says_what_the_prior_says() -> None:
    for distance_m in (0.0, 700.0, 3_000.0, 12_345.0, 60_000.0, 700_000.0):
        assert expected_s(UNCALIBRATED, distance_m) == pytest.approx(prior_s(distance_m))


def test_the_prior_is_plain_road_sense() -> None:
    assert prior_s(0) == 120
    assert 10 * 60 < prior_s(3_000) < 12 * 60
    assert 19 * 60 < prior_s(10_000) < 24 * 60
    assert 65 * 60 < prior_s(60_000) < 80 * 60


def test_a_fleet_of_many_legs_is_believed() -> None:
    rng = np.random.default_rng(1)
    distance_m, hour = rng.uniform(500, 60_000, 40_000), rng.uniform(6, 20, 40_000)
    ratio = 1.3 * np.exp(0.2 * rng.normal(size=40_000))
    prior = np.array([prior_s(d) for d in distance_m])
    model = calibrate(distance_m, hour, prior * ratio, (1, 2))
    expected, low, high = travel(model, np.array([10_000.0]), np.array([8.0]))
    assert expected[0] == pytest.approx(1.3 * prior_s(10_000), rel=0.03)
    assert low[0] == pytest.approx(1.3 * prior_s(10_000) * np.exp(-0.256), rel=0.04)
    assert high[0] == pytest.approx(1.3 * prior_s(10_000) * np.exp(0.256), rel=0.04)
    assert model.observations == 40_000
    assert model.period_ms == (1, 2)


def test_a_slow_peak_is_slow_and_the_rest_of_the_day_is_not() -> None:
    observed = [(5_000.0, 8.0, 2.0)] * 500 + [(5_000.0, 10.0, 1.0)] * 500
    model = model_of(observed)
    assert expected_s(model, 5_500, 8.0) == pytest.approx(2 * prior_s(5_500), rel=0.01)
    assert expected_s(model, 5_500, 10.0) == pytest.approx(prior_s(5_500), rel=0.01)


def test_a_cell_without_legs_takes_after_its_band_and_a_band_without_after_the_fleet() -> None:
    model = model_of([(5_000.0, 10.0, 1.5)] * 300)
    assert expected_s(model, 5_500, 8.0) == pytest.approx(1.5 * prior_s(5_500), rel=0.01)
    assert expected_s(model, 500, 10.0) > 1.2 * prior_s(500)


def test_few_legs_move_the_prior_a_little_and_many_move_it_all_the_way() -> None:
    shares = [
        expected_s(model_of([(5_000.0, 10.0, 1.8)] * n), 5_500) / prior_s(5_500) - 1
        for n in (0, 2, PSEUDO, 20 * PSEUDO)
    ]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0)
    assert 0 < shares[1] < 0.25
    assert shares[3] == pytest.approx(0.8, rel=0.02)


@given(st.lists(legs, min_size=1, max_size=30), st.lists(st.floats(3.01, 50), max_size=30))
def test_lunches_and_errands_do_not_disturb_it(observed: list[Leg], lunches: list[float]) -> None:
    errands = [(observed[0][0], observed[0][1], ratio) for ratio in lunches]
    assert model_of(observed + errands) == model_of(observed)


@pytest.mark.parametrize(
    ("distance_m", "hour", "travel_s"),
    [
        (float("nan"), 10.0, 600.0),
        (5_000.0, float("nan"), 600.0),
        (5_000.0, 10.0, float("nan")),
        (-1.0, 10.0, 600.0),
        (5_000.0, 24.0, 600.0),
        (5_000.0, 10.0, 0.0),
        (5_000.0, 10.0, 60.0),  # 83 m/s
    ],
)
def test_what_cannot_be_is_left_out(distance_m: float, hour: float, travel_s: float) -> None:
    columns = (np.array([value]) for value in (distance_m, hour, travel_s))
    assert calibrate(*columns) == UNCALIBRATED


@given(st.lists(legs, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_the_legs_plays_no_part(observed: list[Leg], random: object) -> None:
    shuffled = sorted(observed, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert model_of(shuffled) == model_of(observed)


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
    before = travel(model_of(observed), np.array([distance_m]), np.array([hour]))
    after = travel(model_of(observed + slow), np.array([distance_m]), np.array([hour]))
    for fast, slower in zip(before, after, strict=True):
        assert slower[0] >= fast[0] * (1 - 1e-12)


@given(st.lists(st.tuples(legs, st.floats(1.0, 2.0)), max_size=40), distances, hours)
def test_legs_that_took_longer_never_make_it_faster(
    observed: list[tuple[Leg, float]], distance_m: float, hour: float
) -> None:
    before = model_of([leg for leg, _ in observed])
    after = model_of([(d, h, min(r * times, 2.99)) for (d, h, r), times in observed])
    assert expected_s(after, distance_m, hour) >= expected_s(before, distance_m, hour) * (1 - 1e-12)


@given(st.lists(legs, max_size=60), distances, distances, hours)
def test_who_drives_farther_drives_longer(
    observed: list[Leg], one_m: float, other_m: float, hour: float
) -> None:
    distance_m = np.array(sorted([one_m, other_m]))
    for seconds in travel(model_of(observed), distance_m, np.full(2, hour)):
        assert seconds[0] <= seconds[1] * (1 + 1e-12)


def test_a_fast_band_beyond_a_slow_one_is_no_way_to_be_there_sooner() -> None:
    model = model_of([(5_000.0, 10.0, 2.5)] * 300 + [(9_000.0, 10.0, 0.6)] * 300)
    near_s, far_s = expected_s(model, 5_500), expected_s(model, 9_500)
    assert near_s == far_s == pytest.approx(2.5 * prior_s(5_500), rel=0.01)


@given(st.lists(legs, max_size=60), st.lists(st.tuples(distances, hours), min_size=1))
def test_expected_lies_within_its_range(
    observed: list[Leg], asked: list[tuple[float, float]]
) -> None:
    columns = np.array(asked)
    expected, low, high = travel(model_of(observed), columns[:, 0], columns[:, 1])
    assert (low > 0).all()
    assert (low <= expected * (1 + 1e-12)).all()
    assert (expected <= high * (1 + 1e-12)).all()


@given(st.lists(legs, max_size=60), distances, st.sampled_from(eta.EDGES_H))
def test_from_one_part_of_the_day_to_the_next_nothing_jumps(
    observed: list[Leg], distance_m: float, edge_h: float
) -> None:
    model = model_of(observed)
    around = [edge_h + offset for offset in (-0.25, -1e-6, 0, 1e-6, 0.25)]
    before, just_before, at, just_after, after = (expected_s(model, distance_m, h) for h in around)
    assert just_before == pytest.approx(at, rel=1e-4)
    assert just_after == pytest.approx(at, rel=1e-4)
    assert at == pytest.approx((before + after) / 2)


@given(st.lists(legs, max_size=60), distances, hours)
def test_one_leg_and_columns_of_legs_say_the_same(
    observed: list[Leg], distance_m: float, hour: float
) -> None:
    model = model_of(observed)
    one = eta._travel(model, distance_m, hour)
    many = [column[0] for column in travel(model, np.array([distance_m]), np.array([hour]))]
    assert one.expected_s == pytest.approx(many[0])
    assert one.expected_s - one.lower_s == pytest.approx(many[1])
    assert one.expected_s + one.upper_s == pytest.approx(many[2])


def test_every_band_has_a_knot_of_its_own() -> None:
    bands = np.searchsorted(EDGES_M, eta.KNOTS_M[1:-1], side="right").tolist()
    assert bands == list(range(eta.BANDS)) == list(eta.BAND_OF_KNOT[1:-1])


@pytest.mark.parametrize(
    ("hour", "part"),
    [(3, "night"), (6.5, "day"), (8, "morning peak"), (10, "day"), (12.5, "midday"), (15, "day"),
     (17.5, "evening peak"), (19.5, "day"), (22, "night")],
)  # fmt: skip
def test_every_hour_has_its_part_of_the_day(hour: float, part: str) -> None:
    before, after, weight, gain = eta.BY_QUARTER[int(hour * 4)]
    assert (eta.PARTS[before], eta.PARTS[after], weight, gain) == (part, part, 0, 0)


def test_a_model_goes_through_json_unharmed() -> None:
    model, work = model_of([(5_000.0, 10.0, 1.3)] * 20), work_of([1.1] * 20)
    assert msgspec.json.decode(msgspec.json.encode(model), type=Model) == model
    assert msgspec.json.decode(msgspec.json.encode(work), type=Work) == work


def test_a_model_of_other_bands_is_refused() -> None:
    narrow = msgspec.to_builtins(UNCALIBRATED) | {"low_s": [[1.0]]}
    with pytest.raises(msgspec.ValidationError, match="calibrate again"):
        msgspec.convert(narrow, Model)
    with pytest.raises(msgspec.ValidationError, match="calibrate again"):
        msgspec.convert({"ratio": [1.0], "typical_s": 60.0}, Work)


@given(st.floats(-60, 60), st.floats(-10, 10), st.floats(-1, 1), st.floats(-1, 1))
def test_the_crow_flies_as_far_as_the_geodesists_say(
    latitude_deg: float, longitude_deg: float, north_deg: float, east_deg: float
) -> None:
    to_latitude_deg, to_longitude_deg = latitude_deg + north_deg, longitude_deg + east_deg
    _, _, true_m = Geod(ellps="WGS84").inv(
        longitude_deg, latitude_deg, to_longitude_deg, to_latitude_deg
    )
    found_m = crow_m(latitude_deg, longitude_deg, to_latitude_deg, to_longitude_deg)
    assert found_m == pytest.approx(true_m, rel=0.01, abs=0.01)


# ---- how long visits last


def test_a_fleet_that_works_longer_than_planned_is_believed() -> None:
    rng = np.random.default_rng(2)
    work = work_of(np.exp(np.log(1.4) + 0.2 * rng.normal(size=3_000)).tolist())
    assert work.ratio[eta.MEDIAN] == pytest.approx(1.4, rel=0.03)
    assert work.ratio[eta.LOW] == pytest.approx(1.4 * np.exp(-0.256), rel=0.05)
    assert work.ratio[eta.HIGH] == pytest.approx(1.4 * np.exp(0.256), rel=0.05)


def test_vans_left_at_a_site_and_a_minute_at_the_door_are_no_work() -> None:
    assert work_of([6.1, 40.0, 59 / 3_600, float("nan")]) == UNCALIBRATED_WORK


def test_where_nothing_was_planned_the_usual_visit_counts() -> None:
    work = calibrate_work(np.zeros(500), np.full(500, 4_000.0))
    assert work.ratio == UNCALIBRATED_WORK.ratio
    assert work.typical_s == pytest.approx(4_000)
    assert remaining_work(work, 0, 0).expected_s == pytest.approx(4_000, rel=0.02)


@given(st.lists(st.floats(0.05, 5.9), max_size=50), st.floats(0, 1e6), st.integers(0, 20_000))
def test_what_remains_of_a_visit_is_a_range_and_never_nothing(
    ratios: list[float], elapsed_s: float, planned_s: int
) -> None:
    left = remaining_work(work_of(ratios), planned_s, elapsed_s)
    assert left.expected_s >= REMAINING_S_MIN
    assert 0 <= left.lower_s <= left.expected_s
    assert left.upper_s >= 0


@given(st.lists(st.floats(0.05, 5.9), max_size=50), st.floats(0, 50_000), st.floats(0, 50_000))
def test_the_longer_a_visit_goes_on_the_later_it_is_believed_to_end(
    ratios: list[float], one_s: float, other_s: float
) -> None:
    work = work_of(ratios)
    sooner_s, later_s = sorted([one_s, other_s])
    early, late = (remaining_work(work, 3_600, s) for s in (sooner_s, later_s))
    assert sooner_s + early.expected_s <= (later_s + late.expected_s) * (1 + 1e-9)
    assert sooner_s + early.expected_s + early.upper_s <= (
        later_s + late.expected_s + late.upper_s
    ) * (1 + 1e-9)


def test_a_visit_that_has_just_begun_lasts_as_planned() -> None:
    left = remaining_work(UNCALIBRATED_WORK, 3_600, 0)
    assert left.expected_s == pytest.approx(3_600, rel=0.01)
    assert left.expected_s - left.lower_s == pytest.approx(3_600 * np.exp(-0.35 * 1.28), rel=0.02)


def test_who_has_overrun_far_may_overrun_more() -> None:
    slight = remaining_work(UNCALIBRATED_WORK, 3_600, 1.2 * 3_600)
    far = remaining_work(UNCALIBRATED_WORK, 3_600, 4 * 3_600)
    assert far.expected_s > slight.expected_s
    assert far.expected_s < 3_600
    assert far.upper_s > far.lower_s


# ---- on the way


def test_at_the_start_of_a_leg_the_rest_is_the_whole() -> None:
    [arrival] = expect(driving(0, 0, stop_at(1, 20)))
    assert arrival.expected_ms - NOW == pytest.approx(prior_s(20_000) * 1_000, rel=0.001)


def test_who_drives_as_expected_arrives_as_expected() -> None:
    whole_min = prior_s(20_000) / 60
    [half_way] = expect(driving(10, whole_min / 2, stop_at(1, 20)))
    assert half_way.expected_ms - NOW == pytest.approx(whole_min / 2 * MINUTE, rel=0.01)


def test_who_is_nearly_there_is_nearly_there() -> None:
    [arrival] = expect(driving(19.95, prior_s(20_000) / 60, stop_at(1, 20)))
    assert arrival.late_ms - NOW < 2 * MINUTE


def test_a_fast_road_makes_the_rest_shorter_and_a_slow_one_longer() -> None:
    usual_min = prior_s(20_000) / 120
    usual, fast, slow = (
        expect(driving(10, usual_min * times, stop_at(1, 20)))[0] for times in (1.0, 0.5, 2.0)
    )
    assert fast.expected_ms < usual.expected_ms < slow.expected_ms
    assert slow.early_ms <= usual.expected_ms
    assert fast.late_ms >= usual.expected_ms


def test_two_minutes_without_progress_are_no_evidence_and_five_are_little() -> None:
    at_once, after_2, after_5 = (
        expect(driving(0, minutes, stop_at(1, 20)))[0].expected_ms for minutes in (0, 2, 5)
    )
    assert after_2 == at_once
    assert at_once < after_5 < at_once + 0.2 * (at_once - NOW)


@given(st.floats(0, 19), st.floats(0, 600), st.floats(0, 600))
def test_the_longer_a_van_stands_the_later_it_comes(km: float, one: float, other: float) -> None:
    short, long = sorted([one, other])
    [before], [after] = (expect(driving(km, minutes, stop_at(1, 20))) for minutes in (short, long))
    assert before.expected_ms <= after.expected_ms
    assert before.late_ms <= after.late_ms


@given(st.floats(0, 59), st.floats(0, 1_000))
def test_a_jam_is_never_believed_to_last_for_ever(km: float, minutes: float) -> None:
    [usual], [jam] = (expect(driving(km, m, stop_at(1, 60))) for m in (0, minutes))
    rest_ms = prior_s(60_000 - 1_000 * km) * 1_000
    assert jam.expected_ms - NOW <= rest_ms + (FACTOR_MAX - 1) * eta.BELIEVED_S * 1_000 + 1
    assert usual.expected_ms <= NOW + rest_ms + 1


def test_who_drives_away_from_the_stop_is_as_far_from_it_as_he_is() -> None:
    [arrival] = expect(driving(-5, 2, stop_at(1, 15)))
    assert arrival.expected_ms - NOW == pytest.approx(prior_s(20_000) * 1_000, rel=0.001)


def test_a_van_at_the_gate_that_set_off_there_has_nothing_left_to_drive() -> None:
    [arrival] = expect(driving(0, 30, stop_at(1, 0)))
    assert NOW <= arrival.expected_ms <= NOW + 5 * MINUTE


# ---- a router's word


def test_a_router_says_what_to_expect_and_the_fleet_how_sure_that_is() -> None:
    stop = replace(stop_at(1, 20), router_s=1_000.0)
    [told] = expect(Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(), [stop]))
    [own] = expect(Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(), [stop_at(1, 20)]))
    assert told.expected_ms == NOW + 1_000_000
    assert (told.late_ms - NOW) / 1_000_000 == pytest.approx(
        (own.late_ms - NOW) / (own.expected_ms - NOW), rel=1e-5
    )


def test_on_the_way_too_a_router_says_what_to_expect() -> None:
    usual_min = prior_s(20_000) / 120
    stop = replace(stop_at(1, 20), router_s=1_000.0)
    [told] = expect(driving(10, usual_min, stop))
    assert told.expected_ms == pytest.approx(NOW + 1_000_000, abs=5_000)


def test_a_router_may_say_that_nothing_is_left_to_drive() -> None:
    [told] = expect(driving(10, 10, replace(stop_at(1, 20), router_s=0.0)))
    assert told.expected_ms == NOW


# ---- the chain


def test_a_chain_is_travel_and_work_in_turn() -> None:
    stops = [stop_at(1, 10, 60), stop_at(2, 16, 30)]
    first, second = expect(Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(), stops))
    first_s = prior_s(10_000)
    second_s = first_s + 3_600 + prior_s(6_000)
    assert first.expected_ms - NOW == pytest.approx(first_s * 1_000, rel=0.001)
    assert second.expected_ms - NOW == pytest.approx(second_s * 1_000, rel=0.001)


def test_independent_spreads_add_in_squares() -> None:
    stops = [stop_at(1, 10, 60), stop_at(2, 16, 30)]
    first, second = expect(Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(), stops))
    work, leg = eta._work(UNCALIBRATED_WORK, 3_600), eta._travel(UNCALIBRATED, 6_000, 11)
    parts_s = [(first.late_ms - first.expected_ms) / 1_000, work.upper_s, leg.upper_s]
    upper_s = (second.late_ms - second.expected_ms) / 1_000
    assert upper_s == pytest.approx(np.sqrt(np.square(parts_s).sum()), rel=0.001)
    assert upper_s < sum(parts_s)


def test_a_van_at_a_stop_finishes_there_first() -> None:
    itinerary = Itinerary(
        LATITUDE,
        LONGITUDE,
        NOW,
        AtStop(1, NOW - 20 * MINUTE, 3_600),
        [stop_at(1, 0), stop_at(2, 10)],
    )
    [arrival] = expect(itinerary)
    left = remaining_work(UNCALIBRATED_WORK, 3_600, 1_200)
    assert arrival.stop_id == 2
    assert arrival.expected_ms - NOW == pytest.approx(
        (left.expected_s + prior_s(10_000)) * 1_000, rel=0.001
    )


@pytest.mark.parametrize(("until_ms", "waits_ms"), [(0, 0), (NOW + HOUR, HOUR)])
def test_a_van_that_has_not_set_off_waits_until_then(until_ms: int, waits_ms: int) -> None:
    itinerary = Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(until_ms), [stop_at(1, 10)])
    [arrival] = expect(itinerary)
    assert arrival.expected_ms == pytest.approx(NOW + waits_ms + prior_s(10_000) * 1_000, abs=2_000)


def test_who_is_done_before_the_plan_waits_only_where_the_plan_says_when() -> None:
    leaves = stop_at(1, 10, 30)
    waits = replace(leaves, planned_arrival_ms=NOW + 3 * HOUR)
    after = stop_at(2, 20)
    start = Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(), [leaves, after])
    free = expect(start)
    bound = expect(replace(start, stops=[waits, after]))
    assert bound[0] == free[0]
    planned_ms = NOW + 3 * HOUR + 30 * MINUTE + prior_s(10_000) * 1_000
    assert bound[1].expected_ms == pytest.approx(planned_ms, abs=10_000)
    assert bound[1].expected_ms > free[1].expected_ms
    late = replace(leaves, planned_arrival_ms=NOW - HOUR)
    assert expect(replace(start, stops=[late, after])) == free


def test_who_waits_at_a_stop_under_way_waits_too() -> None:
    at = AtStop(1, NOW - 10 * MINUTE, 1_800, planned_arrival_ms=NOW + HOUR)
    [arrival] = expect(Itinerary(LATITUDE, LONGITUDE, NOW, at, [stop_at(2, 10)]))
    leaves_ms = NOW + HOUR + 30 * MINUTE
    assert arrival.expected_ms == pytest.approx(leaves_ms + prior_s(10_000) * 1_000, abs=2_000)


def test_the_clock_on_the_wall_decides_the_part_of_the_day() -> None:
    model = model_of([(10_000.0, 8.0, 2.0)] * 300 + [(10_000.0, 10.0, 1.0)] * 300)
    itinerary = Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(), [stop_at(1, 9.5)])
    [there] = forecast(itinerary, model, UNCALIBRATED_WORK, NOW, timezone(timedelta(hours=-2)))
    [here] = forecast(itinerary, model, UNCALIBRATED_WORK, NOW, UTC)
    assert there.expected_ms - NOW == pytest.approx(2 * (here.expected_ms - NOW), rel=0.02)


def test_a_silent_van_is_believed_to_have_gone_on() -> None:
    itinerary = driving(5, prior_s(5_000) / 60, stop_at(1, 20))
    [at_once] = expect(itinerary)
    [later] = expect(itinerary, NOW + 5 * MINUTE)
    assert later == at_once


def test_a_van_that_should_have_arrived_is_expected_now_and_its_range_does_not_shrink() -> None:
    itinerary = driving(19, prior_s(20_000) / 60, stop_at(1, 20), stop_at(2, 25))
    [at_once, _] = expect(itinerary)
    now = NOW + HOUR
    [first, second] = expect(itinerary, now)
    assert first.early_ms == first.expected_ms == now
    assert first.late_ms - now == pytest.approx(at_once.late_ms - at_once.expected_ms, abs=1)
    assert second.expected_ms > now + 30 * MINUTE


def test_a_van_without_stops_has_nothing_ahead() -> None:
    assert expect(driving(0, 0)) == []
    assert expect(Itinerary(LATITUDE, LONGITUDE, NOW, AtStop(1, NOW), [stop_at(1, 0)])) == []


places = st.floats(-0.5, 0.5)
stops_ahead = st.lists(
    st.builds(
        lambda north, east, minutes, planned_ms, router_s: StopAhead(
            0,
            LATITUDE + north,
            LONGITUDE + east,
            NOW,
            NOW + HOUR,
            minutes * 60,
            planned_ms,
            router_s,
        ),
        places,
        places,
        st.integers(0, 240),
        st.none() | st.integers(NOW - 5 * HOUR, NOW + 10 * HOUR),
        st.none() | st.floats(0, 10_000),
    ),
    min_size=1,
    max_size=6,
).map(lambda stops: [replace(stop, stop_id=i) for i, stop in enumerate(stops, start=1)])
pasts = st.integers(NOW - 10 * HOUR, NOW)
doings = (
    st.builds(AtStop, st.none(), pasts, st.integers(0, 20_000))
    | st.builds(OnTheWay, pasts, places.map(LATITUDE.__add__), places.map(LONGITUDE.__add__))
    | st.builds(Waiting, st.integers(NOW - HOUR, NOW + 5 * HOUR))
)
itineraries = st.builds(
    Itinerary,
    places.map(LATITUDE.__add__),
    places.map(LONGITUDE.__add__),
    pasts,
    doings,
    stops_ahead,
)


@given(itineraries, st.lists(legs, max_size=20), st.lists(st.floats(0.1, 5), max_size=20))
def test_nobody_arrives_before_now_and_every_range_is_in_order(
    itinerary: Itinerary, observed: list[Leg], ratios: list[float]
) -> None:
    etas = forecast(itinerary, model_of(observed), work_of(ratios), NOW)
    assert [arrival.stop_id for arrival in etas] == [stop.stop_id for stop in itinerary.stops]
    before = NOW
    for arrival in etas:
        assert NOW <= arrival.early_ms <= arrival.expected_ms <= arrival.late_ms
        assert arrival.expected_ms >= before
        before = arrival.expected_ms


@given(itineraries, st.randoms(use_true_random=False))
def test_what_comes_after_a_stop_and_in_which_order_does_not_matter_to_it(
    itinerary: Itinerary, random: object
) -> None:
    first, *rest = itinerary.stops
    rest.sort(key=lambda _: random.random())  # type: ignore[attr-defined]
    shuffled = replace(itinerary, stops=[first, *rest])
    assert expect(shuffled)[0] == expect(itinerary)[0]
    assert expect(replace(itinerary, stops=itinerary.stops[:2])) == expect(itinerary)[:2]


@given(itineraries, st.floats(1.0, 3.0))
def test_slower_work_never_makes_anybody_earlier(itinerary: Itinerary, times: float) -> None:
    assume(not isinstance(itinerary.doing, AtStop))
    usual, slow = work_of([1.0] * 100), work_of([times] * 100)
    model = model_of([])  # the same at every hour
    for before, after in zip(
        forecast(itinerary, model, usual, NOW), forecast(itinerary, model, slow, NOW), strict=True
    ):
        assert before.expected_ms <= after.expected_ms + 1


# ---- the chance of being late

RANGE = Eta(1, NOW - 10 * MINUTE, NOW, NOW + 30 * MINUTE)


@pytest.mark.parametrize(
    ("window_end", "chance"),
    [(RANGE.early_ms, 0.9), (RANGE.expected_ms, 0.5), (RANGE.late_ms, 0.1), (NOW + 10 * HOUR, 0.0)],
)
def test_beyond_the_late_end_of_the_range_lies_a_tenth(window_end: int, chance: float) -> None:
    assert chance_late(RANGE, window_end) == pytest.approx(chance, abs=1e-9)


@given(
    st.tuples(*[st.integers(0, 10 * HOUR)] * 3).map(sorted),
    st.integers(0, HOUR),
    st.integers(0, HOUR),
)
def test_the_later_the_window_ends_the_smaller_the_chance(
    range_ms: list[int], one_ms: int, other_ms: int
) -> None:
    arrival = Eta(1, *range_ms)
    sooner, later = sorted([one_ms, other_ms])
    assert 1 >= chance_late(arrival, sooner) >= chance_late(arrival, later) >= 0


def test_without_a_range_it_is_late_or_not_and_the_end_itself_is_in_time() -> None:
    sure = Eta(1, NOW, NOW, NOW)
    assert chance_late(sure, NOW - 1) == 1
    assert chance_late(sure, NOW) == 0
