"""What the live stream says: views, and the difference between two of them. Pure.

A view is every row that a page shows: `{topic: {key: row}}`. A delta turns one view into the next:
for each topic the rows to set and the keys that are gone. Deltas merge, the later one winning, so
a client that reads slowly is sent one merged delta, never more than a view's size; nothing is lost
by it, because rows say how things are, not what happened.

Laws, tested with generated views:
`applied(a, difference(a, b)) == b`, and `applied(a, merged(d, e)) == applied(applied(a, d), e)`.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

import msgspec

Row = object
View = Mapping[str, Mapping[str, Row]]


class TopicDelta(msgspec.Struct, frozen=True):
    """Rows to set and keys to drop."""

    set: dict[str, Row] = msgspec.field(default_factory=dict)
    gone: list[str] = msgspec.field(default_factory=list)


Delta = Mapping[str, TopicDelta]


def difference(old: View, new: View) -> Delta:
    """Return what turns `old` into `new`; empty if they are equal. Topics are those of `new`."""
    delta = {}
    for topic, rows in new.items():
        before = old.get(topic, {})
        change = TopicDelta(
            {k: row for k, row in rows.items() if k not in before or before[k] != row},
            [k for k in before if k not in rows],
        )
        if change.set or change.gone:
            delta[topic] = change
    return delta


def merged(first: Delta, second: Delta) -> Delta:
    """Return one delta that does what `first` and then `second` would."""
    both = dict(first)
    for topic, later in second.items():
        if (earlier := both.get(topic)) is None:
            both[topic] = later
            continue
        gone = dict.fromkeys(later.gone)
        rows = {k: row for k, row in earlier.set.items() if k not in gone} | later.set
        gone |= dict.fromkeys(k for k in earlier.gone if k not in rows)
        both[topic] = TopicDelta(rows, list(gone))
    return both


def applied(view: View, delta: Delta) -> View:
    """Return the view after the delta; the page does the same in JavaScript."""
    after = {topic: dict(rows) for topic, rows in view.items()}
    for topic, change in delta.items():
        rows = after.setdefault(topic, {})
        for key in change.gone:
            rows.pop(key, None)
        rows.update(change.set)
    return after


@dataclass(slots=True)
class History:
    """The present view and the last `limit` deltas, numbered; what a reconnecting client needs."""

    limit: int
    view: View | None = None
    seq: int = 0
    deltas: deque[Delta] = field(init=False)

    def __post_init__(self) -> None:
        self.deltas = deque(maxlen=self.limit)

    def advance(self, view: View) -> Delta:
        """Take the next view and return its delta; an empty one takes no number."""
        delta = difference(self.view, view) if self.view is not None else {}
        if delta:
            self.seq += 1
            self.deltas.append(delta)
        self.view = view
        return delta

    def since(self, seq: int) -> Delta | None:
        """Return all that came after `seq` as one delta, or None if that is no longer known."""
        behind = self.seq - seq
        if self.view is None or not 0 <= behind <= len(self.deltas):
            return None
        total: Delta = {}
        for delta in islice(self.deltas, len(self.deltas) - behind, None):
            total = merged(total, delta)
        return total
