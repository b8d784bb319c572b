"""What DESIGN.md calls a visit, read out word by word: slow, and obvious enough to be believed.

It is given all fixes of one van at once, in any order, and looks at the whole list for every site.
It keeps no state and shares no code with `geofence`: circles and rectangles only, metres in a plane
laid at each site.

Two things the words leave open are read as the docstring of `geofence.visits` says: overlaps are
settled among runs that are visits, and a return after exactly 60 s comes too late.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import asin, cos, hypot, pi, radians, sin, sqrt

EARTH_M = 6_371_008.8

#: Whether a site is a stop of the van's tour on the day of a moment: (site_id, t_ms).
Planned = Callable[[int, int], bool]


@dataclass(frozen=True)
class RefFix:
    t_ms: int
    latitude_deg: float
    longitude_deg: float
    accuracy_m: float | None = None
    ignition: bool | None = None
    odometer_m: float | None = None


@dataclass(frozen=True)
class Place:
    """A site: a circle, or the rectangle that reaches `half_m` east and north of its point."""

    site_id: int
    latitude_deg: float
    longitude_deg: float
    circle_m: float
    half_m: tuple[float, float] | None = None

    @property
    def radius_m(self) -> float:
        if self.half_m is None:
            return self.circle_m
        return sqrt(4 * self.half_m[0] * self.half_m[1] / pi)

    def plane_m(self, fix: RefFix) -> tuple[float, float]:
        shrink = cos(radians(self.latitude_deg))
        return (
            radians(fix.longitude_deg - self.longitude_deg) * EARTH_M * shrink,
            radians(fix.latitude_deg - self.latitude_deg) * EARTH_M,
        )

    def centre_m(self, fix: RefFix) -> float:
        return hypot(*self.plane_m(fix))

    def outside_m(self, fix: RefFix) -> float:
        x, y = self.plane_m(fix)
        if self.half_m is None:
            return hypot(x, y) - self.circle_m
        return hypot(max(abs(x) - self.half_m[0], 0), max(abs(y) - self.half_m[1], 0))

    def inside(self, fix: RefFix) -> bool:
        return self.outside_m(fix) <= 0

    def within_bound(self, fix: RefFix) -> bool:
        return self.outside_m(fix) <= max(25, 0.25 * self.radius_m)

    def beyond_three_radii(self, fix: RefFix) -> bool:
        return self.outside_m(fix) > 2 * self.radius_m


class Metres(float):
    """A mean distance, equal to one that was summed in whole millimetres."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(float(self) - float(other)) <= 0.001

    __hash__ = float.__hash__


@dataclass(frozen=True)
class RefRun:
    site_id: int
    arrived_at: int
    last_inside_at: int
    left_at: int | None
    closed_by: int | None
    ignition_off: bool
    distance_m_mean: float
    verdict: str
    uncertain: bool
    shadowed_by: int | None = None


def usable_fixes(fixes: Iterable[RefFix]) -> list[RefFix]:
    """Return what may be used: accurate, not at (0, 0), not frozen, no jump, not provisional."""
    sound = [
        fix
        for fix in sorted(fixes, key=lambda fix: fix.t_ms)
        if (fix.accuracy_m is None or fix.accuracy_m <= 100)
        and not (fix.latitude_deg == 0 and fix.longitude_deg == 0)
    ]
    sound = [fix for i, fix in enumerate(sound) if not is_frozen(sound, i)]
    usable: list[RefFix] = []
    for i, fix in enumerate(sound):
        far_from_before = bool(usable) and needs_more_than_70_mps(usable[-1], fix)
        is_newest = i + 1 == len(sound)
        if far_from_before and (is_newest or needs_more_than_70_mps(fix, sound[i + 1])):
            continue
        usable.append(fix)
    return usable


def is_frozen(sound: Sequence[RefFix], i: int) -> bool:
    """Whether a fix repeats a position while the odometer has run more than 100 m since."""
    first = i
    while first and (
        sound[first - 1].latitude_deg == sound[i].latitude_deg
        and sound[first - 1].longitude_deg == sound[i].longitude_deg
    ):
        first -= 1
    told = [fix.odometer_m for fix in sound[first : i + 1] if fix.odometer_m is not None]
    now_m = sound[i].odometer_m
    return first < i and now_m is not None and now_m - told[0] > 100


