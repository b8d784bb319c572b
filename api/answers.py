"""The shape of every JSON answer: frozen data, nothing else.

A field's name ends in its unit. Times are integer milliseconds since 1970 UTC (`_ms`), positions
WGS 84 degrees. This file knows neither the database nor HTTP.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from api.geojson import LineString, Point
from api.roles import Role
from stock_tracker.resupply.why import Phrase

#: A day like 2026-11-20.
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
VanState = Literal["driving", "standing", "at_site", "silent", "off_duty", "never_seen"]
AlertKind = Literal["at_risk", "late", "missed", "overstayed", "silent"]
AlertState = Literal["open", "cleared", "withdrawn"]
Cause = Literal["left_late", "slow_road", "long_visit", "detour", "silence"]
HandlingCause = Literal[
    "traffic", "client_absent", "client_delay", "breakdown", "accident", "missing_part",
    "job_longer", "technician_ill", "plan_wrong", "other",
]  # fmt: skip
QuestionKind = Literal["visit_without_scan", "scan_without_visit", "load_away_from_depot"]
TrustReason = Literal[
    "never_counted", "negative", "old_count", "movements", "unconfirmed", "visits_needing_it",
    "visits_without_scan",
]  # fmt: skip
OrderState = Literal[
    "proposed", "approved", "sent", "picked", "shipped", "received", "cancelled"
]  # fmt: skip
Verdict = Literal["visit", "pass", "undecided"]
Punctuality = Literal["early", "on_time", "late", "unplanned", "repeated"]
Outcome = Literal["planned", "on_site", "done", "skipped"]
StopState = Literal["scheduled", "en_route", "arrived", "completed", "skipped", "missed"]
StopProposalKind = Literal["keep", "reorder", "move"]
ReportKind = Literal["accepted", "picked", "short", "shipped", "delivered", "cancelled"]
TransferState = Literal["proposed", "accepted", "done", "refused"]
DeliveryState = Literal["pending", "retrying", "delivered", "dead"]
UnusableReason = Literal["null_island", "poor_accuracy", "frozen", "jump", "future", "ancient"]


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
class TrackProperties:
    """What is known of a van's fixes beside where they were: a list each, in the order of the points."""

    van: str
    from_ms: int | None
    to_ms: int | None
    truncated: bool
    times_ms: list[int]
    speeds_mps: list[float | None]
    horizontal_accuracies_m: list[float | None]


@dataclass(frozen=True, slots=True)
class Track:
    """A van's fixes as a GeoJSON feature (RFC 7946, 3.2): none has no geometry, one is a point."""

    type: Literal["Feature"]
    geometry: Point | LineString | None
    properties: TrackProperties


@dataclass(frozen=True, slots=True)
class Health:
    """`alive` while the process lives, `ready` while the database answers too."""

    status: Literal["alive", "ready"]


@dataclass(frozen=True, slots=True)
class Place:
    """A site, by its code and its name."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Eta:
    """When a stop will be reached, as foreseen at `made_ms`.

    One arrival in ten is before `early_at_ms`, one in ten after `late_at_ms`; `chance_late`, from 0
    to 1, is that of an arrival after the window's end.
    """

    early_at_ms: int
    expected_at_ms: int
    late_at_ms: int
    chance_late: float
    made_ms: int


@dataclass(frozen=True, slots=True)
class NextStop:
    """The stop that a van is believed to come to next; `alert` is the worst that is open of it."""

    tour: str
    stop_id: int
    stop: int
    site: str
    site_name: str
    window_start_ms: int
    window_end_ms: int
    eta: Eta | None
    alert: AlertKind | None


@dataclass(frozen=True, slots=True)
class Van:
    """A van as it stands now; `api/states.py` says how `state` is found."""

    code: str
    name: str
    technician: str | None
    state: VanState
    site: Place | None
    last_fix: LastFix | None
    next_stop: NextStop | None


@dataclass(frozen=True, slots=True)
class Vans:
    """Every van of the organisation, by code."""

    now_ms: int
    vans: list[Van]


@dataclass(frozen=True, slots=True)
class Visit:
    """A run of fixes inside one site, which the position is of. While `left_at_ms` is null the van is still there."""

    van: str
    site: str
    site_name: str
    latitude_deg: float
    longitude_deg: float
    arrived_at_ms: int
    last_inside_at_ms: int
    left_at_ms: int | None
    dwell_s: int
    verdict: Verdict
    punctuality: Punctuality | None
    uncertain: bool
    shadowed_by: str | None
    service_date: Day
    tour: str | None
    stop: int | None
    window_start_ms: int | None
    window_end_ms: int | None
    wrong_order: bool
    overstayed: bool


@dataclass(frozen=True, slots=True)
class Visits:
    """A page of visits, newest arrival first; `next_cursor` is null on the last page."""

    visits: list[Visit]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TourStop:
    """A planned stop and what became of it; `eta` only while it is still ahead.

    `stop` is its position in the tour, `stop_id` its key, by which proposals are asked for. `parts`
    are what its job needs: base units by the item's ref.
    """

    stop_id: int
    stop: int
    site: str
    site_name: str
    latitude_deg: float
    longitude_deg: float
    window_start_ms: int
    window_end_ms: int
    planned_duration_s: int
    planned_arrival_ms: int | None
    work_order: str | None
    skill: str | None
    parts: dict[str, int]
    outcome: Outcome
    arrived_at_ms: int | None
    left_at_ms: int | None
    punctuality: Punctuality | None
    wrong_order: bool
    overstayed: bool
    eta: Eta | None


@dataclass(frozen=True, slots=True)
class Tour:
    """A van's tour of a day, its stops in the planned order."""

    tour: str
    van: str
    technician: str | None
    date: Day
    stops: list[TourStop]


