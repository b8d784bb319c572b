"""The shape of every JSON answer: frozen data, nothing else.

A field's name ends in its unit. Times are integer milliseconds since 1970 UTC (`_ms`), positions
WGS 84 degrees. This file knows neither the database nor HTTP.
"""

from dataclasses import dataclass
from typing import Literal

VanState = Literal["driving", "standing", "at_site", "silent", "off_duty", "never_seen"]
AlertState = Literal["open", "cleared", "withdrawn"]
OrderState = Literal[
    "proposed", "approved", "sent", "picked", "shipped", "received", "cancelled"
]  # fmt: skip
Verdict = Literal["visit", "pass", "undecided"]
Punctuality = Literal["early", "on_time", "late", "unplanned", "repeated"]


@dataclass(frozen=True, slots=True)
class LastFix:
    """The newest position of a van; `age_s` is counted on the installation's clock."""

    t_ms: int
    latitude_deg: float
    longitude_deg: float
    speed_mps: float | None
    bearing_deg: float | None
    ignition: bool | None
    age_s: int


@dataclass(frozen=True, slots=True)
class Place:
    """A site, by its code and its name."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Van:
    """A van as it stands now; `api/states.py` says how `state` is found."""

    code: str
    name: str
    technician: str | None
    state: VanState
    site: Place | None
    last_fix: LastFix | None


@dataclass(frozen=True, slots=True)
class Vans:
    """Every van of the organisation, by code."""

    now_ms: int
    vans: list[Van]


@dataclass(frozen=True, slots=True)
class Visit:
    """A run of fixes inside one site. While `left_at_ms` is null the van is still there."""

    van: str
    site: str
    site_name: str
    arrived_at_ms: int
    last_inside_at_ms: int
    left_at_ms: int | None
    dwell_s: int
    verdict: Verdict
    punctuality: Punctuality | None
    uncertain: bool
    shadowed_by: str | None
    service_date: str
    tour: str | None
    stop: int | None
    window_start_ms: int | None
    window_end_ms: int | None


@dataclass(frozen=True, slots=True)
class Visits:
    """A page of visits, newest arrival first; `next_cursor` is null on the last page."""

    visits: list[Visit]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Alert:
    """A late stop. `late_s` runs until the arrival, or until now while nobody has arrived."""

    alert_id: int
    kind: str
    state: AlertState
    van: str
    technician: str | None
    site: str
    site_name: str
    tour: str
    stop: int
    due_at_ms: int
    arrived_at_ms: int | None
    late_s: int
    reason: str
    raised_ms: int
    changed_ms: int


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts: open ones first, then the most recently changed."""

    alerts: list[Alert]


@dataclass(frozen=True, slots=True)
class StockLevel:
    """What a van holds of one item, all lots together, in base units.

    `below` means at or below the reorder point: the rule that proposes a resupply. An item of the
    van's template that was never counted or moved stands at 0. `on_order` is what open orders to
    this van have still to bring.
    """

    item: str
    name: str
    base_unit: str
    qty: int
    on_order: int
    counted_at_ms: int | None
    reorder_point: int | None
    order_up_to: int | None
    below: bool


@dataclass(frozen=True, slots=True)
class Stock:
    """A van's levels: those below their reorder point first, then by item."""

    van: str
    levels: list[StockLevel]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A resupply order. `units` adds base units over all lines."""

    code: str
    van: str | None
    warehouse: str
    mode: str
    state: OrderState
    cutoff_at_ms: int
    created_ms: int
    lines: int
    units: int


@dataclass(frozen=True, slots=True)
class Orders:
    """Resupply orders, newest cut-off first."""

    orders: list[Order]


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One item of an order; `inputs` is what the decision was made from, frozen at cut-off."""

    item: str
    name: str
    base_unit: str
    requested: int
    received: int
    cancelled: int
    why: str | None
    inputs: dict[str, object]


@dataclass(frozen=True, slots=True)
class OrderWithLines:
    """An order and everything on it."""

    order: Order
    lines: list[OrderLine]


@dataclass(frozen=True, slots=True)
class RejectedReason:
    """How many messages of the last 24 hours were set aside for one reason."""

    reason: str
    count: int
    last_received_ms: int


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message set aside. Only the first bytes are shown; `payload_bytes` is its whole length."""

    rejected_id: str
    topic: str
    van: str | None
    reason: str
    detail: str
    received_ms: int
    payload_bytes: int
    payload_text: str
    payload_base64: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """What could not be used in the last 24 hours, newest first."""

    reasons: list[RejectedReason]
    messages: list[RejectedMessage]


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures on top of the page.

    Today begins at midnight in Paris. On the road: reporting and on duty, so driving, standing or
    at a site. Messages a second and lag are the installation's, over the last minute of real time;
    a lag is null when nothing came, else the smallest power of two milliseconds it stayed under.
    """

    vans_total: int
    vans_seen_today: int
    vans_on_the_road: int
    vans_silent: int
    visits_today: int
    late_stops_today: int
    alerts_open: int
    scans_today: int
    orders_open: int
    rejected_24h: int
    messages_per_s: float
    lag_p50_ms: int | None
    lag_p99_ms: int | None
