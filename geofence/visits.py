"""Fixes of one van, in the order of their own times, become runs inside sites, and runs are judged.

A fold: `advance(state, fixes)` gives the next state and every run that it opened, continued or
closed. The state after a set of fixes does not depend on how the set was cut into calls, and a fix
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

from collections.abc import Callable, Iterable
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


def advance(state: State, fixes: Fixes, fences: Fences, organisation: int) -> list[list[Run]]:
    """Fold fixes into `state` and return the clusters of runs that they touched, oldest first.

    A cluster holds runs that may overlap: it ends when no run is open. `state` is changed in place.

    Args:
        state: What `advance` left behind for every earlier fix of this van.
        fixes: The fixes that follow, in the order of time.
        fences: All sites.
        organisation: The van's; sites of others do not exist for it.
    """
    candidates = _usable_but_for_jumps(fixes)
    order = [*([state.held] if state.held else []), *candidates]
    usable, state.held = _without_jumps(state.previous, order)
    touched = [state.cluster] if state.cluster else []
    if not usable:
        return touched
    state.previous = usable[-1]
    near = _near(usable, fences, organisation)
    for i, fix in enumerate(usable):
        if not near[i] and not state.cluster:
            continue
        if not state.cluster:
            state.cluster = []
            touched.append(state.cluster)
        _step(state.cluster, fix, near[i], fences)
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
    usable: list[Fix], fences: Fences, organisation: int
) -> list[dict[int, tuple[float, float]]]:
    """Return for each fix the sites whose bound holds it: site_id -> (outside_m, centre_m)."""
    near: list[dict[int, tuple[float, float]]] = [{} for _ in usable]
    found = fences.near(
        np.array([fix.latitude_deg for fix in usable]),
        np.array([fix.longitude_deg for fix in usable]),
        np.full(len(usable), organisation, dtype=np.int64),
    )
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


def _step(
    cluster: list[Run], fix: Fix, near: dict[int, tuple[float, float]], fences: Fences
) -> None:
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
