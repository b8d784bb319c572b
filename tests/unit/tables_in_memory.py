"""What the database keeps of one van, as plain dictionaries, and the way of a batch through it.

The statements of `geofence/tracks.py` and `geofence/store.py`, read as sentences: enough to try the
engine with every order of arrival, thousands of times a second.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import msgspec

from geofence.changes import Known, Said, Visit, revise
from geofence.fences import Fences
from geofence.fixes import Fixes
from geofence.reread import NONE, Checkpoint, Course, read
from geofence.tours import Stop
from geofence.trips import Leg
from geofence.usable import Reason
from geofence.visits import State
from tests.unit.reference_visits import RefFix

VAN = 7


@dataclass
class Tables:
    """One van's rows, and how many fixes were read to keep them true."""

    fences: Fences
    stops: Sequence[Stop] = ()
    fixes: dict[int, RefFix] = field(default_factory=dict)
    progress: Checkpoint | None = None
    checkpointed: int | None = None
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    visits: dict[tuple[int, int], Visit] = field(default_factory=dict)
    legs: dict[int, Leg] = field(default_factory=dict)
    unusable: dict[int, Reason] = field(default_factory=dict)
    read: int = 0

    def put(self, batch: Iterable[RefFix], off_duty: Sequence[tuple[int, int]] = ()) -> None:
        """Take a batch as one transaction would, and delete what turns out to be off duty."""
        gone = {t for t in self.fixes if any(a <= t < b for a, b in off_duty)}
        for t_ms in gone:
            del self.fixes[t_ms]
        new = {fix.t_ms: fix for fix in batch if self.fixes.get(fix.t_ms) != fix}
        self.fixes |= new
        if not new and not gone:
            return
        through = -1 if self.progress is None else self.progress.through
        late = sorted({t_ms for t_ms in new if t_ms <= through} | gone)
        fresh = self._between(through, None) if new and max(new) > through else NONE
        self._run(self._course(late, fresh))

    def edit(self, fences: Fences, edited: frozenset[int]) -> None:
        """Take other fences, as if every hour of the van might be touched."""
        self.fences = fences
        if self.progress is None:
            return
        hours = sorted([*self.checkpoints, self.progress.through])
        self._run(self._course(hours, NONE, edited))

    def replan(self, stops: Sequence[Stop]) -> None:
        """Take another plan."""
        days = {stop.service_date for stop in (*self.stops, *stops)}
        self.stops = stops
        self._write(Said(replanned=frozenset(days)))

    def _course(
        self, late: list[int], fresh: Fixes, edited: frozenset[int] = frozenset()
    ) -> Course:
        if self.progress is None:
            return Course(VAN, 1, State(), None, None, fresh)
        last = replace(self.progress, state=stored(self.progress.state))
        if not late:
            return Course(VAN, 1, last.state, last.through, self.checkpointed, fresh, box=last.box)
        times = sorted(self.checkpoints)
        behind = [t_ms for t_ms in times if t_ms < late[0]]
        begin = self.checkpoints[behind[-1]] if behind else None
        course = Course(
            VAN,
            1,
            stored(begin.state) if begin else State(),
            begin.through if begin else None,
            begin.through if begin else None,
            NONE,
            fresh=fresh,
            late=late,
            ahead=[self.checkpoints[t_ms] for t_ms in times[len(behind) :]] + [last],
            edited=edited,
            was_through=last.through,
        )
        course.open_span()
        return course

    def _run(self, course: Course) -> None:
        self._read(course)
        while (stretch := course.needs) is not None:
            course.give(self._between(*stretch))
            self._read(course)
        self._write(
            Said(
                course.clusters,
                list(course.legs.values()),
                course.refused,
                course.spans,
                frozenset[date](),
                course.through or 0,
                course.was_through,
            )
        )
        if course.through is None:
            self.progress, self.checkpointed, self.checkpoints = None, None, {}
            return
        self.progress = Checkpoint(course.through, stored(course.state), course.box, is_last=True)
        self.checkpointed = course.checkpointed
        for t_ms, made in course.made.items():
            if made is None:
                self.checkpoints.pop(t_ms, None)
            else:
                self.checkpoints[t_ms] = replace(made, state=stored(made.state))

    def _read(self, course: Course) -> None:
        self.read += len(course.fixes)
        read([course], self.fences)

    def _write(self, said: Said) -> None:
        known = Known(
            visits=list(self.visits.values()),
            stops=self.stops,
            legs=list(self.legs.values()),
            refused=list(self.unusable.items()),
        )
        changed = revise(VAN, said, known, self.fences)
        for visit in changed.gone:
            del self.visits[visit.key]
        for started_at in changed.legs_gone:
            del self.legs[started_at]
        for t_ms in changed.refused_gone:
            del self.unusable[t_ms]
        self.visits |= {visit.key: visit for visit in changed.visits}
        self.legs |= {leg.started_at: leg for leg in changed.legs}
        self.unusable |= dict(changed.refused)

    def _between(self, after: int | None, up_to: int | None) -> Fixes:
        from tests.unit.test_geofence_visits import as_columns  # noqa: PLC0415

        times = sorted(self.fixes)
        first = 0 if after is None else bisect_right(times, after)
        end = len(times) if up_to is None else bisect_right(times, up_to)
        return as_columns([self.fixes[t_ms] for t_ms in times[first:end]])


def stored(state: State) -> State:
    """Return a state as it comes back from the table."""
    return msgspec.json.decode(msgspec.json.encode(state), type=State)