def needs_more_than_70_mps(a: RefFix, b: RefFix) -> bool:
    d_phi = radians(b.latitude_deg - a.latitude_deg)
    d_lambda = radians(b.longitude_deg - a.longitude_deg)
    cosines = cos(radians(a.latitude_deg)) * cos(radians(b.latitude_deg))
    h = sin(d_phi / 2) ** 2 + cosines * sin(d_lambda / 2) ** 2
    return 2 * EARTH_M * asin(min(1.0, sqrt(h))) / ((b.t_ms - a.t_ms) / 1_000) > 70


def runs(fixes: Iterable[RefFix], places: Sequence[Place], planned: Planned) -> list[RefRun]:
    """Return every run of one van at every site, judged."""
    usable = usable_fixes(fixes)
    found = [run for place in places for run in runs_at(place, usable, planned)]
    return settle_overlaps(found, planned)


def runs_at(place: Place, usable: Sequence[RefFix], planned: Planned) -> list[RefRun]:
    found = []
    i = 0
    while i < len(usable):
        if not place.inside(usable[i]):
            i += 1
            continue
        departure = departure_after(place, usable, i)
        left, proof = departure or (len(usable), None)
        found.append(judged(place, usable[i:left], usable, left, proof, planned))
        i = left
    return found


def departure_after(place: Place, usable: Sequence[RefFix], i: int) -> tuple[int, int] | None:
    """Return the first fix outside that is a departure, and the fix that proves it."""
    for left in range(i + 1, len(usable)):
        if place.within_bound(usable[left]):
            continue
        for proof in range(left + 1, len(usable)):
            if usable[proof].t_ms - usable[left].t_ms >= 60_000:
                return left, proof
            if place.within_bound(usable[proof]):
                break  # back within 60 s: that was no departure
            if place.beyond_three_radii(usable[proof]):
                return left, proof
    return None


def judged(
    place: Place,
    stay: Sequence[RefFix],
    usable: Sequence[RefFix],
    left: int,
    proof: int | None,
    planned: Planned,
) -> RefRun:
    """Return the run of a stay that ended before the fix `left`, or has not ended."""
    held = [fix for fix in stay if place.within_bound(fix)]
    arrived_at, last_inside_at = held[0].t_ms, held[-1].t_ms
    left_at = usable[left].t_ms if proof is not None else None
    closed_by = usable[proof].t_ms if proof is not None else None
    ignition_off = any(fix.ignition is False for fix in held if place.inside(fix))
    dwell_ms = last_inside_at - arrived_at
    if (
        (planned(place.site_id, arrived_at) and dwell_ms >= 60_000)
        or ignition_off
        or dwell_ms >= 180_000
    ):
        verdict = "visit"
    else:
        verdict = "undecided" if proof is None else "pass"
    return RefRun(
        site_id=place.site_id,
        arrived_at=arrived_at,
        last_inside_at=last_inside_at,
        left_at=left_at,
        closed_by=closed_by,
        ignition_off=ignition_off,
        distance_m_mean=Metres(sum(place.centre_m(fix) for fix in held) / len(held)),
        verdict=verdict,
        uncertain=left_at is not None and left_at - last_inside_at > 5 * 60_000,
    )


def settle_overlaps(found: Sequence[RefRun], planned: Planned) -> list[RefRun]:
    """Return the runs, those marked as shadowed that a better visit overlaps."""
    best_first = sorted(
        (run for run in found if run.verdict == "visit"),
        key=lambda run: (not planned(run.site_id, run.arrived_at), run.distance_m_mean),
    )
    standing: list[RefRun] = []
    shadow: dict[RefRun, int] = {}
    for run in best_first:
        for better in standing:
            together = max(run.arrived_at, better.arrived_at)
            if together <= min(run.last_inside_at, better.last_inside_at):
                shadow[run] = better.site_id
                break
        else:
            standing.append(run)
    return [RefRun(**{**vars(run), "shadowed_by": shadow.get(run)}) for run in found]
