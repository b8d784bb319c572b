"""Fixes of one van, in the order of their own times, become runs inside sites, and runs are judged.

A fold: `advance` takes the state of a van and the fixes that follow, and gives the next state and
every run that they opened, continued or closed. The state after a set of fixes does not depend on how the set was cut into calls, and a fix
that comes late is handled by folding again from an earlier state: what it says of a set of fixes is
always what one pass in order says of it.

*Usable* fixes. Accuracy 100 m or better, or unknown; not at (0, 0); no jump. A jump needs more than
70 m/s both from the usable fix before and to the fix after it. A fix that is that far from the one
before is therefore *held* until its successor shows which of the two it is.

*Runs.* Each site on its own:

| run    | fix inside                  | fix within the bound | fix outside                        |
| ------ | --------------------------- | -------------------- | ---------------------------------- |
| none   | open                        | -                    | -                                  |
| open   | continue                    | continue             | leave: `left_at` is this fix       |
| left   | < 60 s: continue            | < 60 s: continue     | >= 60 s or beyond 3 radii: close   |
|        | >= 60 s: close, then open   | >= 60 s: close       | else: -                            |

The fix that proves a departure is `closed_by`: nothing later can change the run.

*Verdicts.* A run is a visit if it dwelt 60 s at a planned stop, or the ignition was off inside, or
it dwelt 180 s anywhere. Closed without that it is a pass; still open, undecided. Of visits that
overlap in time the planned one stands, then the one nearer on average; the others are shadowed.

It knows nothing of the database, of the present, or of what was planned when: that is asked.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NewType

import msgspec
import numpy as np

from geofence.fences import Fences, distance_m
from geofence.fixes import IGNITION_OFF, Fix, Fixes

VanId = NewType("VanId", int)
Verdict = Literal["visit", "pass", "undecided"]

ACCURACY_M_MAX: Final = 100.0
SPEED_MPS_MAX: Final = 70.0
BACK_WITHIN_MS: Final = 60_000
DWELL_PLANNED_MS: Final = 60_000
DWELL_ANYWHERE_MS: Final = 180_000
UNCERTAIN_MS: Final = 300_000
THREE_RADII: Final = 2.0  # outside the shape by two radii is three from its centre


class Run(msgspec.Struct, array_like=True):
    """A stay inside one site: open while `closed_by` is None. Times are ms since 1970 UTC."""

    site_id: int
    arrived_at: int
    last_inside_at: int
    left_at: int | None = None
    closed_by: int | None = None
    ignition_off: bool = False
    fixes: int = 0
    centre_m_sum: float = 0.0

    @property
    def dwell_ms(self) -> int:
        """Time from the first fix inside to the last within the bound."""
        return self.last_inside_at - self.arrived_at

    @property
    def centre_m_mean(self) -> float:
        """Mean distance to the site's point, m."""
        return self.centre_m_sum / self.fixes


class State(msgspec.Struct):
    """What must be remembered of a van between two calls.

    Attributes:
        previous: The newest usable fix.
        held: A fix too far from `previous`, until its successor comes.
        cluster: The runs that are open, and those closed since one of them opened.
    """

    previous: Fix | None = None
    held: Fix | None = None
    cluster: list[Run] = []


class Reading(msgspec.Struct, frozen=True):
    """What has to be read for one van.

    Attributes:
        state: Where the fold goes on from.
        fixes: What it reads.
        rewritten_since: Set if it reads again: everything after this time is judged anew.
    """

    state: State
    fixes: Fixes
    rewritten_since: int | None


class Judged(msgspec.Struct, frozen=True):
    """A run with what it is."""

    run: Run
    verdict: Verdict
    shadowed_by: int | None

    @property
    def uncertain(self) -> bool:
        """Whether nobody can say within 5 minutes when it ended."""
        run = self.run
        return run.left_at is not None and run.left_at - run.last_inside_at > UNCERTAIN_MS


Planned = Callable[[Run], bool]


Clusters = list[list[Run]]
Nearby = dict[int, tuple[float, float]]
"""The sites whose bound holds a fix: site_id -> (outside_m, centre_m)."""


def advance(
    readings: Mapping[int, Reading], fences: Fences, organisation_of: Mapping[int, int]
) -> dict[int, Clusters]:
    """Fold fixes into the states of many vans and return the clusters of runs that they touched.

    A cluster holds runs that may overlap: it ends when no run is open. Clusters of a van come
    oldest first; a van without any is left out. The states are changed in place.

    Args:
        readings: By van: what `advance` left behind for its earlier fixes, and those that follow.
        fences: All sites.
        organisation_of: By van; sites of other organisations do not exist for it.
    """
    usable = {van: _take_usable(reading) for van, reading in readings.items()}
    near = iter(_near(usable, fences, organisation_of))
    touched: dict[int, Clusters] = {}
    for van, fixes in usable.items():
        clusters = _fold(readings[van].state, fixes, [next(near) for _ in fixes], fences)
        if clusters:
            touched[van] = clusters
    return touched


def _fold(state: State, usable: list[Fix], near: list[Nearby], fences: Fences) -> Clusters:
    touched = [state.cluster] if state.cluster and usable else []
    for fix, nearby in zip(usable, near, strict=True):
        if not nearby and not state.cluster:
            continue
        if not state.cluster:
            state.cluster = []
            touched.append(state.cluster)
        _step(state.cluster, fix, nearby, fences)
        if all(run.closed_by is not None for run in state.cluster):
            if not state.cluster:
                touched.pop()
            state.cluster = []
    return touched