@dataclass(frozen=True, slots=True)
class MyDay:
    """What a tablet has to know for a day without the network: its tours from `date`, today, on.

    `duty` is what the van's newest status said, null if it never said.
    """

    date: Day
    duty: Literal["on", "off"] | None
    tours: list[Tour]


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """A part that can be carried."""

    item: str
    name: str
    base_unit: str


@dataclass(frozen=True, slots=True)
class CatalogueCode:
    """A bar code as it is scanned, and how many base units one scan of it means."""

    code: str
    item: str
    pack_qty: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All parts and codes, so that a scan can be understood without the network."""

    items: list[CatalogueItem]
    codes: list[CatalogueCode]


@dataclass(frozen=True, slots=True)
class TimelineStop:
    """A stop as a bar: when it was planned, when it is foreseen (`eta`, only while it is ahead), when it was.

    `state` says how it stands (`api/states.py`), `alert` the worst that is open of it.
    """

    stop_id: int
    stop: int
    site: str
    site_name: str
    work_order: str | None
    window_start_ms: int
    window_end_ms: int
    planned_arrival_ms: int | None
    planned_duration_s: int
    state: StopState
    eta: Eta | None
    arrived_at_ms: int | None
    left_at_ms: int | None
    punctuality: Punctuality | None
    alert: AlertKind | None


@dataclass(frozen=True, slots=True)
class TourSummary:
    """A tour on one line: its stops by what became of them, where the van goes next, and each stop in order."""

    tour: str
    van: str
    technician: str | None
    stops: int
    planned: int
    on_site: int
    done: int
    skipped: int
    late: int
    next_stop: NextStop | None
    timeline: list[TimelineStop]


@dataclass(frozen=True, slots=True)
class Tours:
    """Every tour of a day, by van."""

    date: Day
    tours: list[TourSummary]


@dataclass(frozen=True, slots=True)
class ProposedStop:
    """A stop of the proposed order; `stop` is its place in the tour as planned."""

    stop_id: int
    stop: int
    site: str
    site_name: str


@dataclass(frozen=True, slots=True)
class LackingPart:
    """What is not on board, or needed there by other stops, in base units."""

    item: str
    name: str
    qty: int


@dataclass(frozen=True, slots=True)
class OneSide:
    """What happens to one van: minutes late of its other stops, overtime, driving (less if < 0)."""

    gained_min: int
    lost_min: int
    overtime_before_min: int
    overtime_min: int
    extra_drive_min: int
    extra_km: float


@dataclass(frozen=True, slots=True)
class StopProposal:
    """One way to do the stop; `giver` is the van that has it, `taker` the one that would.

    `keep` is the plan, `reorder` the same van at another time, `move` another van. `weighted_min`
    is what all minutes late and half of overtime change by: below zero is better than the plan.
    `POST /v1/replans` carries it out, as long as the plans are those that it is `based_on`.
    """

    kind: StopProposalKind
    words: str
    van: str
    technician: str | None
    expected_before_ms: int
    expected_ms: int
    late_before_min: int
    late_min: int
    weighted_min: int
    slack_min: int
    giver: OneSide
    taker: OneSide | None
    missing: list[LackingPart]
    reordered: bool
    order: list[ProposedStop]
    based_on: str


@dataclass(frozen=True, slots=True)
class StopProposals:
    """What could be done about a stop, best first; `van` has it now. The plan is always among it."""

    now_ms: int
    stop_id: int
    tour: str
    stop: int
    site: str
    site_name: str
    van: str
    skill: str | None
    proposals: list[StopProposal]


@dataclass(frozen=True, slots=True)
class TourEdited:
    """What a tour that was put is now: how many stops were added, changed, left and removed."""

    tour: str
    van: str
    date: Day
    added: int
    changed: int
    unchanged: int
    removed: int


@dataclass(frozen=True, slots=True)
class Replan:
    """A proposal that somebody has carried out: a stop that another van has since, or at another time.

    `tours` are those that it changed, without one that has no stops any more; `edited_since` those of
    them that were edited after it, so that it cannot be undone. `undoable` also says whether a van has
    been there meanwhile.
    """

    replan_id: int
    date: Day
    kind: Literal["reorder", "move"]
    site: str
    site_name: str
    from_van: str
    to_van: str
    tours: list[str]
    applied_by: str
    applied_at_ms: int
    undone_by: str | None
    undone_at_ms: int | None
    edited_since: list[str]
    undoable: bool


@dataclass(frozen=True, slots=True)
class Replans:
    """The replans of a day, newest first."""

    date: Day
    replans: list[Replan]


@dataclass(frozen=True, slots=True)
class SiteEdited:
    """What became of a site that was put; `area` says whether its fence is no circle."""

    site: str
    outcome: Literal["added", "changed", "unchanged"]
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    area: bool


@dataclass(frozen=True, slots=True)
class SiteWindow:
    """A visit that is planned at a site, from today on."""

    date: Day
    tour: str
    van: str
    stop_id: int
    stop: int
    window_start_ms: int
    window_end_ms: int
    work_order: str | None


@dataclass(frozen=True, slots=True)
class Site:
    """A site with its fence: a circle round its point, or what `geometry` says.

    The geometry is GeoJSON (RFC 7946, 3.1), lon-lat; of a line `radius_m` is half the width of its
    corridor. `windows` are the next 20 visits that are planned.
    """

    site: str
    name: str
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    geometry: dict[str, object] | None
    time_zone: str
    client: str | None
    town: str | None
    windows: list[SiteWindow]


@dataclass(frozen=True, slots=True)
class Area:
    """The fence of a site that is no circle, as GeoJSON."""

    site: str
    geometry: dict[str, object]


@dataclass(frozen=True, slots=True)
class Fences:
    """Every fence, for a map: of each site its code, longitude, latitude (degrees) and radius (m).

    `columns` names these in order. A site that is no circle stands in `areas` too; of a line, the radius
    is half the width of its corridor.
    """

    columns: list[str]
    sites: list[tuple[str, float, float, float]]
    areas: list[Area]


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a van's way: a trip, in which it moved, or a halt, in which it stood.

    The place is where it ended. `unplanned`: a halt of 10 minutes or more that no visit covers for
    half of its time. While it is not `closed`, newer fixes may still change it.
    """

    kind: Literal["trip", "halt"]
    started_at_ms: int
    ended_at_ms: int
    closed: bool
    distance_m: int
    driving_s: int
    standing_s: int
    unknown_s: int
    latitude_deg: float
    longitude_deg: float
    unplanned: bool


