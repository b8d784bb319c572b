"""What has to be read of a van, and when it is enough.

New fixes are folded into the newest state. A fix that comes late, or an edited fence, changes what
an earlier state should have been. Reading everything again from there would cost a day; instead:

- *Checkpoints.* At least every hour of a van's own time its state is kept; where a fix is held for
  its successor then, as soon as none is. A checkpoint holds what all fixes up to its time say.
- *Back.* Reading begins at the last checkpoint before the first late fix.
- *Forth.* At every checkpoint ahead the new state is compared with the one kept. Once all late fixes
  are behind and the two are equal, everything after is what it would be: reading stops there, or
  leaps to the checkpoint before the next late fix.

So a late fix costs about an hour of fixes, or two; longer only for a van that stays inside one fence,
whose open run differs until it closes.

A *course* is one van's way through this. `read` folds what courses have in hand; whoever calls
fetches the rest from the table, and a course tells what it needs. A checkpoint never has a fix that
is held for its successor: what is settled up to it is settled.

What was read again is compared with the rows of that *span* (`Span`): rows that the fold no longer
gives are gone. A run or a leg that is still open where reading stopped is as it was, and stays.

Pure: it knows no database, and no present.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from geofence import visits
from geofence.fences import Fences
from geofence.fixes import Fixes
from geofence.trips import Leg, open_leg
from geofence.usable import Refusal
from geofence.visits import Account, Cluster, Reading, Run, State

SLICE_MS: Final = 3_600_000
#: Later than any fix.
NEVER_MS: Final = 4_200_000_000_000
Box = tuple[float, float, float, float]
"""South, west, north, east, degrees."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state that all fixes up to `through` make, ms since 1970 UTC; `is_last` is the newest.

    `box` holds the usable fixes since the checkpoint before.
    """

    through: int
    state: State
    box: Box | None
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch that was read again, after `since` and up to `until` (None: to the end).

    Attributes:
        since: Runs that began up to then are settled or were read on.
        until: Where the state was the one that was kept.
        open_runs: Runs still open there: as they were.
        legs_since: The leg that was open at `since` began then; None if there was none.
        legs_until: Legs that began then or later are as they were.
    """

    since: int
    until: int | None
    open_runs: frozenset[tuple[int, int]] = frozenset()
    legs_since: int | None = None
    legs_until: int | None = None

    def holds_run(self, key: tuple[int, int]) -> bool:
        """Whether a run's row is gone if the fold has not given it again."""
        return (
            self.since < key[1]
            and (self.until is None or key[1] <= self.until)
            and key not in self.open_runs
        )

    def holds_leg(self, started_at: int) -> bool:
        """Whether a leg's row is gone if the fold has not given it again."""
        return (self.legs_since is None or self.legs_since <= started_at) and (
            self.legs_until is None or started_at < self.legs_until
        )

    def holds_fix(self, t_ms: int) -> bool:
        """Whether what was said of a fix is gone if it was not said again."""
        return self.since < t_ms and (self.until is None or t_ms <= self.until)