def judge(cluster: Iterable[Run], planned: Planned) -> list[Judged]:
    """Return each run of a cluster with its verdict, overlaps settled."""
    verdicts = [(run, _verdict(run, is_planned=planned(run))) for run in cluster]
    ranked = sorted(
        (run for run, verdict in verdicts if verdict == "visit"),
        key=lambda run: (not planned(run), run.centre_m_mean, run.site_id, run.arrived_at),
    )
    standing: list[Run] = []
    shadows: dict[int, int] = {}
    for run in ranked:
        over = next((s for s in standing if _overlap(s, run)), None)
        if over is None:
            standing.append(run)
        else:
            shadows[id(run)] = over.site_id
    return [Judged(run, verdict, shadows.get(id(run))) for run, verdict in verdicts]


def _verdict(run: Run, *, is_planned: bool) -> Verdict:
    enough_ms = DWELL_PLANNED_MS if is_planned else DWELL_ANYWHERE_MS
    if run.ignition_off or run.dwell_ms >= enough_ms:
        return "visit"
    return "undecided" if run.closed_by is None else "pass"


def _overlap(a: Run, b: Run) -> bool:
    return a.arrived_at <= b.last_inside_at and b.arrived_at <= a.last_inside_at


def _take_usable(reading: Reading) -> list[Fix]:
    """Return the fixes that can be used now; the state keeps the newest, and the one held."""
    state = reading.state
    held = [state.held] if state.held else []
    usable, state.held = _without_jumps(
        state.previous, [*held, *_usable_but_for_jumps(reading.fixes)]
    )
    if usable:
        state.previous = usable[-1]
    return usable


def _usable_but_for_jumps(fixes: Fixes) -> list[Fix]:
    poor = fixes.accuracy_m > ACCURACY_M_MAX  # False where unknown: NaN compares so
    zero = (fixes.latitude_deg == 0) & (fixes.longitude_deg == 0)
    kept = ~(poor | zero)
    columns = (fixes.t_ms, fixes.latitude_deg, fixes.longitude_deg, fixes.ignition)
    return [Fix(*row) for row in zip(*(column[kept].tolist() for column in columns), strict=True)]


def _without_jumps(previous: Fix | None, candidates: list[Fix]) -> tuple[list[Fix], Fix | None]:
    """Return the usable fixes of `candidates`, and the last one if it must still be held."""
    usable: list[Fix] = []
    held: Fix | None = None
    for fix in candidates:
        if held is not None and not _too_fast(held, fix):
            usable.append(held)
            previous = held
        held = None
        if previous is not None and _too_fast(previous, fix):
            held = fix
            continue
        usable.append(fix)
        previous = fix
    return usable, held


def _too_fast(a: Fix, b: Fix) -> bool:
    way_m = distance_m(a.latitude_deg, a.longitude_deg, b.latitude_deg, b.longitude_deg)
    return way_m * 1_000 > SPEED_MPS_MAX * (b.t_ms - a.t_ms)


def _near(
    usable: Mapping[int, list[Fix]], fences: Fences, organisation_of: Mapping[int, int]
) -> list[Nearby]:
    """Return for each fix, van by van, the sites whose bound holds it. One query for all."""
    rows = [
        (fix.latitude_deg, fix.longitude_deg, organisation_of[van])
        for van, fixes in usable.items()
        for fix in fixes
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    found = fences.near(table[:, 0], table[:, 1], table[:, 2].astype(np.int64))
    near: list[Nearby] = [{} for _ in rows]
    pairs = zip(
        found.fix.tolist(),
        found.site.tolist(),
        found.outside_m.tolist(),
        found.centre_m.tolist(),
        strict=True,
    )
    for i, site, outside_m, centre_m in pairs:
        near[i][fences.sites[site].site_id] = (outside_m, centre_m)
    return near


def _step(cluster: list[Run], fix: Fix, near: Nearby, fences: Fences) -> None:
    """Apply one fix to every run of a cluster by the table above, then open what it enters."""
    opened = set()
    for run in cluster:
        if run.closed_by is not None:
            continue
        opened.add(run.site_id)
        if run.left_at is not None and fix.t_ms - run.left_at >= BACK_WITHIN_MS:
            run.closed_by = fix.t_ms
            opened.remove(run.site_id)
        elif run.site_id in near:
            run.left_at = None
            _continue(run, fix, *near[run.site_id])
        elif run.left_at is None:
            run.left_at = fix.t_ms
        elif _beyond_three_radii(run.site_id, fix, fences):
            run.closed_by = fix.t_ms
            opened.remove(run.site_id)
    for site_id, (outside_m, centre_m) in sorted(near.items()):
        if outside_m <= 0 and site_id not in opened:
            run = Run(site_id, fix.t_ms, fix.t_ms)
            _continue(run, fix, outside_m, centre_m)
            cluster.append(run)


def _continue(run: Run, fix: Fix, outside_m: float, centre_m: float) -> None:
    run.last_inside_at = fix.t_ms
    run.fixes += 1
    run.centre_m_sum += centre_m
    run.ignition_off |= outside_m <= 0 and fix.ignition == IGNITION_OFF


def _beyond_three_radii(site_id: int, fix: Fix, fences: Fences) -> bool:
    site = fences.index_of[site_id]
    outside_m, _ = fences.measure(
        np.array([site]), np.array([fix.latitude_deg]), np.array([fix.longitude_deg])
    )
    return bool(outside_m[0] > THREE_RADII * fences.radius_m[site])