@dataclass(frozen=True, slots=True)
class LegsOfDay:
    """Sums over the legs that began on one working day, which turns at 3 in the morning in Paris.

    Standing is that of trips: short stops and slow traffic; `halted_s` is the time of all halts,
    `unplanned_s` of the unplanned ones among them.
    """

    date: Day
    trips: int
    halts: int
    unplanned_halts: int
    distance_m: int
    driving_s: int
    standing_s: int
    unknown_s: int
    halted_s: int
    unplanned_s: int


@dataclass(frozen=True, slots=True)
class Legs:
    """A van's legs that began in a range, oldest first, and their sums by day."""

    van: str
    from_ms: int
    to_ms: int
    legs: list[Leg]
    days: list[LegsOfDay]


@dataclass(frozen=True, slots=True)
class UnusableByReason:
    """How many fixes were kept but not used for one reason, over all vans."""

    reason: UnusableReason
    count: int
    vans: int


@dataclass(frozen=True, slots=True)
class UnusableByVan:
    """As above for one van; `van` is null where a rejected message named none that exists."""

    van: str | None
    reason: UnusableReason
    count: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why fixes were not used, the most frequent reason first.

    `future` and `ancient` count rejected messages by when they came: what their fixes say of the
    time is what is wrong with them. The others count stored fixes by their own time.
    """

    from_ms: int
    to_ms: int
    reasons: list[UnusableByReason]
    vans: list[UnusableByVan]


@dataclass(frozen=True, slots=True)
class AlertHandling:
    """What people did about an alert; people are named by their logins.

    `cause` is what somebody found out, beside that of the alert, which is what messages tell. `version`
    grows with every change.
    """

    acknowledged_by: str | None
    acknowledged_at_ms: int | None
    snoozed_until_ms: int | None
    owner: str | None
    cause: HandlingCause | None
    note: str | None
    version: int


@dataclass(frozen=True, slots=True)
class Alert:
    """What a planner should know of a stop; of a `silent` van, and then without a stop.

    `due_at_ms` is the window's end, when an overstay began, the last fix before a silence;
    `ended_at_ms` the arrival, the departure, the first fix after it. `minutes` is how late
    (expected or real), how long over, how long silent, as known at `changed_ms`; `lasting_s` runs
    from `due_at_ms` to the end, or to now while there is none. `pushes` are the positions of stops
    that it will make late next. `told`: planners were sent it. `handling` is null while nobody has
    done anything; it goes with the alert when that is withdrawn and raised again.
    """

    alert_id: int
    kind: AlertKind
    state: AlertState
    van: str
    technician: str | None
    site: str | None
    site_name: str | None
    tour: str | None
    stop_id: int | None
    stop: int | None
    due_at_ms: int
    ended_at_ms: int | None
    minutes: int | None
    lasting_s: int
    cause: Cause | None
    pushes: list[int]
    reason: str
    told: bool
    raised_ms: int
    changed_ms: int
    handling: AlertHandling | None


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts: open ones first, then the most recently changed."""

    alerts: list[Alert]


