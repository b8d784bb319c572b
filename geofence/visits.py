"""Fixes of many vans, in the order of their own times, become runs inside sites, and runs are judged.

A fold: `advance` takes the states of vans and the fixes that follow, and gives the next states and
every run that they opened, continued or closed. What it says of a set of fixes does not depend on
how the set was cut into calls, and a fix that comes late is handled by folding again from an earlier
state: the answer is always that of one pass in order.

*Usable* fixes: `geofence.usable`. *Runs*: each site on its own:

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

Written over columns: between two fixes within the bound of a site (a *pair*) lies a *gap* if other
fixes came between; a gap that closes the run cuts the pairs of that site in two, and what is left
between the cuts are the runs. Distances are summed in whole millimetres, so that no sum depends on
its order. Python looks at runs, not at fixes.

It knows nothing of the database, of the present, or of what was planned when: that is asked.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NewType

import msgspec
import numpy as np

from geofence import trips, usable
from geofence.fences import Fences, Nearness
from geofence.fixes import IGNITION_OFF, Bools, Fixes, Fleet, Indices, Longs
from geofence.rules import Rules
from geofence.trips import Leg, TripState
from geofence.usable import FilterState, Refusal

VanId = NewType("VanId", int)
Verdict = Literal["visit", "pass", "undecided"]

THREE_RADII: Final = 2.0  # outside the shape by two radii is three from its centre
#: Larger than any time in ms for another 30 years: makes one order of all vans' times.
VAN_STRIDE: Final = 1 << 42


class Run(msgspec.Struct, array_like=True, frozen=True):
    """A stay inside one site: open while `closed_by` is None. Times are ms since 1970 UTC."""

    site_id: int
    arrived_at: int
    last_inside_at: int
    left_at: int | None = None
    closed_by: int | None = None
    ignition_off: bool = False
    fixes: int = 0
    centre_mm_sum: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """Which run of its van it is."""
        return self.site_id, self.arrived_at

    @property
    def dwell_ms(self) -> int:
        """Time from the first fix inside to the last within the bound."""
        return self.last_inside_at - self.arrived_at

    @property
    def centre_m_mean(self) -> float:
        """Mean distance to the site's point, m."""
        return self.centre_mm_sum / self.fixes / 1_000


Cluster = list[Run]
"""Runs that may overlap, by arrival and site: it ends when no run is open."""


class State(msgspec.Struct, array_like=True):
    """What must be remembered of a van between two calls.

    Attributes:
        filter: For what makes a fix usable.
        cluster: The runs that are open, and those closed since one of them opened.
        trips: For what the van did between its visits.
    """

    filter: FilterState = msgspec.field(default_factory=FilterState)
    cluster: Cluster = []
    trips: TripState = msgspec.field(default_factory=TripState)


class Reading(msgspec.Struct, frozen=True):
    """What has to be read for one van: where the fold goes on from, and the fixes that follow."""

    organisation_id: int
    state: State
    fixes: Fixes


class Account(msgspec.Struct):
    """What some fixes of one van say.

    Attributes:
        clusters: Every cluster of runs that they touched, oldest first.
        legs: Every leg of its way that they touched, oldest first.
        refused: The fixes that are not used, and why; not those that wait for their successor.
        box: South, west, north, east of its usable fixes, degrees; None if there was none.
    """

    clusters: list[Cluster]
    legs: list[Leg]
    refused: list[Refusal]
    box: tuple[float, float, float, float] | None = None


class Judged(msgspec.Struct, frozen=True):
    """A run with what it is."""

    run: Run
    verdict: Verdict
    shadowed_by: int | None
    uncertain: bool


Planned = Callable[[Run], bool]


def advance(readings: Sequence[Reading], fences: Fences) -> list[Account]:
    """Fold fixes into the states of many vans and return what they say. States change in place.

    Args:
        readings: One a van.
        fences: All sites; those of other organisations do not exist for a van. Their rules hold.
    """
    if not readings:
        return []
    states = [reading.state for reading in readings]
    fleet, refused = usable.sift(
        [state.filter for state in states],
        Fleet.of([reading.fixes for reading in readings]),
        fences.rules,
    )
    organisation = np.array([reading.organisation_id for reading in readings], dtype=np.int64)
    runs = _runs(fleet, states, organisation, fences)
    accounts = []
    for van, state in enumerate(states):
        own = slice(int(fleet.starts[van]), int(fleet.starts[van + 1]))
        # Also without a usable fix: what a second reading does not tell again counts as gone.
        account = Account([], _legs(state.trips, fleet.fixes, own), refused[van])
        if own.start < own.stop:
            account.clusters = clusters_of([*_settled(state.cluster), *runs[van]])
            state.cluster = _open_cluster(account.clusters)
            account.box = _box(fleet.fixes, own)
        accounts.append(account)
    return accounts


