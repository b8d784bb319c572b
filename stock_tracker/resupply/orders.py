"""What an order is, and how its state follows from what was said of it.

At a cut-off what is proposed becomes one order for each destination and way of delivery, its inputs
frozen; what a job needs before the next delivery becomes an urgent order of its own. An order's code
is made of its cut-off and van, an urgent one's of its job and item: neither can be made twice.

Its state is a function of what is known of it, not a step from the state before: a report that comes
late, twice or before the one that it follows gives the same. The first row that holds counts:

| what is known                                                     | state     |
| ----------------------------------------------------------------- | --------- |
| nothing is left of it: all cancelled, before anything was shipped | cancelled |
| all that was not cancelled is received                            | received  |
| something was shipped or received                                 | shipped   |
| something was picked                                              | picked    |
| the warehouse was told                                            | sent      |
| somebody, or the warehouse's own rule, has approved it            | approved  |
| else                                                              | proposed  |

A report that says what was picked says all of it: of two, the later by (t, id) counts. What is short
and will not come is cancelled; what is short and will come stays on order, as a backorder. More than
was asked for is kept as a receipt and never makes a line negative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

Mode = Literal["van", "home", "site"]
State = Literal["proposed", "approved", "sent", "picked", "shipped", "received", "cancelled"]
ReportKind = Literal["accepted", "picked", "short", "shipped", "delivered", "cancelled"]

#: States in which nothing more can come.
CLOSED: Final[frozenset[State]] = frozenset({"received", "cancelled"})


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What is known of a line, in base units."""

    requested: int
    cancelled: int = 0
    picked: int = 0
    shipped: int = 0
    received: int = 0


def state_of(lines: Sequence[LineFacts], *, was_sent: bool, is_approved: bool) -> State:
    """Return the state of an order from what is known of it."""
    moved = any(line.shipped or line.received for line in lines)
    if not moved and all(line.cancelled >= line.requested for line in lines):
        return "cancelled"
    if all(line.received + line.cancelled >= line.requested for line in lines):
        return "received"
    if moved:
        return "shipped"
    if any(line.picked for line in lines):
        return "picked"
    if was_sent:
        return "sent"
    return "approved" if is_approved else "proposed"


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What a report says of an item: `qty` base units of a lot."""

    item_id: int
    qty: int
    lot: str = ""
    reason: str | None = None
    is_backorder: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """What a warehouse says of an order. `t` is ms since 1970 UTC; `report` is its own id for it."""

    warehouse_id: int
    report: str
    payload_hash: int
    order_id: int
    t: int
    kind: ReportKind
    lines: tuple[ReportLine, ...]
    sscc: str | None
    author: str | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order that a report is about."""

    order_id: int
    warehouse_id: int
    warehouse: str
    organisation_id: int


@dataclass(frozen=True, slots=True)
class Shipped:
    """A box on its way, for its van's inbox."""

    van: str
    order: str
    report: str
    mode: str
    lines: int


@dataclass(frozen=True, slots=True)
class Line:
    """One item of an order that is to be sent."""

    ref: str
    name: str
    qty: int
    allocated: int | None
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """An order that the warehouse is to be told of."""

    code: str
    organisation_id: int
    warehouse_code: str
    van_code: str
    mode: Mode
    cutoff_at: datetime
    due_at: datetime
    is_urgent: bool
    site_code: str | None
    lines: Sequence[Line]


def order_code(van_code: str, cutoff_at: datetime) -> str:
    """Return the stable name of the order that a van gets at a cut-off."""
    return f"R-{cutoff_at.astimezone(UTC):%Y%m%d-%H%M}-{van_code}"


def urgent_code(van_code: str, stop_id: int, ref: str) -> str:
    """Return the stable name of the order of what a job needs before the next delivery."""
    return f"U-{stop_id}-{van_code}-{ref}"