@dataclass(frozen=True, slots=True)
class AlertAction:
    """Who changed what about an alert: `changes` are new values by field."""

    at_ms: int
    by: str
    changes: dict[str, bool | int | str | None]


@dataclass(frozen=True, slots=True)
class AlertWithHistory:
    """An alert and what people did about it, oldest first."""

    alert: Alert
    history: list[AlertAction]


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody with an account, as others see them."""

    login: str
    name: str


@dataclass(frozen=True, slots=True)
class People:
    """People by name."""

    people: list[Colleague]


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
class Charge:
    """Something done with parts, in base units, and the visit and job that it is charged to.

    The visit is the last that had begun, if the van had not left for more than 10 minutes; null where
    there is none.
    """

    t_ms: int
    van: str
    kind: str
    item: str
    name: str
    base_unit: str
    lot: str
    qty: int
    site: str | None
    site_name: str | None
    arrived_at_ms: int | None
    tour: str | None
    stop: int | None
    work_order: str | None


@dataclass(frozen=True, slots=True)
class Charges:
    """What was done with parts, newest first."""

    charges: list[Charge]
    truncated: bool


@dataclass(frozen=True, slots=True)
class StockQuestion:
    """Something about parts that a person should ask, in the order of its time.

    `qty` is what the job of a visit without a scan was to need, if the plan says so; else what was
    scanned.
    """

    kind: QuestionKind
    t_ms: int
    van: str
    technician: str | None
    site: str | None
    site_name: str | None
    arrived_at_ms: int | None
    tour: str | None
    stop: int | None
    item: str | None
    name: str | None
    qty: int | None


@dataclass(frozen=True, slots=True)
class StockQuestions:
    """What to ask about, newest first."""

    questions: list[StockQuestion]
    truncated: bool


@dataclass(frozen=True, slots=True)
class UnknownCode:
    """A code that vans have scanned and nobody has entered; its scans take effect once it is.

    `code` replaces what is no UTF-8; `code_base64` holds the bytes.
    """

    code: str
    code_base64: str
    scans: int
    vans: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class UnknownCodes:
    """Unknown codes, those scanned most often first."""

    codes: list[UnknownCode]
    truncated: bool


@dataclass(frozen=True, slots=True)
class StockFigures:
    """How well vans were stocked in a period; a share, from 0 to 1, is null where it is of nothing.

    Of the units that jobs asked for, `units_had` were issued; the others were scanned as missing. A
    job (its work order, else the visit) is `complete` if nothing was missing.

    `pairs` are a van and an item that it should hold, `pair_hours` the hours in which something was
    known of them, `out_hours` those of them in which nothing was on board. What a van should hold is
    what its template says now, or an exception at the end of the period.

    `counts` are the counted lines that had an earlier count to start from: `exact` found what was
    expected, `close` was off by no more than 1 unit or 10 %.
    """

    from_ms: int
    to_ms: int
    units_asked: int
    units_had: int
    units_share: float | None
    jobs: int
    jobs_complete: int
    jobs_share: float | None
    pairs: int
    pair_hours: float
    out_hours: float
    out_share: float | None
    counts: int
    counts_exact: int
    exact_share: float | None
    counts_close: int
    close_share: float | None


@dataclass(frozen=True, slots=True)
class MissingPart:
    """An item that vans had not when jobs needed it, and how often.

    `jobs` lacked it, `units` in base units; `scans` also counts what belongs to no known job.
    """

    item: str
    name: str
    base_unit: str
    jobs: int
    units: int
    scans: int


@dataclass(frozen=True, slots=True)
class MissingParts:
    """Parts whose lack cost jobs their first-time fix, those that most jobs lacked first."""

    from_ms: int
    to_ms: int
    items: list[MissingPart]
    truncated: bool


@dataclass(frozen=True, slots=True)
class DeadItem:
    """What lies in a van unused; `value` is its quantity times the item's cost.

    Something is known of it there since `known_since_ms`: what came on board lately has had no
    chance yet.
    """

    van: str
    item: str
    name: str
    base_unit: str
    qty: int
    value: float
    last_issued_ms: int | None
    known_since_ms: int | None


@dataclass(frozen=True, slots=True)
class DeadStock:
    """What no van has issued for `days`, most valuable first; the sums are over all of it."""

    days: int
    pairs: int
    units: int
    value: float
    items: list[DeadItem]
    truncated: bool


@dataclass(frozen=True, slots=True)
class TrustedPair:
    """How far a van's level of an item can be believed, from 0 to 1, and why no further.

    `reasons` are those that cost 1 % or more, the worst first. Movements and visits are those since
    the last count, visits those that were planned and ended without a scan; of them
    `visits_needing_it` had a job that was to need the item. `worth` is what a count is worth: the
    chance that the level is wrong, times the item's cost.
    """

    van: str
    item: str
    name: str
    base_unit: str
    qty: int
    trust: float
    worth: float
    counted_at_ms: int | None
    movements: int
    visits_needing_it: int
    visits_without_scan: int
    reasons: list[TrustReason]


@dataclass(frozen=True, slots=True)
class TrustedPairs:
    """Pairs of a van and an item, the least trusted first."""

    pairs: list[TrustedPair]
    truncated: bool


@dataclass(frozen=True, slots=True)
class WaitingScan:
    """A scan that has no effect yet: of a time to come, or so old that a person decides."""

    van: str
    epoch: str
    seq: int
    t_ms: int
    received_ms: int
    intent: str
    code: str
    qty: int | None
    status: Literal["held", "review"]


@dataclass(frozen=True, slots=True)
class WaitingScans:
    """Scans that wait, oldest first."""

    scans: list[WaitingScan]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A resupply order. `units` adds base units over all lines, as do `picked` to `cancelled`.

    `accepted` once the warehouse has said that it works on it.
    `due_at_ms` is when it should be there; an `urgent` one is for one job, and may go to its `site`.
    `approved_by` is an account (`user:LOGIN`, `machine:CLIENT`), or `rule` where no person has to.
    """

    code: str
    van: str | None
    warehouse: str
    mode: str
    state: OrderState
    cutoff_at_ms: int
    created_ms: int
    lines: int
    units: int
    picked: int
    shipped: int
    received: int
    cancelled: int
    accepted: bool
    due_at_ms: int | None
    urgent: bool
    site: str | None
    approved_by: str | None