def _settled(cluster: Cluster) -> Cluster:
    return [run for run in cluster if run.closed_by is not None]


def clusters_of(runs: Iterable[Run]) -> list[Cluster]:
    """Return runs of one van by cluster, oldest first: between two of them no run is open."""
    clusters: list[Cluster] = []
    until: float = -1
    for run in sorted(runs, key=lambda run: (run.arrived_at, run.site_id)):
        if run.arrived_at > until or not clusters:
            clusters.append([])
        clusters[-1].append(run)
        until = max(until, float("inf") if run.closed_by is None else run.closed_by)
    return clusters


def _open_cluster(clusters: Sequence[Cluster]) -> Cluster:
    """Return the last cluster if one of its runs is open, to be remembered."""
    if clusters and any(run.closed_by is None for run in clusters[-1]):
        return clusters[-1]
    return []


def _legs(state: TripState, fixes: Fixes, own: slice) -> list[Leg]:
    return trips.advance(
        state,
        fixes.t_ms[own],
        fixes.latitude_deg[own],
        fixes.longitude_deg[own],
        fixes.odometer_m[own],
    )


def _box(fixes: Fixes, own: slice) -> tuple[float, float, float, float]:
    latitude_deg, longitude_deg = fixes.latitude_deg[own], fixes.longitude_deg[own]
    return (
        float(latitude_deg.min()), float(longitude_deg.min()),
        float(latitude_deg.max()), float(longitude_deg.max()),
    )  # fmt: skip


