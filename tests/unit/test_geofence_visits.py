"""Runs and verdicts: one example a rule, and random tracks against a slow reading of DESIGN.md."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, product
from math import cos, nan, radians, sin

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import Fences, Site
from geofence.fixes import Fix, Fixes
from geofence.reread import copied
from geofence.rules import USUAL
from geofence.usable import FilterState
from geofence.visits import Judged, Reading, Run, State, advance, judge
from tests.unit import reference_visits
from tests.unit.reference_visits import Place, RefFix, RefRun

NOON = 1_790_000_000_000
HERE = (48.1, 11.5)
VAN, OTHER_VAN = 7, 8


def at(east_m: float, north_m: float = 0.0) -> tuple[float, float]:
    """Return the position that lies so many metres from HERE."""
    degree_m = radians(reference_visits.EARTH_M)
    return HERE[0] + north_m / degree_m, HERE[1] + east_m / (degree_m * cos(radians(HERE[0])))


def place(site_id: int, east_m: float = 0.0, north_m: float = 0.0, radius_m: float = 80.0) -> Place:
    return Place(site_id, *at(east_m, north_m), radius_m)


def fix(
    t_s: float,
    east_m: float,
    north_m: float = 0.0,
    acc_m: float | None = None,
    *,
    ignition: bool | None = None,
) -> RefFix:
    return RefFix(NOON + round(t_s * 1_000), *at(east_m, north_m), acc_m, ignition)


def fences_of(places: Iterable[Place]) -> Fences:
    return Fences([Site(p.site_id, 1, p.latitude_deg, p.longitude_deg, p.circle_m) for p in places])


def as_columns(fixes: Sequence[RefFix]) -> Fixes:
    return Fixes(
        np.array([f.t_ms for f in fixes], dtype=np.int64),
        np.array([f.latitude_deg for f in fixes], dtype=np.float64),
        np.array([f.longitude_deg for f in fixes], dtype=np.float64),
        np.array([nan if f.accuracy_m is None else f.accuracy_m for f in fixes], dtype=np.float64),
        np.array([-1 if f.ignition is None else int(f.ignition) for f in fixes], dtype=np.int8),
        np.array([nan if f.odometer_m is None else f.odometer_m for f in fixes], dtype=np.float64),
    )


def never(_site_id: int, _t_ms: int) -> bool:
    return False


def always(_site_id: int, _t_ms: int) -> bool:
    return True


class Engine:
    """One van read call by call; what it has said last of each run is what a table would hold."""

    def __init__(self, places: Sequence[Place], planned: reference_visits.Planned = never) -> None:
        self.fences = fences_of(places)
        self.planned = planned
        self.state = State()
        self.table: dict[tuple[int, int], RefRun] = {}

    def read(self, fixes: Sequence[RefFix]) -> None:
        self.state = msgspec.json.decode(msgspec.json.encode(self.state), type=State)
        (account,) = advance([Reading(1, self.state, as_columns(fixes))], self.fences)
        for cluster in account.clusters:
            for judged in judge(
                cluster, lambda run: self.planned(run.site_id, run.arrived_at), USUAL
            ):
                self.table[judged.run.site_id, judged.run.arrived_at] = as_row(judged)

    def rows(self) -> list[RefRun]:
        return in_order(self.table.values())


def as_row(judged: Judged) -> RefRun:
    run = judged.run
    is_closed = run.closed_by is not None
    return RefRun(
        run.site_id,
        run.arrived_at,
        run.last_inside_at,
        run.left_at if is_closed else None,
        run.closed_by,
        run.ignition_off,
        run.centre_m_mean,
        judged.verdict,
        is_closed and judged.uncertain,
        judged.shadowed_by,
    )


def in_order(rows: Iterable[RefRun]) -> list[RefRun]:
    return sorted(rows, key=lambda row: (row.arrived_at, row.site_id))


def read(
    fixes: Sequence[RefFix],
    places: Sequence[Place] = (place(1),),
    planned: reference_visits.Planned = never,
) -> list[RefRun]:
    """Return the runs of one pass over the fixes, which the reference must confirm."""
    engine = Engine(places, planned)
    engine.read(fixes)
    assert engine.rows() == in_order(reference_visits.runs(fixes, places, planned))
    return engine.rows()


def seconds(t_ms: int | None) -> float | None:
    return None if t_ms is None else (t_ms - NOON) / 1_000


def times(run: RefRun) -> tuple[float | None, ...]:
    """Return arrival, last inside, left and proof in seconds."""
    return tuple(
        seconds(t) for t in (run.arrived_at, run.last_inside_at, run.left_at, run.closed_by)
    )


# Around a site of 80 m: inside to 80, within the bound to 105, three radii at 240.
INSIDE, BOUND, OUTSIDE, FAR = 10.0, 95.0, 150.0, 700.0


# ---- the table of runs, cell by cell


def test_none_and_a_fix_inside_opens() -> None:
    assert [times(run) for run in read([fix(0, INSIDE)])] == [(0, 0, None, None)]


@pytest.mark.parametrize("east_m", [BOUND, OUTSIDE, FAR])
def test_none_and_a_fix_not_inside_opens_nothing(east_m: float) -> None:
    assert read([fix(0, east_m), fix(30, east_m)]) == []


@pytest.mark.parametrize("east_m", [INSIDE, BOUND])
def test_open_and_a_fix_inside_or_within_the_bound_continues(east_m: float) -> None:
    runs = read([fix(0, INSIDE), fix(30, east_m)])
    assert [times(run) for run in runs] == [(0, 30, None, None)]


def test_open_and_a_fix_outside_is_no_departure_yet() -> None:
    runs = read([fix(0, INSIDE), fix(30, OUTSIDE)])
    assert [times(run) for run in runs] == [(0, 0, None, None)]


@pytest.mark.parametrize("east_m", [INSIDE, BOUND])
@pytest.mark.parametrize("back_s", [5, 59.999])
def test_left_and_back_within_60_seconds_continues_the_run(east_m: float, back_s: float) -> None:
    runs = read([fix(0, INSIDE), fix(30, OUTSIDE), fix(30 + back_s, east_m)])
    assert [times(run) for run in runs] == [(0, 30 + back_s, None, None)]


@pytest.mark.parametrize("back_s", [60, 600])
def test_left_and_inside_after_60_seconds_closes_and_opens(back_s: float) -> None:
    back = 30 + back_s
    runs = read([fix(0, INSIDE), fix(30, OUTSIDE), fix(back, INSIDE)])
    assert [times(run) for run in runs] == [(0, 0, 30, back), (back, back, None, None)]


def test_left_and_within_the_bound_after_60_seconds_closes_only() -> None:
    runs = read([fix(0, INSIDE), fix(30, OUTSIDE), fix(90, BOUND), fix(100, BOUND)])
    assert [times(run) for run in runs] == [(0, 0, 30, 90)]


def test_left_and_outside_after_60_seconds_closes() -> None:
    runs = read([fix(0, INSIDE), fix(30, OUTSIDE), fix(90, OUTSIDE)])
    assert [times(run) for run in runs] == [(0, 0, 30, 90)]


def test_left_and_beyond_three_radii_closes_at_once() -> None:
    runs = read([fix(0, INSIDE), fix(30, OUTSIDE), fix(40, FAR)])
    assert [times(run) for run in runs] == [(0, 0, 30, 40)]


def test_left_and_still_near_within_60_seconds_waits() -> None:
    runs = read([fix(0, INSIDE), fix(30, OUTSIDE), fix(89, OUTSIDE)])
    assert [times(run) for run in runs] == [(0, 0, None, None)]


def test_the_first_fix_beyond_three_radii_is_not_yet_a_departure() -> None:
    runs = read([fix(0, INSIDE), fix(30, FAR), fix(40, INSIDE)])
    assert [times(run) for run in runs] == [(0, 40, None, None)]


def test_a_closed_run_stays_closed_and_the_next_stay_is_another() -> None:
    runs = read([fix(0, INSIDE), fix(30, FAR), fix(40, FAR), fix(60, INSIDE), fix(70, INSIDE)])
    assert [times(run) for run in runs] == [(0, 0, 30, 40), (60, 70, None, None)]


# ---- verdicts


def stay(dwell_s: float, *, closed: bool, ignition: bool | None = None) -> list[RefFix]:
    after = [fix(dwell_s + 30, FAR), fix(dwell_s + 60, FAR)] if closed else []
    return [fix(0, INSIDE), fix(dwell_s, INSIDE, ignition=ignition), *after]


@pytest.mark.parametrize(
    ("fixes", "planned", "verdict"),
    [
        (stay(60, closed=True), always, "visit"),
        (stay(59.999, closed=True), always, "pass"),
        (stay(60, closed=False), always, "visit"),
        (stay(59.999, closed=False), always, "undecided"),
        (stay(180, closed=True), never, "visit"),
        (stay(179.999, closed=True), never, "pass"),
        (stay(180, closed=False), never, "visit"),
        (stay(179.999, closed=False), never, "undecided"),
        (stay(1, closed=True, ignition=False), never, "visit"),
        (stay(1, closed=False, ignition=False), never, "visit"),
        (stay(1, closed=True, ignition=True), never, "pass"),
    ],
)
def test_a_run_is_a_visit_by_dwell_at_a_stop_by_ignition_or_by_dwell_anywhere(
    fixes: list[RefFix], planned: reference_visits.Planned, verdict: str
) -> None:
    assert [run.verdict for run in read(fixes, planned=planned)] == [verdict]


def test_ignition_off_in_the_margin_is_no_visit() -> None:
    fixes = [fix(0, INSIDE), fix(10, BOUND, ignition=False), fix(40, FAR), fix(70, FAR)]
    assert [(run.verdict, run.ignition_off) for run in read(fixes)] == [("pass", False)]


def test_ignition_off_in_a_fix_that_cannot_be_used_is_no_visit() -> None:
    fixes = [fix(0, INSIDE), fix(10, INSIDE, acc_m=101, ignition=False), fix(40, INSIDE)]
    assert [run.verdict for run in read(fixes)] == ["undecided"]


def test_a_drive_by_is_a_pass() -> None:
    fixes = [fix(t, -900 + 15 * t) for t in range(0, 121, 5)]
    assert [run.verdict for run in read(fixes, planned=always)] == ["pass"]


def test_flapping_at_the_border_gives_one_run() -> None:
    fixes = [fix(20 * i, (70.0, 90.0, 78.0, 110.0)[i % 4]) for i in range(90)]
    runs = read(fixes)
    assert [(run.verdict, seconds(run.arrived_at)) for run in runs] == [("visit", 0)]


def test_leaving_and_coming_back_within_60_seconds_is_one_run() -> None:
    fixes = [fix(0, INSIDE), fix(200, INSIDE), fix(210, OUTSIDE), fix(230, OUTSIDE)]
    fixes += [fix(265, INSIDE), fix(400, INSIDE), fix(430, FAR), fix(460, FAR)]
    assert [times(run) for run in read(fixes)] == [(0, 400, 430, 460)]


@pytest.mark.parametrize(("gap_s", "uncertain"), [(300, False), (300.001, True)])
def test_a_gap_of_more_than_five_minutes_before_leaving_is_uncertain(
    gap_s: float,
    uncertain: bool,  # noqa: FBT001
) -> None:
    fixes = [fix(0, INSIDE), fix(200, INSIDE), fix(200 + gap_s, FAR), fix(230 + gap_s, FAR)]
    assert [run.uncertain for run in read(fixes)] == [uncertain]


# ---- which fixes count


@pytest.mark.parametrize(("acc_m", "counts"), [(None, True), (100, True), (100.1, False)])
def test_a_fix_counts_if_its_accuracy_is_100_metres_or_unknown(
    acc_m: float | None,
    counts: bool,  # noqa: FBT001
) -> None:
    assert len(read([fix(0, INSIDE, acc_m=acc_m)])) == counts


def test_a_fix_at_null_island_does_not_count() -> None:
    there = RefFix(NOON, 0.0, 0.0)
    assert read([there, fix(1, INSIDE)], [Place(2, 0.0, 0.0, 100.0), place(1)]) != []
    assert read([there], [Place(2, 0.0, 0.0, 100.0)]) == []


def test_a_jump_is_not_an_arrival() -> None:
    road = [fix(10 * i, 20_000 + 100 * i) for i in range(6)]
    jump = fix(25, INSIDE, ignition=False)
    assert read([*road[:3], jump, *road[3:]]) == []


def test_a_jump_is_not_a_departure() -> None:
    stay = [fix(10 * i, INSIDE) for i in range(30)]
    away = [replace(fix(10 * i + 5, 30_000), t_ms=NOON + 10_000 * i + 5_000) for i in (3, 7)]
    fixes = sorted([*stay, *away], key=lambda f: f.t_ms)
    assert [times(run) for run in read(fixes)] == [(0, 290, None, None)]


def test_a_place_reached_too_fast_counts_once_the_next_fix_confirms_it() -> None:
    fixes = [fix(0, 30_000), fix(10, INSIDE), fix(20, INSIDE)]
    assert [times(run) for run in read(fixes)] == [(10, 20, None, None)]


def test_70_metres_a_second_are_not_too_fast() -> None:
    fixes = [fix(0, 7_000), fix(100.1, INSIDE)]
    assert [times(run) for run in read(fixes)] == [(100.1, 100.1, None, None)]


def test_the_newest_fix_is_held_while_it_is_too_far() -> None:
    engine = Engine([place(1)])
    engine.read([fix(0, 30_000)])
    engine.read([fix(10, INSIDE)])
    assert engine.rows() == []
    assert engine.state.filter.held is not None
    engine.read([fix(15, INSIDE, acc_m=500)])
    assert engine.state.filter.held is not None, "what cannot be used confirms nothing"
    engine.read([fix(20, INSIDE)])
    assert [times(run) for run in engine.rows()] == [(10, 20, None, None)]
    assert engine.state.filter.held is None


def test_a_held_fix_that_its_successor_denies_is_forgotten() -> None:
    engine = Engine([place(1)])
    for call in ([fix(0, 30_000)], [fix(10, INSIDE)], [fix(20, 30_000)], [fix(30, 30_000)]):
        engine.read(call)
    assert engine.rows() == []
    assert engine.state.filter.held is None


# ---- several sites


def test_the_planned_site_of_two_that_overlap_is_the_visit() -> None:
    near, planned = place(1, 0), place(2, 60)
    runs = read(
        [fix(20 * i, 5) for i in range(20)], [near, planned], lambda site_id, _: site_id == 2
    )
    assert [(run.site_id, run.verdict, run.shadowed_by) for run in runs] == [
        (1, "visit", 2),
        (2, "visit", None),
    ]


@pytest.mark.parametrize("planned", [never, always])
def test_the_nearer_site_of_two_equals_is_the_visit(planned: reference_visits.Planned) -> None:
    runs = read([fix(20 * i, 20) for i in range(20)], [place(1, 60), place(2, 0)], planned)
    assert [(run.site_id, run.shadowed_by) for run in runs] == [(1, 2), (2, None)]


def test_a_pass_shadows_nothing_and_is_not_shadowed() -> None:
    fixes = [fix(0, 0), *[fix(20 * i, 100) for i in range(1, 20)]]
    runs = read(fixes, [place(1, 0, radius_m=60.0), place(2, 100, radius_m=110.0)])
    assert [(run.site_id, run.verdict, run.shadowed_by) for run in runs] == [
        (1, "pass", None),
        (2, "visit", None),
    ]


def test_what_is_shadowed_shadows_nobody() -> None:
    """Three in a chain, each farther off than the one before; the first and the last do not meet."""
    chain = [place(1, 0, 0, 50.0), place(2, 150, 0, 300.0), place(3, 400, 0, 200.0)]
    fixes = [fix(20 * i, 5) for i in range(20)] + [fix(400 + 20 * i, 240) for i in range(20)]
    runs = read(fixes, chain)
    assert [(run.site_id, run.shadowed_by) for run in runs] == [(1, None), (2, 1), (3, None)]


def test_runs_one_after_the_other_do_not_overlap() -> None:
    fixes = [fix(20 * i, 0) for i in range(15)] + [fix(300 + 20 * i, 700) for i in range(15)]
    runs = read(fixes, [place(1, 0), place(2, 700)])
    assert [(run.verdict, run.shadowed_by) for run in runs] == [("visit", None)] * 2


def test_a_closed_run_is_told_again_while_another_of_its_cluster_is_open() -> None:
    """A later fix can still decide which of two overlapping runs is the visit."""
    small, large = place(1, 0, 0, 40.0), place(2, 100, 0, 300.0)
    engine = Engine([small, large])
    first = [fix(20 * i, -20) for i in range(15)] + [fix(300, 250), fix(320, 250)]
    engine.read(first)
    assert {run.site_id: run.shadowed_by for run in engine.rows()} == {1: None, 2: 1}
    later = [fix(340 + 20 * i, 100) for i in range(120)]
    engine.read(later)
    expected = in_order(reference_visits.runs([*first, *later], [small, large], never))
    assert engine.rows() == expected
    assert {run.site_id: run.shadowed_by for run in expected[:2]} == {1: 2, 2: None}


def test_vans_read_in_one_call_do_not_mix() -> None:
    mine = [fix(30 * i, INSIDE) for i in range(10)]
    others = [fix(30 * i + 1, 700) for i in range(10)]
    fences = fences_of([place(1), place(2, 700)])
    readings = [Reading(1, State(), as_columns(mine)), Reading(1, State(), as_columns(others))]
    accounts = advance(readings, fences)
    assert [[run.site_id for [run] in account.clusters] for account in accounts] == [[1], [2]]


def test_sites_of_another_organisation_do_not_exist() -> None:
    reading = Reading(2, State(), as_columns([fix(30 * i, INSIDE) for i in range(10)]))
    (account,) = advance([reading], fences_of([place(1)]))
    assert account.clusters == []


def test_a_van_without_usable_fixes_touches_nothing_and_keeps_its_state() -> None:
    run = Run(1, NOON, NOON, fixes=1)
    state = State(FilterState(Fix(NOON, *HERE)), [run])
    before = copied(state)
    (account,) = advance(
        [Reading(1, state, as_columns([fix(30, INSIDE, acc_m=500)]))], fences_of([place(1)])
    )
    assert account.clusters == []
    assert account.refused == [(NOON + 30_000, "poor_accuracy")]
    assert state == before


# ---- random tracks

PLACES = [
    place(1, 0, 0, 60.3),
    place(2, 90.7, 20.1, 80.9),  # overlaps 1
    place(3, 900, 0, 150.7),
    place(4, 3, 5, 10.3),  # within 1; its bound reaches beyond three of its radii
    place(5, 1_150, 60, 400.9),  # overlaps 3
]

#: Where a fix lies: so many radii from a site's point, and metres on top.
ZONES = [(0.0, 0.1), (0.6, 0.2), (0.97, 0), (1.03, 0), (1.0, 24.3), (1.25, -0.7), (1.25, 3.1),
         (1.0, 26.9), (2.5, 1.3), (3.1, 31.7), (7.3, 2.9)]  # fmt: skip

PAUSES_S = [1, 5, 15, 29.9, 30, 59.999, 60, 60.001, 100, 120, 180, 300.1, 400]


# Made once, and few draws a fix: making strategies and drawing took longer than what is tested.
lengths = st.integers(1, 40)
KINDS = ["move"] * 6 + ["stay"] * 5 + ["jump", "poor", "zero"]
steps = st.sampled_from(list(product(KINDS, PAUSES_S)))
ways = st.sampled_from(list(product(ZONES, [0.1, 1.3, 2.2, 3.0, 4.1, 5.9])))
#: Accuracy, ignition, whether the odometer is told.
receptions = st.sampled_from(
    list(product([None, 5.0, 100.0], [None] * 12 + [True, False], [True, True, False]))
)
metres_driven = st.sampled_from([0.0, 40.0, 101.0])


@st.composite
def tracks(draw: st.DrawFn, places: Sequence[Place]) -> list[RefFix]:
    """Return fixes of one van: it dwells in zones of the sites, jumps, and is badly received."""
    t_ms, made = NOON, []
    where = at(5_000.0)
    odometer_m = 1_000.0
    sites = st.sampled_from(places)
    for _ in range(draw(lengths)):
        kind, pause_s = draw(steps)
        t_ms += round(pause_s * 1_000)
        if kind == "move":
            site = draw(sites)
            (radii, metres), angle = draw(ways)
            way = radii * site.circle_m + metres
            east = (site.longitude_deg - HERE[1]) * radians(reference_visits.EARTH_M)
            north = (site.latitude_deg - HERE[0]) * radians(reference_visits.EARTH_M)
            where = at(east * cos(radians(HERE[0])) + way * cos(angle), north + way * sin(angle))
        position = {"jump": at(21_003.3, 17.7), "zero": (0.0, 0.0)}.get(kind, where)
        accuracy_m, ignition, tells = draw(receptions)
        if kind == "poor":
            accuracy_m = 100.5
        # A van that stays while its odometer runs has a frozen receiver.
        odometer_m += draw(metres_driven) if kind in {"stay", "move"} else 0
        made.append(RefFix(t_ms, *position, accuracy_m, ignition, odometer_m if tells else None))
    return made


chosen_places = st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True)
plans: st.SearchStrategy[Callable[[int, int], bool]] = st.frozensets(st.integers(1, 5)).map(
    lambda planned: lambda site_id, _t: site_id in planned
)


@settings(max_examples=300)
@given(st.data())
def test_one_pass_says_what_the_reference_says(data: st.DataObject) -> None:
    places = data.draw(chosen_places)
    read(data.draw(tracks(places)), places, data.draw(plans))


@settings(max_examples=300)
@given(st.data())
def test_no_cut_into_calls_changes_what_is_said(data: st.DataObject) -> None:
    places, planned = data.draw(chosen_places), data.draw(plans)
    fixes = data.draw(tracks(places))
    one_pass = read(fixes, places, planned)
    engine = Engine(places, planned)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(fixes)))) | {0, len(fixes)})
    for start, end in pairwise(cuts):
        engine.read(fixes[start:end])
    assert engine.rows() == one_pass


@settings(max_examples=150)
@given(st.data())
def test_a_call_for_each_fix_leaves_the_state_of_one_pass(data: st.DataObject) -> None:
    places = data.draw(chosen_places)
    fixes = data.draw(tracks(places))
    whole, single = Engine(places), Engine(places)
    whole.read(fixes)
    for one in fixes:
        single.read([one])
    assert single.state == whole.state


@settings(max_examples=150)
@given(st.data())
def test_a_state_from_before_a_late_fix_gives_what_one_pass_gives(data: st.DataObject) -> None:
    """Read all but one fix, go back to the state before it, read the rest again."""
    places, planned = data.draw(chosen_places), data.draw(plans)
    fixes = data.draw(tracks(places))
    late = data.draw(st.integers(0, len(fixes) - 1))
    before = Engine(places, planned)
    before.read(fixes[:late])
    said = before.rows()
    again = Engine(places, planned)
    again.state, again.table = before.state, {(r.site_id, r.arrived_at): r for r in said}
    again.read(fixes[late:])
    assert again.rows() == read(fixes, places, planned)