@dataclass(frozen=True, slots=True)
class LineOfOrder:
    """An item of a resupply order, with whose order it is; quantities in base units.

    `allocated` is what the warehouse had for it, null where its stock is not followed; `instead_of` the lacking
    item that it replaces. `site` is where an urgent order goes.
    """

    order: str
    van: str | None
    site: str | None
    warehouse: str
    state: OrderState
    cutoff_at_ms: int
    due_at_ms: int | None
    item: str
    name: str
    base_unit: str
    requested: int
    allocated: int | None
    picked: int
    shipped: int
    received: int
    cancelled: int
    instead_of: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class LinesOfOrders:
    """Lines of resupply orders, newest cut-off first, then by item."""

    lines: list[LineOfOrder]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Orders:
    """Resupply orders, newest cut-off first. `total` counts all that were asked for, beyond the limit too."""

    orders: list[Order]
    total: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One item of an order; `inputs` is what the decision was made from, frozen at cut-off.

    `allocated` is what the warehouse had for it, null where its stock is not followed; `bin` is where
    it lies there, `instead_of` the lacking item that it replaces. `codes` are the item's bar codes, each
    with the base units that one scan of it means. `because` says in phrases what `why` says in
    English: it is empty where the inputs do not tell.
    """

    item: str
    name: str
    base_unit: str
    codes: dict[str, int]
    bin: str | None
    requested: int
    allocated: int | None
    picked: int
    shipped: int
    received: int
    cancelled: int
    instead_of: str | None
    why: str | None
    because: list[Phrase]
    inputs: dict[str, object]


@dataclass(frozen=True, slots=True)
class Report:
    """What the warehouse said of an order. One whose id came with two payloads does not count.

    `posted_by` is the account that was signed in, if it came by HTTP; `author` is a name as the
    warehouse's own system says it, which nobody has checked.
    """

    id: str
    kind: ReportKind
    t_ms: int
    sscc: str | None
    author: str | None
    posted_by: str | None
    counts: bool


@dataclass(frozen=True, slots=True)
class OrderWithLines:
    """An order, everything on it, and what the warehouse said of it."""

    order: Order
    lines: list[OrderLine]
    reports: list[Report]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the next cut-off will order. `short` of it jobs need before the next delivery.

    `waits` is true where the level is unconfirmed: it is ordered once somebody counts or approves.
    `approved_by` is the account that did. `because` says in phrases what `why` says in English.
    """

    van: str
    item: str
    name: str
    base_unit: str
    qty: int
    short: int
    waits: bool
    approved_by: str | None
    why: str
    because: list[Phrase]
    inputs: dict[str, object]