# --- Runs over columns -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Fixes within the bound of a site, by van, site and time; columns of shape (pairs,).

    A run that was open before stands as a pair of its own, one before the van's first fix.

    Attributes:
        key: Van and site as one number.
        van: Index of the van.
        site: Index of the site.
        fix: Index of the fix.
        inside: Whether it lies in the shape itself.
        centre_mm: Distance to the site's point.
        off_inside: Whether it lies inside with the ignition off.
        carried: The open run that this pair stands for, as an index; -1 for a fix.
    """

    key: Longs
    van: Indices
    site: Indices
    fix: Indices
    inside: Bools
    centre_mm: Longs
    off_inside: Bools
    carried: Longs


@dataclass(frozen=True, slots=True)
class _Gaps:
    """What follows each pair before the next of its site; columns of shape (pairs,).

    Attributes:
        left_at: When the van left after the pair, ms; -1 if the next pair follows at once.
        closed_by: When the departure was proved, ms; -1 if it is not.
    """

    left_at: Longs
    closed_by: Longs


def _runs(
    fleet: Fleet, states: Sequence[State], organisation: Longs, fences: Fences
) -> list[list[Run]]:
    """Return for each van its runs that were open or are opened, continued by its fixes."""
    open_runs = [
        (van, run)
        for van, state in enumerate(states)
        if fleet.starts[van] < fleet.starts[van + 1]
        for run in state.cluster
        if run.closed_by is None
    ]
    of_van = fleet.van
    near = fences.near(fleet.fixes.latitude_deg, fleet.fixes.longitude_deg, organisation[of_van])
    found: list[list[Run]] = [[] for _ in states]
    if not len(near.fix) and not open_runs:
        return found
    pairs = _pairs(fleet, of_van, near, open_runs, fences)
    gaps = _gaps(fleet, pairs, [run for _, run in open_runs], fences)
    last = np.append(pairs.key[1:] != pairs.key[:-1], values=True)
    ends = np.flatnonzero(last | (gaps.closed_by >= 0))
    begins = np.concatenate([[0], ends[:-1] + 1])
    begins = _first_inside(pairs)[begins]  # what comes before it opened nothing
    opened = begins <= ends
    _build(
        found,
        fleet,
        pairs,
        gaps,
        begins[opened],
        ends[opened],
        [run for _, run in open_runs],
        fences,
    )
    return found


def _pairs(
    fleet: Fleet,
    of_van: Indices,
    near: Nearness,
    open_runs: Sequence[tuple[int, Run]],
    fences: Fences,
) -> _Pairs:
    ignition = fleet.fixes.ignition
    inside = near.outside_m <= 0
    van, site, fix = of_van[near.fix], near.site, near.fix
    centre_mm = np.rint(near.centre_m * 1_000).astype(np.int64)
    off_inside = inside & (ignition[near.fix] == IGNITION_OFF)
    carried = np.full(len(fix), -1, dtype=np.int64)
    if open_runs:
        vans = np.array([van for van, _ in open_runs], dtype=np.intp)
        sites = np.array([fences.index_of[run.site_id] for _, run in open_runs], dtype=np.intp)
        some = np.ones(len(open_runs), dtype=np.bool_)
        van, site = np.concatenate([vans, van]), np.concatenate([sites, site])
        fix = np.concatenate([fleet.starts[vans] - 1, fix])
        inside = np.concatenate([some, inside])
        centre_mm = np.concatenate([np.zeros(len(vans), dtype=np.int64), centre_mm])
        off_inside = np.concatenate([~some, off_inside])
        carried = np.concatenate([np.arange(len(vans)), carried])
    key = van.astype(np.int64) * len(fences.sites) + site
    order = np.lexsort((fix, key))
    return _Pairs(
        key[order], van[order], site[order], fix[order], inside[order], centre_mm[order],
        off_inside[order], carried[order],
    )  # fmt: skip


def _gaps(fleet: Fleet, pairs: _Pairs, open_runs: Sequence[Run], fences: Fences) -> _Gaps:
    """Return what follows each pair, by the table at the top."""
    t_ms, van_end = fleet.fixes.t_ms, fleet.starts[pairs.van + 1]
    followed = np.append(pairs.key[1:] == pairs.key[:-1], values=False)
    following = np.where(followed, np.append(pairs.fix[1:], 0), van_end)
    # A run that had been left before these fixes: its gap is open already.
    had_left = np.full(len(pairs.fix), -1, dtype=np.int64)
    carried = np.flatnonzero(pairs.carried >= 0)
    had_left[carried] = [
        -1 if (left_at := open_runs[i].left_at) is None else left_at
        for i in pairs.carried[carried].tolist()
    ]
    left_at = np.full(len(pairs.fix), -1, dtype=np.int64)
    closed_by = left_at.copy()
    at = np.flatnonzero((pairs.fix + 1 < following) | (had_left >= 0))
    if not len(at):
        return _Gaps(left_at, closed_by)
    pending = had_left[at] >= 0
    first_out = np.minimum(pairs.fix[at] + 1, len(t_ms) - 1)
    left_at[at] = np.where(pending, had_left[at], t_ms[first_out])
    # The fixes that may prove it: those after the first outside, and the next within the bound.
    since = pairs.fix[at] + np.where(pending, 1, 2)
    until = following[at] + followed[at]
    stride = pairs.van[at].astype(np.int64) * VAN_STRIDE
    all_t = t_ms + fleet.van.astype(np.int64) * VAN_STRIDE
    in_time = np.searchsorted(all_t, left_at[at] + fences.rules.back_s * 1_000 + stride)
    proof = np.maximum(in_time, since)
    far = _first_far(fleet.fixes, pairs.site[at], since, np.minimum(proof, following[at]), fences)
    proof = np.minimum(proof, far)
    proved = proof < until
    closed_by[at[proved]] = t_ms[proof[proved]]
    return _Gaps(left_at, closed_by)


def _first_far(
    fixes: Fixes, site: Indices, since: Indices, until: Indices, fences: Fences
) -> Indices:
    """Return for each gap its first fix from `since` up to `until` beyond three radii of its site.

    Where there is none, a number greater than any fix's.
    """
    length = np.maximum(until - since, 0)
    far = np.full(len(site), len(fixes), dtype=np.intp)
    if not length.any():
        return far
    gap = np.repeat(np.arange(len(site)), length)
    fix = np.arange(len(gap)) - np.repeat(np.cumsum(length) - length, length) + since[gap]
    outside_m, _ = fences.measure(site[gap], fixes.latitude_deg[fix], fixes.longitude_deg[fix])
    beyond = outside_m > THREE_RADII * fences.radius_m[site[gap]]
    np.minimum.at(far, gap[beyond], fix[beyond])
    return far


def _first_inside(pairs: _Pairs) -> Indices:
    """Return for each pair the first from it on that lies in the shape; len(pairs) if none."""
    count = len(pairs.fix)
    at = np.where(pairs.inside, np.arange(count), count)
    return np.minimum.accumulate(at[::-1])[::-1]


def _build(
    found: list[list[Run]],
    fleet: Fleet,
    pairs: _Pairs,
    gaps: _Gaps,
    begins: Indices,
    ends: Indices,
    open_runs: Sequence[Run],
    fences: Fences,
) -> None:
    """Put each run, from the pair that begins it to the pair that ends it, into its van's list."""
    sum_mm = np.concatenate([[0], np.cumsum(pairs.centre_mm)])
    sum_off = np.concatenate([[0], np.cumsum(pairs.off_inside)])
    t_ms = fleet.fixes.t_ms
    rows = zip(
        pairs.van[begins].tolist(),
        pairs.site[begins].tolist(),
        pairs.carried[begins].tolist(),
        t_ms[np.maximum(pairs.fix[begins], 0)].tolist(),
        t_ms[np.maximum(pairs.fix[ends], 0)].tolist(),
        gaps.left_at[ends].tolist(),
        gaps.closed_by[ends].tolist(),
        (sum_off[ends + 1] > sum_off[begins]).tolist(),
        (ends + 1 - begins).tolist(),
        (sum_mm[ends + 1] - sum_mm[begins]).tolist(),
        strict=True,
    )
    for van, site, carried, arrived, last, left, closed, off, fixes, centre_mm in rows:
        left_at, closed_by = None if left < 0 else left, None if closed < 0 else closed
        if carried < 0:
            site_id = fences.sites[site].site_id
            run = Run(site_id, arrived, last, left_at, closed_by, off, fixes, centre_mm)
        else:
            before = open_runs[carried]
            run = Run(
                before.site_id,
                before.arrived_at,
                last if fixes > 1 else before.last_inside_at,
                left_at,
                closed_by,
                before.ignition_off or off,
                before.fixes + fixes - 1,
                before.centre_mm_sum + centre_mm,
            )
        found[van].append(run)