@dataclass(slots=True)
class Course:
    """One van's way through what has to be read.

    Attributes:
        van_id: The van.
        organisation_id: Whose it is.
        state: What all fixes up to `through` say.
        through: The newest fix read, ms since 1970 UTC; None if none is.
        checkpointed: When the last checkpoint behind was made; the first fix where none was.
        fixes: What is in hand to be read next.
        fresh: New fixes beyond all that was read before; they come last.
        late: Times of the late fixes still ahead, ascending.
        ahead: Checkpoints ahead, ascending; the last is the newest state. None are left once the
            fold has come to what was never read before.
        edited: Sites whose fence has changed: no equality of states is believed while one is open.
        box: Of the usable fixes since the last checkpoint.
        was_through: The newest fix that had been read before; 0 if none was.
    """

    van_id: int
    organisation_id: int
    state: State
    through: int | None
    checkpointed: int | None
    fixes: Fixes
    fresh: Fixes | None = None
    late: list[int] = field(default_factory=list)
    ahead: list[Checkpoint] = field(default_factory=list)
    edited: frozenset[int] = frozenset()
    box: Box | None = None
    was_through: int = 0
    runs: dict[tuple[int, int], Run] = field(default_factory=dict)
    legs: dict[int, Leg] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    made: dict[int, Checkpoint | None] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[int | None, int | None] | None:
        """The stretch of the table that it needs now, (after, up to); None if it has all it needs.

        None for either end means that there is no end.
        """
        if len(self.fixes) or not self.ahead:
            return None
        return self.through, self.ahead[0].through

    @property
    def clusters(self) -> list[Cluster]:
        """Every run that was touched, by cluster, oldest first."""
        return visits.clusters_of(self.runs.values())

    def give(self, fixes: Fixes) -> None:
        """Take the stretch that it needs."""
        self.fixes = fixes
        if self.through is None and self.spans:
            self._begin_at(int(fixes.t_ms[0]) if len(fixes) else None)
        if not len(fixes):
            self._arrive()

    def _begin_at(self, first: int | None) -> None:
        """Let rows stand that are older than all that is kept, or is known to be gone.

        Fixes are not kept for ever: nothing could say those rows again. What was deleted because it
        should never have been there is among the late, so its rows go.
        """
        if self.spans[-1].since in {-1, NEVER_MS}:
            known = [t_ms for t_ms in (first, *self.late) if t_ms]
            begin = min(known) if known else NEVER_MS + 1
            self.spans[-1] = replace(self.spans[-1], since=begin - 1, legs_since=begin)

    def next_slice(self) -> Fixes:
        """Return the fixes of the next hour or less, and put the rest back."""
        t_ms = self.fixes.t_ms
        if self.checkpointed is None:
            self.checkpointed = int(t_ms[0])
        end = int(np.searchsorted(t_ms, self.checkpointed + SLICE_MS, side="right"))
        if end == 0:
            until = t_ms[0] + SLICE_MS
            if self.through is not None and self.through > self.checkpointed:
                # A checkpoint is due: as soon as no fix is held, which is looked at once a minute
                # (not at every fix: a receiver gone wrong can have one held for hours).
                until = max(t_ms[0], self.through + SLICE_MS // 60)
            end = int(np.searchsorted(t_ms, until, side="right"))
        if end == len(self.fixes):
            part, self.fixes = self.fixes, NONE
        else:
            part, self.fixes = self.fixes.rows(slice(0, end)), self.fixes.rows(slice(end, None))
        return part

    def take(self, account: Account, through: int) -> None:
        """Take what the fold said of a slice that ended at `through`."""
        self.through = through
        self.box = union(self.box, account.box)
        self.runs.update((run.key, run) for cluster in account.clusters for run in cluster)
        self.legs.update((leg.started_at, leg) for leg in account.legs)
        self.refused += account.refused
        is_due = self.checkpointed is not None and through - self.checkpointed >= SLICE_MS
        if len(self.fixes) or (is_due and not self.ahead):
            self._checkpoint(through)
        if not len(self.fixes):
            self._arrive()

    def _checkpoint(self, through: int) -> None:
        if self.state.filter.held is None:
            # A copy: the fold goes on in the state itself.
            self.made[through] = Checkpoint(through, copied(self.state), self.box)
            self.checkpointed, self.box = through, None

    def _arrive(self) -> None:
        """At the end of what was in hand: at a checkpoint that was ahead, or at the end of all."""
        if not self.ahead:
            return
        kept = self.ahead.pop(0)
        self.late = self.late[bisect_right(self.late, kept.through) :]
        if not kept.is_last:
            self.made[kept.through] = None  # gone, unless it is made again just here
            # At a fix: where those up to the checkpoint were deleted, no fix is newer than it.
            if self.through is not None and self.through > (self.checkpointed or 0):
                self._checkpoint(self.through)
        if self.state == kept.state and not self._is_doubtful():
            self._leap(kept)
        if not self.ahead and self.fresh is not None:
            self.fixes, self.fresh = self.fresh, None

    def _is_doubtful(self) -> bool:
        """Whether an edited fence has an open run: equal states then have different futures."""
        return any(run.site_id in self.edited for run in self.state.cluster)

    def _leap(self, kept: Checkpoint) -> None:
        """Go on where the next late fix changes something; what lies between is as it was."""
        if not self.late:
            self._close_span(kept)
            if self.ahead:
                self._resume(len(self.ahead) - 1, kept)
            return
        before = bisect_left([checkpoint.through for checkpoint in self.ahead], self.late[0]) - 1
        if before >= 0:
            self._close_span(kept)
            self._resume(before, kept)
            self.open_span()

    def _resume(self, at: int, kept: Checkpoint) -> None:
        """Go on from a checkpoint ahead."""
        here, passed = self.ahead[at], [kept, *self.ahead[:at]]
        del self.ahead[: at + 1]
        self.state, self.through = copied(here.state), here.through
        self.checkpointed = passed[-1].through if here.is_last else here.through
        self.box = here.box if here.is_last else None

    def open_span(self) -> None:
        """Say that what follows is read again."""
        self.spans.append(
            Span(
                since=-1 if self.through is None else self.through,
                until=None,
                legs_since=self.state.trips.open_since,
            )
        )
        # Told even if no fix follows that can be used: the rows may say more than is true now.
        self.runs.update((run.key, run) for run in self.state.cluster)
        if (leg := open_leg(self.state.trips)) is not None:
            self.legs[leg.started_at] = leg

    def _close_span(self, kept: Checkpoint) -> None:
        open_runs = frozenset(run.key for run in kept.state.cluster)
        open_since = kept.state.trips.open_since
        for key in open_runs:
            self.runs.pop(key, None)
        for started_at in [s for s in self.legs if open_since is not None and s >= open_since]:
            del self.legs[started_at]
        span = self.spans[-1]
        legs_until = kept.through if open_since is None else open_since  # None: before any leg
        self.spans[-1] = Span(span.since, kept.through, open_runs, span.legs_since, legs_until)


NONE: Final = Fixes(
    np.empty(0, dtype=np.int64), np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=np.int8),
    np.empty(0),
)  # fmt: skip


def read(courses: Sequence[Course], fences: Fences) -> None:
    """Fold all that the courses have in hand, an hour of each at a time."""
    while moving := [course for course in courses if len(course.fixes)]:
        slices = [course.next_slice() for course in moving]
        accounts = visits.advance(
            [
                Reading(course.organisation_id, course.state, fixes)
                for course, fixes in zip(moving, slices, strict=True)
            ],
            fences,
        )
        for course, fixes, account in zip(moving, slices, accounts, strict=True):
            course.take(account, int(fixes.t_ms[-1]))


def copied(state: State) -> State:
    """Return a state that does not change with this one."""
    return msgspec.convert(msgspec.to_builtins(state), State)


def union(a: Box | None, b: Box | None) -> Box | None:
    """Return the box around two boxes."""
    if a is None or b is None:
        return a or b
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