@dataclass(frozen=True, slots=True)
class Proposals:
    """Proposals: what jobs lack first, then by van and item."""

    proposals: list[Proposal]
    truncated: bool


@dataclass(frozen=True, slots=True)
class PolicyProposal:
    """What a template line should be by demand; `order_up_to` 0 is no longer carried.

    What is now is null where the template has no such line. `units_a_week` is the use of all its vans,
    `fill_share` the share of requests, from 0 to 1, that the line would serve.
    """

    template: str
    item: str
    name: str
    base_unit: str
    reorder_point_now: int | None
    order_up_to_now: int | None
    reorder_point: int | None
    order_up_to: int
    cap: int
    units_a_week: float
    fill_share: float
    reason: str
    made_ms: int


@dataclass(frozen=True, slots=True)
class PolicyProposals:
    """Proposed lines of templates, those that most is used of first."""

    proposals: list[PolicyProposal]
    truncated: bool


@dataclass(frozen=True, slots=True)
class AcceptedPolicy:
    """How many lines of the template changed."""

    lines: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Parts that one van could hand to another; `until_ms` is when that comes too late.

    `decided_by` is the account that accepted or refused it, or `time`. `because` says in phrases
    what `why` says in English.
    """

    transfer_id: int
    from_van: str
    to_van: str
    item: str
    name: str
    qty: int
    state: TransferState
    created_ms: int
    until_ms: int
    work_order: str | None
    decided_by: str | None
    why: str
    because: list[Phrase]


@dataclass(frozen=True, slots=True)
class Transfers:
    """Transfers, newest first."""

    transfers: list[Transfer]


@dataclass(frozen=True, slots=True)
class ReportTaken:
    """A report is on its way to where all reports are read; this is its id."""

    id: str


@dataclass(frozen=True, slots=True)
class NewBox:
    """The number (SSCC) of a box that is being packed: print its label, name it when it is shipped."""

    sscc: str


@dataclass(frozen=True, slots=True)
class UnclaimedBox:
    """A box that was left at a home or a site, and that no van has received."""

    sscc: str
    order: str
    van: str
    mode: str
    technician: str | None
    site: str | None
    delivered_ms: int
    lines: int
    units: int


@dataclass(frozen=True, slots=True)
class UnclaimedBoxes:
    """Boxes that wait, longest first."""

    boxes: list[UnclaimedBox]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Variance:
    """What a count found beyond what was booked. A scan that comes late may still explain it."""

    t_ms: int
    van: str | None
    warehouse: str | None
    item: str
    name: str
    lot: str
    counted: int
    expected: int
    variance: int


@dataclass(frozen=True, slots=True)
class Variances:
    """Variances of counts, newest first; first counts have none."""

    variances: list[Variance]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Recount:
    """What a van was asked to count again, and why."""

    van: str
    item: str
    name: str
    qty: int
    reason: Literal["negative", "unconfirmed"]
    asked_ms: int


@dataclass(frozen=True, slots=True)
class Recounts:
    """What is to be counted again, by van and item."""

    recounts: list[Recount]
    truncated: bool


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
class Device:
    """When a van was last heard of, and how.

    `behind_s` is how much later than its own time its newest position came: much of it is a poor link,
    less than 0 a clock ahead. `credentials` are those that are good at the broker.
    """

    van: str
    technician: str | None
    heard_ms: int | None
    position_ms: int | None
    behind_s: float | None
    state: Literal["online", "offline"] | None
    credentials: int
    rejected_24h: int
    not_kept: int


@dataclass(frozen=True, slots=True)
class Devices:
    """Every van by when it was last heard of, those never heard of first."""

    now_ms: int
    devices: list[Device]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages of one kind that the relay has not published yet."""

    kind: str
    messages: int
    oldest_ms: int


@dataclass(frozen=True, slots=True)
class Outbox:
    """What waits to be published, the longest waiting first."""

    waiting: list[Waiting]


@dataclass(frozen=True, slots=True)
class Database:
    """How the database does; `timescaledb` is null where the server has none."""

    version: str
    timescaledb: str | None
    size_bytes: int
    connections: int
    connections_max: int