# --- Verdicts ----------------------------------------------------------------------------------


def judge(cluster: Cluster, planned: Planned, rules: Rules) -> list[Judged]:
    """Return each run of a cluster with its verdict, overlaps settled."""
    is_planned = [planned(run) for run in cluster]
    verdicts = [
        _verdict(run, rules, is_planned=yes) for run, yes in zip(cluster, is_planned, strict=True)
    ]
    ranked = sorted(
        (i for i, verdict in enumerate(verdicts) if verdict == "visit"),
        key=lambda i: (not is_planned[i], cluster[i].centre_m_mean, cluster[i].key),
    )
    standing: list[Run] = []
    shadows: dict[int, int] = {}
    for i in ranked:
        over = next((run for run in standing if _overlap(run, cluster[i])), None)
        if over is None:
            standing.append(cluster[i])
        else:
            shadows[i] = over.site_id
    return [
        Judged(run, verdict, shadows.get(i), _uncertain(run, rules))
        for i, (run, verdict) in enumerate(zip(cluster, verdicts, strict=True))
    ]


def _verdict(run: Run, rules: Rules, *, is_planned: bool) -> Verdict:
    enough_s = rules.dwell_planned_s if is_planned else rules.dwell_s
    if run.ignition_off or run.dwell_ms >= enough_s * 1_000:
        return "visit"
    return "undecided" if run.closed_by is None else "pass"


def _uncertain(run: Run, rules: Rules) -> bool:
    """Whether nobody can say within 5 minutes when it ended."""
    return (
        run.closed_by is not None
        and run.left_at is not None
        and run.left_at - run.last_inside_at > rules.uncertain_s * 1_000
    )


def _overlap(a: Run, b: Run) -> bool:
    return a.arrived_at <= b.last_inside_at and b.arrived_at <= a.last_inside_at
