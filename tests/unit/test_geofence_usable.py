"""Which fixes count: each reason with its edge, and no cut into calls that would change it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import cos, radians, sin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fixes import Fixes, Fleet
from geofence.rules import USUAL, Rules
from geofence.usable import FilterState, Refusal, sift
from tests.unit.reference_visits import EARTH_M, RefFix, usable_fixes
from tests.unit.test_geofence_visits import NOON, PLACES, as_columns, at, fix, tracks


class Van:
    """One van, sifted call by call, its state stored between them as a table would."""

    def __init__(self, rules: Rules = USUAL) -> None:
        self.rules = rules
        self.state = FilterState()
        self.used: list[int] = []
        self.refused: list[Refusal] = []

    def read(self, fixes: Sequence[RefFix]) -> None:
        self.state = msgspec.json.decode(msgspec.json.encode(self.state), type=FilterState)
        usable, (refused,) = sift([self.state], Fleet.of([as_columns(fixes)]), self.rules)
        self.used += usable.fixes.t_ms.tolist()
        self.refused += refused

    @property
    def held(self) -> list[int]:
        return [] if self.state.held is None else [self.state.held.t_ms]


def sifted(fixes: Sequence[RefFix], rules: Rules = USUAL) -> Van:
    """Return a van that has read the fixes in one call, which the reference must confirm."""
    van = Van(rules)
    van.read(fixes)
    if rules == USUAL:
        assert van.used == [f.t_ms for f in usable_fixes(fixes)]
    accounted = [*van.used, *(t_ms for t_ms, _ in van.refused), *van.held]
    assert sorted(accounted) == sorted(f.t_ms for f in fixes), "each fix is exactly one of three"
    return van


def reasons(fixes: Sequence[RefFix], rules: Rules = USUAL) -> list[tuple[float, str]]:
    """Return (seconds, reason) of what is refused, in order of time."""
    return [
        ((t_ms - NOON) / 1_000, reason) for t_ms, reason in sorted(sifted(fixes, rules).refused)
    ]


def road(count: int, since_s: float = 0.0, odometer_m: float | None = None) -> list[RefFix]:
    """Return a van that drives 15 m/s, a fix every 10 s."""
    return [
        replace(
            fix(since_s + 10 * i, 150.0 * i),
            odometer_m=None if odometer_m is None else odometer_m + 150 * i,
        )
        for i in range(count)
    ]


def told(fixes: Iterable[RefFix], odometers_m: Iterable[float | None]) -> list[RefFix]:
    return [replace(f, odometer_m=m) for f, m in zip(fixes, odometers_m, strict=True)]


# ---- null island


def test_a_position_of_zero_and_zero_is_null_island() -> None:
    assert reasons([RefFix(NOON, 0.0, 0.0)]) == [(0, "null_island")]


@pytest.mark.parametrize("position", [(1e-9, 0.0), (0.0, -1e-9), (0.0, 9.3), (5.6, 0.0)])
def test_only_zero_and_zero_together_is_null_island(position: tuple[float, float]) -> None:
    assert reasons([RefFix(NOON, *position)]) == []


def test_null_island_is_told_even_of_a_fix_that_is_poor_too() -> None:
    assert reasons([RefFix(NOON, 0.0, 0.0, 5_000.0)]) == [(0, "null_island")]


# ---- accuracy


@pytest.mark.parametrize(
    ("acc_m", "expected"),
    [(None, []), (0.0, []), (100.0, []), (100.01, [(0, "poor_accuracy")])],
)
def test_an_accuracy_of_100_metres_or_none_will_do(
    acc_m: float | None, expected: list[tuple[float, str]]
) -> None:
    assert reasons([fix(0, 0, acc_m=acc_m)]) == expected


# ---- frozen


def test_a_position_that_repeats_while_the_odometer_runs_is_frozen() -> None:
    still = told([fix(10 * i, 0) for i in range(5)], [1_000, 1_060, 1_120, 1_180, 1_240])
    assert reasons(still) == [(20, "frozen"), (30, "frozen"), (40, "frozen")]


@pytest.mark.parametrize(("run_m", "expected"), [(100.0, []), (100.01, [(10, "frozen")])])
def test_100_metres_by_the_odometer_are_not_yet_frozen(
    run_m: float, expected: list[tuple[float, str]]
) -> None:
    assert reasons(told([fix(0, 0), fix(10, 0)], [1_000.0, 1_000.0 + run_m])) == expected


def test_a_van_that_stands_is_not_frozen_however_long() -> None:
    assert reasons(told([fix(60 * i, 0) for i in range(100)], [5_000.0] * 100)) == []


def test_without_an_odometer_nothing_is_frozen() -> None:
    assert reasons([fix(60 * i, 0) for i in range(100)]) == []
    assert reasons(told([fix(0, 0), fix(60, 0)], [1_000.0, None])) == []
    assert reasons(told([fix(0, 0), fix(60, 0)], [None, 9_000.0])) == []


def test_the_odometer_counts_since_the_position_was_first_told_with_one() -> None:
    fixes = told([fix(10 * i, 0) for i in range(4)], [None, 1_000.0, 1_100.0, 1_100.5])
    assert reasons(fixes) == [(30, "frozen")]


def test_a_position_in_another_last_digit_is_not_the_same() -> None:
    position = at(0)
    near = RefFix(NOON + 60_000, position[0] + 1e-9, position[1], odometer_m=9_000.0)
    assert reasons([replace(fix(0, 0), odometer_m=1_000.0), near]) == []


def test_a_position_that_comes_again_after_another_is_not_frozen() -> None:
    way = told([fix(0, 0), fix(60, 500), fix(120, 0)], [1_000.0, 1_500.0, 2_000.0])
    assert reasons(way) == []


def test_a_poor_fix_between_two_repeats_does_not_part_them() -> None:
    fixes = told([fix(0, 0), fix(10, 400, acc_m=200), fix(20, 0)], [1_000.0, 1_100.0, 1_200.0])
    assert reasons(fixes) == [(10, "poor_accuracy"), (20, "frozen")]


def test_the_first_fix_after_a_freeze_counts_again() -> None:
    frozen = told([fix(10 * i, 0) for i in range(3)], [1_000.0, 1_150.0, 1_300.0])
    after = replace(fix(30, 450), odometer_m=1_450.0)
    assert reasons([*frozen, after]) == [(10, "frozen"), (20, "frozen")]
    assert sifted([*frozen, after]).used[-1] == after.t_ms


def test_a_freeze_is_known_across_calls() -> None:
    van = Van()
    for one in told([fix(10 * i, 0) for i in range(4)], [None, 1_000.0, None, 1_200.0]):
        van.read([one])
    assert van.refused == [(NOON + 30_000, "frozen")]


# ---- jumps


def test_a_fix_too_far_from_both_its_neighbours_is_a_jump() -> None:
    way = road(6)
    way.insert(3, fix(25, 30_000))
    assert reasons(way) == [(25, "jump")]


def test_70_metres_a_second_are_no_jump_and_more_are() -> None:
    # 7,000 m there and back; the plane of `at` and the sphere differ by less than a metre.
    assert reasons([fix(0, 0), fix(100.1, 7_000), fix(200.2, 0)]) == []
    assert reasons([fix(0, 0), fix(99.9, 7_000), fix(199.8, 0)]) == [(99.9, "jump")]


def test_a_fix_too_far_from_one_neighbour_only_is_used() -> None:
    assert reasons([fix(0, 0), fix(10, 30_000), fix(20, 30_010)]) == []
    assert reasons([fix(0, 0), fix(10, 100), fix(20, 30_000), fix(30, 30_100)]) == []


def test_the_newest_fix_waits_while_it_is_too_far() -> None:
    van = sifted([fix(0, 0), fix(10, 30_000)])
    assert van.used == [NOON]
    assert van.held == [NOON + 10_000]
    assert van.refused == []
    van.read([fix(15, 30_000, acc_m=101), RefFix(NOON + 16_000, 0.0, 0.0)])
    assert van.held == [NOON + 10_000], "what cannot be used is no successor"
    van.read([fix(20, 30_010)])
    assert van.used == [NOON, NOON + 10_000, NOON + 20_000]
    assert van.held == []


def test_a_fix_that_waits_is_refused_when_its_successor_denies_it() -> None:
    van = sifted([fix(0, 0), fix(10, 30_000)])
    van.read([fix(20, 10)])
    assert van.refused == [(NOON + 10_000, "jump")]
    assert van.used == [NOON, NOON + 20_000]
    assert van.held == []


def test_of_two_jumps_in_a_row_at_one_place_the_place_is_believed() -> None:
    assert reasons([fix(0, 0), fix(10, 30_000), fix(20, 30_000), fix(30, 20)]) == []


def test_of_two_jumps_to_two_places_both_are_refused() -> None:
    fixes = [fix(0, 0), fix(10, 30_000), fix(20, -30_000), fix(30, 20)]
    assert reasons(fixes) == [(10, "jump"), (20, "jump")]


def test_a_jump_is_measured_from_the_last_usable_fix_not_from_the_jump_before() -> None:
    fixes = [fix(0, 0), fix(10, 30_000), fix(20, 100), fix(30, 30_100), fix(40, 200)]
    assert reasons(fixes) == [(10, "jump"), (30, "jump")]


def test_a_frozen_fix_is_no_neighbour_of_a_jump() -> None:
    there = told([fix(0, 0), fix(10, 0), fix(15, 30_000), fix(20, 20)], [0.0, 500.0, None, None])
    assert reasons(there) == [(10, "frozen"), (15, "jump")]


@pytest.mark.parametrize("latitude_deg", [0.0, 43.3, 60.2, 71.2])
@pytest.mark.parametrize("share", [0.999, 1.001])
@pytest.mark.parametrize("heading_deg", [0, 45, 90, 200, 315])
def test_the_estimate_that_spares_most_fixes_never_spares_a_jump(
    latitude_deg: float, share: float, heading_deg: float
) -> None:
    way_m = 70 * 90 * share
    degree_m = radians(EARTH_M)
    north = way_m * cos(radians(heading_deg)) / degree_m
    middle = latitude_deg + north / 2
    east = way_m * sin(radians(heading_deg)) / (degree_m * cos(radians(middle)))
    here, back = RefFix(NOON, latitude_deg, 10.0), RefFix(NOON + 180_000, latitude_deg, 10.0)
    there = RefFix(NOON + 90_000, latitude_deg + north, 10.0 + east)
    assert reasons([here, there, back]) == ([(90, "jump")] if share > 1 else [])


# ---- numbers


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(accuracy_m_max=30.0), {"poor_accuracy": 1}),
        (Rules(frozen_m=10.0), {"frozen": 1}),
        (Rules(speed_mps_max=10.0), {"jump": 1}),
        (USUAL, {}),
    ],
)
def test_the_numbers_are_those_of_the_rules(rules: Rules, expected: dict[str, int]) -> None:
    fixes = [
        replace(fix(0, 0), odometer_m=0.0),
        replace(fix(10, 0), odometer_m=50.0),
        fix(20, 100, acc_m=50.0),
        fix(25, 400),
        fix(30, 150),
    ]
    if "jump" in expected:
        fixes[2] = fix(20, 100)
    assert Counter(reason for _, reason in reasons(fixes, rules)) == expected


# ---- of everything


def test_each_fix_that_is_not_used_is_counted_under_its_reason() -> None:
    day = road(200, odometer_m=0.0)
    day[20] = RefFix(day[20].t_ms, 0.0, 0.0)
    day[40] = replace(day[40], accuracy_m=500.0)
    day[41] = replace(day[41], accuracy_m=101.0)
    for i in (60, 61, 62):
        day[i] = RefFix(day[i].t_ms, day[59].latitude_deg, day[59].longitude_deg,
                        odometer_m=day[i].odometer_m)  # fmt: skip
    for i in (80, 100, 120, 140):
        day[i] = RefFix(day[i].t_ms, *at(50_000, 9_000))
    van = sifted(day)
    assert Counter(reason for _, reason in van.refused) == {
        "null_island": 1,
        "poor_accuracy": 2,
        "frozen": 3,
        "jump": 4,
    }
    assert len(van.used) == 190


def test_what_was_given_is_not_changed() -> None:
    fixes = as_columns([*road(3), RefFix(NOON + 40_000, 0.0, 0.0), fix(50, 90_000)])
    before = [column.copy() for column in fixes.columns()]
    sift([FilterState()], Fleet.of([fixes]), USUAL)
    for column, as_it_was in zip(fixes.columns(), before, strict=True):
        assert column.tobytes() == as_it_was.tobytes()


def test_no_fixes_change_nothing() -> None:
    van = sifted([fix(0, 0), fix(10, 30_000)])
    before = msgspec.json.encode(van.state)
    van.read([])
    assert msgspec.json.encode(van.state) == before
    assert van.used == [NOON]


# ---- any cut into calls, any vans together


def of_tracks(data: st.DataObject) -> list[RefFix]:
    return data.draw(tracks(PLACES))


@settings(max_examples=300)
@given(st.data())
def test_one_call_uses_what_the_reference_uses(data: st.DataObject) -> None:
    sifted(of_tracks(data))


@settings(max_examples=300)
@given(st.data())
def test_any_cut_into_calls_uses_and_refuses_the_same_and_ends_alike(data: st.DataObject) -> None:
    fixes = of_tracks(data)
    whole = sifted(fixes)
    parts = Van()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(fixes)))) | {0, len(fixes)})
    for start, end in pairwise(cuts):
        parts.read(fixes[start:end])
    assert parts.used == whole.used
    assert sorted(parts.refused) == sorted(whole.refused)
    assert parts.state == whole.state


@settings(max_examples=200)
@given(st.data())
def test_vans_in_one_call_are_sifted_as_if_each_were_alone(data: st.DataObject) -> None:
    """Whatever their states are, and though some send nothing."""
    of_vans = [
        of_tracks(data) if data.draw(st.integers(0, 3)) else []
        for _ in range(data.draw(st.integers(1, 5)))
    ]
    alone = [Van() for _ in of_vans]
    together = [FilterState() for _ in of_vans]
    cuts = [data.draw(st.integers(0, len(fixes))) for fixes in of_vans]
    for half in (slice(None, 1), slice(1, None)):
        parts: list[list[RefFix]] = []
        for fixes, at_fix in zip(of_vans, cuts, strict=True):
            parts.append([*fixes[:at_fix]] if half.start is None else [*fixes[at_fix:]])
        usable, refused = sift(together, Fleet.of([as_columns(part) for part in parts]), USUAL)
        for i, (van, part) in enumerate(zip(alone, parts, strict=True)):
            used_before, refused_before = len(van.used), len(van.refused)
            van.read(part)
            own = slice(int(usable.starts[i]), int(usable.starts[i + 1]))
            assert usable.fixes.t_ms[own].tolist() == van.used[used_before:]
            assert refused[i] == van.refused[refused_before:]
    assert together == [van.state for van in alone]


def test_the_last_place_of_one_van_is_not_the_first_of_the_next() -> None:
    """One ends far from where the next begins, or exactly there with a greater odometer."""
    far = [road(3), [replace(f, t_ms=f.t_ms + 30_000) for f in [fix(0, 90_000), fix(10, 90_010)]]]
    same = [[replace(fix(0, 0), odometer_m=1.0)], [replace(fix(10, 0), odometer_m=9_999.0)]]
    for of_vans in (far, same):
        usable, refused = sift(
            [FilterState(), FilterState()], Fleet.of([as_columns(f) for f in of_vans]), USUAL
        )
        assert refused == [[], []]
        assert len(usable.fixes) == sum(map(len, of_vans))


@pytest.mark.parametrize("confirmed", [True, False])
def test_many_vans_that_wait_are_each_settled_by_their_own_successor(*, confirmed: bool) -> None:
    vans = 50
    states = [FilterState() for _ in range(vans)]

    def call(of_van: list[list[RefFix]]) -> tuple[Fleet, list[list[Refusal]]]:
        return sift(states, Fleet.of([as_columns(fixes) for fixes in of_van]), USUAL)

    call([[fix(i / 100, 0), fix(10 + i / 100, 30_000)] for i in range(vans)])
    assert all(state.held is not None for state in states)
    east_m = 30_000 if confirmed else 0
    # Every third van is silent and goes on waiting.
    usable, refused = call([[fix(20, east_m)] if i % 3 else [] for i in range(vans)])
    for i, state in enumerate(states):
        assert (state.held is not None) is (i % 3 == 0)
        waited = NOON + 10_000 + 10 * i
        heard = i % 3 != 0
        assert refused[i] == ([(waited, "jump")] if heard and not confirmed else [])
        own = usable.fixes.t_ms[usable.starts[i] : usable.starts[i + 1]].tolist()
        expected = [waited, NOON + 20_000] if confirmed else [NOON + 20_000]
        assert own == (expected if heard else [])


def test_a_fix_that_waited_keeps_all_that_it_said() -> None:
    state = FilterState()
    waiting = replace(fix(10, 30_000, ignition=False), odometer_m=4_321.5)
    sift([state], Fleet.of([as_columns([fix(0, 0), waiting])]), USUAL)
    usable, _ = sift([state], Fleet.of([as_columns([fix(20, 30_000)])]), USUAL)
    found: Fixes = usable.fixes
    assert found.t_ms.tolist() == [NOON + 10_000, NOON + 20_000]
    assert (found.latitude_deg[0], found.longitude_deg[0]) == at(30_000)
    assert (found.ignition[0], found.odometer_m[0]) == (0, 4_321.5)