@dataclass(frozen=True, slots=True)
class WhatBroker:
    """How the broker does; `share` is how full it is of what it may keep, and at 1 vans are refused."""

    well: bool
    detail: str
    messages: int | None
    held_bytes: int | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Servers:
    """How the servers do. `broker` is null where it is not watched; `pages` are open at this moment."""

    database: Database
    broker: WhatBroker | None
    pages: int


@dataclass(frozen=True, slots=True)
class Action:
    """Something that an operator did by hand; `done_by` is an account (`user:LOGIN`, `machine:CLIENT`)."""

    done_ms: int
    done_by: str
    action: Literal["replay", "discard", "map_code", "resend"]
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Actions:
    """What operators did, the newest first; `truncated` if there is more."""

    actions: list[Action]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told by HTTP. Of its URL only the part that is no secret."""

    webhook_id: int
    receiver: str
    topics: list[str]
    active: bool
    off_reason: str | None
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class Webhooks:
    """All webhooks of the organisation, by id."""

    webhooks: list[Webhook]


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A message for a webhook, and what became of it; times are those of the server's machine.

    `message_id` is the `webhook-id` that the receiver sees. `next_try_ms` is null unless it is being
    retried, `changed_ms` while nothing has happened yet.
    """

    delivery_id: int
    message_id: str
    webhook_id: int
    receiver: str
    topic: str
    state: DeliveryState
    attempts: int
    next_try_ms: int | None
    last_status: int | None
    last_error: str | None
    changed_ms: int | None


@dataclass(frozen=True, slots=True)
class WebhookDeliveries:
    """Deliveries, the ones last changed first; `counts` are of all, by state."""

    counts: dict[DeliveryState, int]
    deliveries: list[WebhookDelivery]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What the last run of deletion did to a table; the day is null before the first.

    `oldest_left_ms` is of what was left then, null if nothing was; `done` whether that run is complete.
    """

    table: str
    day: Day | None
    rows: int
    oldest_left_ms: int | None
    done: bool


@dataclass(frozen=True, slots=True)
class Purpose:
    """What some tables are kept for, for how many days, and so since when."""

    name: str
    purpose: str
    days: int
    since_ms: int
    tables: list[Deleted]


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept for how long, and the proof that the rest is gone."""

    purposes: list[Purpose]


@dataclass(frozen=True, slots=True)
class Basemap:
    """What the pages' maps are drawn on; both null: the map that is built in.

    `style_url` is a MapLibre style, `tiles_url` one file of vector tiles, read in ranges.
    """

    style_url: str | None
    tiles_url: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures on top of the page.

    Today begins at midnight in Paris. On the road: reporting and on duty, so driving, standing or
    at a site. Stops are late or at risk while such an alert is open; an alert is open until it has
    ended, but a missed stop, which never ends, counts for 12 hours. Messages a second and lag are
    the installation's, over the last minute of real time; a lag is null when nothing came, else the
    smallest power of two milliseconds it stayed under.
    """

    vans_total: int
    vans_seen_today: int
    vans_on_the_road: int
    vans_silent: int
    visits_today: int
    late_stops_today: int
    stops_late: int
    vans_late: int
    stops_at_risk: int
    vans_at_risk: int
    alerts_open: int
    scans_today: int
    orders_open: int
    rejected_24h: int
    messages_per_s: float
    lag_p50_ms: int | None
    lag_p99_ms: int | None


# ---- what somebody looks for ----


@dataclass(frozen=True, slots=True)
class FoundVan:
    """A van that was found, and who drives it."""

    code: str
    name: str
    technician: str | None


@dataclass(frozen=True, slots=True)
class FoundTechnician:
    """A technician who was found, and a van that they drive."""

    code: str
    name: str
    van: str | None


@dataclass(frozen=True, slots=True)
class FoundSite:
    """A site that was found."""

    code: str
    name: str
    town: str | None


@dataclass(frozen=True, slots=True)
class FoundItem:
    """An item that was found; `barcode` is the one by which."""

    item: str
    name: str
    barcode: str | None


@dataclass(frozen=True, slots=True)
class FoundOrder:
    """A resupply order that was found."""

    code: str
    van: str | None
    state: OrderState


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of each kind, the best first."""

    q: str
    vans: list[FoundVan]
    technicians: list[FoundTechnician]
    sites: list[FoundSite]
    items: list[FoundItem]
    orders: list[FoundOrder]


# ---- who is signed in ----


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Who is signed in, and as what.

    `csrf_token` goes into the header `X-CSRF-Token` of every request that changes something; a
    program needs none. `vans` are those that a technician drives. `time_zone` is where the work is.
    By `now_ms`, and by how many seconds of the installation pass in a real one (`clock_factor`), a device
    whose own clock is wrong tells its times.
    """

    login: str
    name: str
    role: Role
    vans: list[str]
    time_zone: str
    csrf_token: str | None
    now_ms: int
    clock_factor: float


@dataclass(frozen=True, slots=True)
class SignInWays:
    """How one can sign in; `provider` is the name of the identity provider, if there is one."""

    password: bool
    provider: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token for a program, as RFC 6749 has it."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: Role


# ---- for those who are visited ----


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """A visit that is planned at a site, or was.

    It is expected between `early_at_ms` and `late_at_ms` (nine arrivals in ten are before the
    latter), as foreseen at `made_ms`; all three are null where nothing is foreseen yet, or any more.
    """

    site: str
    site_name: str
    client: str | None
    date: Day
    window_start_ms: int
    window_end_ms: int
    planned_duration_s: int
    work_order: str | None
    technician: str | None
    outcome: Outcome
    arrived_at_ms: int | None
    left_at_ms: int | None
    early_at_ms: int | None
    late_at_ms: int | None
    made_ms: int | None


@dataclass(frozen=True, slots=True)
class Planning:
    """Visits that are planned at sites; `truncated` if there are more than were asked for."""

    now_ms: int
    visits: list[PlannedVisit]
    truncated: bool


@dataclass(frozen=True, slots=True)
class PartUsed:
    """A part that was used at a visit, or taken back, in base units."""

    item: str
    name: str
    base_unit: str
    kind: str
    qty: int


@dataclass(frozen=True, slots=True)
class SignedReport:
    """What the technician wrote of a visit, and who signed it at `t_ms`; the PDF has the signature.

    `signer` is null where the client was `absent`.
    """

    report: str
    t_ms: int
    work: str
    work_order: str | None
    author: str | None
    signer: str | None
    signer_role: str | None
    absent: bool


@dataclass(frozen=True, slots=True)
class VisitReport:
    """What was done at a site: who was there from when to when, with which parts, who signed.

    Times come from where the van was; `uncertain` if it was last seen more than five minutes before
    it was seen elsewhere. `left_at_ms` is null while it is there. All of them are null of a report that
    was written of a site where the van was not seen. `signed` is in the order of writing.
    """

    site: str
    site_name: str
    client: str | None
    technician: str | None
    arrived_at_ms: int | None
    last_inside_at_ms: int | None
    left_at_ms: int | None
    dwell_s: int | None
    uncertain: bool
    window_start_ms: int | None
    window_end_ms: int | None
    work_order: str | None
    parts: list[PartUsed]
    signed: list[SignedReport]


@dataclass(frozen=True, slots=True)
class VisitReports:
    """Reports of visits, newest first; `truncated` if there are more than were asked for."""

    reports: list[VisitReport]
    truncated: bool


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """Somebody looked at where a van was within an hour that began at `hour_ms`.

    `position`: at where it was at that moment, among others on the page; `track`: at its way.
    """

    hour_ms: int
    van: str
    what: Literal["track", "position"]
    who: str
    role: str


@dataclass(frozen=True, slots=True)
class AccessEntries:
    """Who looked at where one's van is or was, newest first."""

    entries: list[AccessEntry]
    truncated: bool


# ---- for tablets ----


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event of a batch that has no effect, and why; `index` is its place in the batch.

    `conflict`: its key has another payload too, and both are set aside. `over_quota`: it is not kept.
    `unknown_kind` and `too_large` were not taken at all. All others stand among the rejected messages.
    """

    index: int
    seq: int | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class BatchTaken:
    """What became of a batch: how many of its events are not committed yet, and what had no effect.

    `acked_through` says, by epoch, up to which seq everything is committed, as a receipt does.
    """

    acked_through: dict[str, int]
    rejected: list[RejectedEvent]
    pending: int


# ---- what base and vans write to one another ----


@dataclass(frozen=True, slots=True)
class Message:
    """A message from the base to a van, or the other way.

    `author` is a person's name; null where Cordée itself speaks of orders and counts. One of the base is
    delivered and read when the tablet says so, one of a van is delivered when it is stored. `number` is
    null while it is still on its way.
    """

    id: str
    number: int | None
    van: str
    from_base: bool
    kind: Literal["message", "count_request", "order_news"]
    author: str | None
    text: str
    order: str | None
    items: list[str]
    in_reply_to: str | None
    sent_ms: int
    delivered_ms: int | None
    read_ms: int | None


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages by number, the lowest first; `after` is what to ask with for those that come next."""

    messages: list[Message]
    after: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class UnreadMessages:
    """How many messages of a van nobody of the base has read, and when the newest was written."""

    van: str
    unread: int
    newest_ms: int
