"""From a decoded batch and what the tables say to what has to be written. Pure.

`apply` is where the rules of `geofence` and `stock_tracker` meet the batch; a new rule about alerts
belongs in `geofence/alerts.py`, and reaches the tables and the planners through here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from geofence import alerts, changes
from geofence.alerts import AlertChange, LiveAlert, Presence
from geofence.changes import Known, Said, VanChanges
from geofence.duty import WorkingCalendar
from geofence.fences import Fences
from geofence.reread import Course
from geofence.tours import Stop
from ingest import messages
from ingest.batch import Batch, Rejection, ReportEvent, StatusEvent, Van, VisitReportEvent
from stock_tracker import barcodes, ledger
from stock_tracker.ledger import CountTask
from stock_tracker.resupply.orders import KnownOrder, Order, Report, ReportLine, Shipped
from stock_tracker.resupply.urgent import Handover

SOURCE: Final = "urn:cordee:ingest"


@dataclass(frozen=True, slots=True)
class Reference:
    """Vans, sites and working calendars, as of one version of the reference data.

    `kept_since` is up to where positions have been deleted because their time was over.
    """

    version: int
    vans: Mapping[str, Van]
    fences: Fences
    organisation_of: Mapping[int, int]
    calendars: Mapping[int, WorkingCalendar] = field(default_factory=dict)
    kept_since: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What the engine has read of a batch's vans, and what the tables say of them and the scans."""

    courses: Sequence[Course] = ()
    said: Mapping[int, Said] = field(default_factory=dict)
    known: Mapping[int, Known] = field(default_factory=dict)
    scan_hashes: Mapping[ledger.ScanKey, set[int]] = field(default_factory=dict)
    articles: Mapping[str, ledger.Article] = field(default_factory=dict)
    orders: Mapping[str, KnownOrder] = field(default_factory=dict)
    items: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for the outbox; webhooks of its organisation may have it too.

    One for a van's inbox is also kept in words, for tablets that ask by HTTP.
    """

    topic: str
    payload: bytes
    organisation_id: int | None
    inbox: tuple[str, messages.InboxMessage] | None = None


@dataclass(frozen=True, slots=True)
class ToldVisit:
    """A visit report that is new, its stable name, and whether its key has another payload too."""

    event: VisitReportEvent
    report: str
    is_contested: bool


@dataclass(slots=True)
class Changes:
    """What to write in the batch's transaction."""

    vans: dict[int, VanChanges] = field(default_factory=dict)
    alerts: list[AlertChange] = field(default_factory=list)
    scans: list[ledger.Reading] = field(default_factory=list)
    conflicting: list[ledger.ScanEvent] = field(default_factory=list)
    contested: set[ledger.ScanKey] = field(default_factory=set)
    statuses: list[StatusEvent] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def apply(batch: Batch, state: State, reference: Reference, now: int) -> Changes:
    """Return what a batch changes.

    Args:
        batch: Decoded.
        state: What was read.
        reference: Vans and sites.
        now: The present, ms since 1970 UTC.
    """
    made = Changes(statuses=_newest(batch.statuses))
    for van_id, said in state.said.items():
        known = state.known.get(van_id, NOTHING_KNOWN)
        made.vans[van_id] = changes.revise(van_id, said, known, reference.fences)
        made.alerts += _alerts(made.vans[van_id], known, {van_id: said.through}, now)
    sorted_scans = ledger.sort(batch.scans, state.scan_hashes)
    made.conflicting, made.contested = sorted_scans.conflicting, sorted_scans.contested
    for scan in sorted_scans.fresh:
        if (status := ledger.untimely(scan.t, now)) is not None:
            made.scans.append(ledger.Reading(scan, status))
            continue
        found = barcodes.look_up(scan.code, state.articles, scan.aim_id)
        places = _places(scan, reference.vans)
        sscc = barcodes.sscc(scan.code, scan.aim_id)
        made.scans.append(ledger.read(scan, found, places, sscc))
    for event in batch.reports:
        match _report(event, state):
            case Report() as report:
                made.reports.append(report)
            case Rejection() as rejection:
                made.rejections.append(rejection)
    return made


def _report(event: ReportEvent, state: State) -> Report | Rejection:
    """Return a report with the order and the items that it is about, or why it cannot be used."""
    said, order = event.said, state.orders.get(event.said.order)
    topic, payload = event.delivery.topic, event.delivery.payload
    if order is None or order.warehouse != event.warehouse:
        detail = f"warehouse {event.warehouse} has no order {said.order!r}"
        return Rejection(topic, payload, "unknown_order", detail)
    unknown = sorted({line.item for line in said.lines} - state.items.keys())
    if unknown:
        detail = f"no item is called {', '.join(unknown)}: import it, then replay this message"
        return Rejection(topic, payload, "unknown_item", detail)
    lines = tuple(
        ReportLine(state.items[line.item], line.qty, line.lot or "", line.reason, line.backorder)
        for line in said.lines
    )
    return Report(
        order.warehouse_id, said.id, event.payload_hash, order.order_id, said.t, said.kind, lines,
        said.sscc, said.user, payload,
    )  # fmt: skip


NOTHING_KNOWN: Final = Known()


def _alerts(
    changed: VanChanges, known: Known, seen_at: Mapping[int, int], now: int
) -> list[AlertChange]:
    """Return what becomes of the alerts of the stops on the days that were matched anew."""
    return alerts.settle_stops(
        [stop for stop in known.stops if stop.service_date in changed.days],
        {
            visit.stop_id: Presence(
                visit.arrived_at, visit.last_inside_at, visit.left_at, visit.overstayed
            )
            for visit in changed.matched
            if visit.stop_id is not None
        },
        {alert.key: alert for alert in known.alerts},
        seen_at,
        now,
    )


def tick(
    due: Sequence[Stop], live: Iterable[LiveAlert], seen_at: Mapping[int, int], now: int
) -> list[AlertChange]:
    """Return what the clock alone changes: stops whose window, or day, has ended unmet."""
    return alerts.settle_stops(due, {}, {alert.key: alert for alert in live}, seen_at, now)


def _newest(statuses: Iterable[StatusEvent]) -> list[StatusEvent]:
    """Return the newest status of each van; of equals, the greater by value."""
    newest: dict[int, StatusEvent] = {}
    for status in statuses:
        best = newest.get(status.van_id)
        if best is None or _rank(status) > _rank(best):
            newest[status.van_id] = status
    return list(newest.values())


def _rank(status: StatusEvent) -> tuple[int, str, str]:
    return status.t, status.state, status.duty or ""


def _places(scan: ledger.ScanEvent, vans: Mapping[str, Van]) -> Mapping[str, int]:
    places = vans[scan.key.device].places
    if scan.counterpart is None:
        return places
    return {**places, "counterpart": vans[scan.counterpart].places["van"]}


def alert_messages(
    made: Iterable[AlertChange], vans: Mapping[int, Van], now: int
) -> list[Outgoing]:
    """Return the planner's messages for the changes that are news, as CloudEvents.

    Args:
        made: What has become of alerts.
        vans: Their vans, by their ids.
        now: The present, ms since 1970 UTC.
    """
    return [
        Outgoing(
            f"planner/v1/alerts/{van.code}",
            msgspec.json.encode(_alert_event(change, van.code, now)),
            van.organisation_id,
        )
        for change, van in ((change, vans[change.subject.van_id]) for change in made)
        if change.news is not None
    ]


def _alert_event(change: AlertChange, van: str, now: int) -> messages.AlertEvent:
    subject, fact = change.subject, change.fact
    about = subject.stop.stop_id if subject.stop else f"{van}-{fact.due_at}"
    return messages.AlertEvent(
        id=f"{subject.kind}-{about}-{change.news}-{now}",
        source=SOURCE,
        type=f"cordee.alert.{change.news}.v1",  # type: ignore[arg-type]
        time=_rfc3339(now),
        subject=van,
        data=messages.Alert(
            van=van,
            kind=subject.kind,
            state=change.news,  # type: ignore[arg-type]
            site=subject.stop.site_code if subject.stop else None,
            tour=subject.stop.tour_code if subject.stop else None,
            stop=subject.stop.position if subject.stop else None,
            due_t=fact.due_at,
            reason=fact.reason,
            arrived_t=fact.ended_at,
            minutes=fact.minutes,
            cause=fact.cause,
            pushes=list(fact.pushes),
        ),
    )


def order_messages(orders: Iterable[Order], now: int) -> list[Outgoing]:
    """Return the warehouse's messages for new orders, as CloudEvents with the order as id."""
    return [
        Outgoing(
            f"warehouse/v1/orders/{order.code}",
            msgspec.json.encode(
                messages.OrderEvent(
                    id=order.code,
                    source=SOURCE,
                    type="cordee.order.sent.v1",
                    time=_rfc3339(now),
                    subject=order.code,
                    data=messages.ResupplyOrder(
                        order=order.code,
                        warehouse=order.warehouse_code,
                        van=order.van_code,
                        mode=order.mode,
                        cutoff_t=round(order.cutoff_at.timestamp() * 1_000),
                        due_t=round(order.due_at.timestamp() * 1_000),
                        urgent=order.is_urgent,
                        site=order.site_code,
                        lines=[
                            messages.OrderLine(
                                item=line.ref,
                                name=line.name,
                                qty=line.qty,
                                why=str(line.inputs["why"]),
                                allocated=line.allocated,
                            )
                            for line in order.lines
                        ],
                    ),
                )
            ),
            order.organisation_id,
        )
        for order in orders
    ]


def visit_report_messages(
    told: Iterable[ToldVisit], vans: Mapping[int, Van], now: int
) -> list[Outgoing]:
    """Return what others are told of new visit reports, as CloudEvents."""
    made = []
    for it in told:
        van, said = vans[it.event.van_id], it.event.said
        kind = "report_set_aside" if it.is_contested else "reported"
        event = messages.VisitReportEvent(
            id=f"{kind}-{it.report}-{it.event.payload_hash & (2**64 - 1):016x}",
            source=SOURCE,
            type=f"cordee.visit.{kind}.v1",  # type: ignore[arg-type]
            time=_rfc3339(now),
            subject=van.code,
            data=messages.SignedVisit(
                report=it.report,
                van=van.code,
                site=said.site,
                t=said.t,
                absent=said.absent,
                work=said.work,
                stop=said.stop,
                work_order=said.work_order,
                user=said.user,
                signer=said.signer,
                signer_role=said.signer_role,
            ),
        )
        topic = f"planner/v1/visit-reports/{van.code}"
        made.append(Outgoing(topic, msgspec.json.encode(event), van.organisation_id))
    return made


def receipt_messages(through: Iterable[tuple[str, str, int]]) -> list[Outgoing]:
    """Return the tablets' receipts for (device, epoch, through); nothing to say before seq 1."""
    return [
        Outgoing(
            f"fleet/v1/{device}/receipt", msgspec.json.encode(messages.Receipt(epoch, seq)), None
        )
        for device, epoch, seq in through
        if seq > 0
    ]


def shipped_messages(boxes: Iterable[Shipped], now: int) -> list[Outgoing]:
    """Return what tells technicians that a box is on its way to them."""
    return [
        _to_inbox(
            box.van,
            messages.InboxMessage(
                id=f"shipped-{box.order}-{box.report}",
                t=now,
                kind="order_news",
                text=f"{box.order} is on its way: {box.lines} lines, {WHERE_TO[box.mode]}.",
                order=box.order,
            ),
        )
        for box in boxes
    ]


WHERE_TO: Final = {"van": "to your van", "home": "to your home", "site": "to the site of its job"}


def handover_messages(handovers: Iterable[Handover], now: int) -> list[Outgoing]:
    """Return what tells two technicians that one is to hand parts to the other."""
    made = []
    for it in handovers:
        what = f"{it.qty} of {it.name} ({it.ref})"
        for van, text in (
            (
                it.giver,
                f"Please hand {what} to {it.receiver} when your ways cross; scan a transfer.",
            ),
            (it.receiver, f"{it.giver} has {what} for you: your ways cross."),
        ):
            message = messages.InboxMessage(
                f"transfer-{it.transfer_id}-{van}", now, "message", text, items=[it.ref]
            )
            made.append(_to_inbox(van, message))
    return made


def _to_inbox(van: str, message: messages.InboxMessage) -> Outgoing:
    payload = msgspec.json.encode(message)
    return Outgoing(f"fleet/v1/{van}/inbox", payload, None, (van, message))


WHY_COUNT: Final = {
    "negative": "less than nothing is booked",
    "unconfirmed": "the last count found something else than was booked",
}


def count_messages(tasks: Iterable[CountTask], now: int) -> list[Outgoing]:
    """Return what asks tablets to count items again: one message a van and reason."""
    items: dict[tuple[str, str], list[str]] = defaultdict(list)
    for task in tasks:
        items[task.van, task.reason].append(task.ref)
    return [
        _to_inbox(
            van,
            messages.InboxMessage(
                id=f"count-{van}-{reason}-{now}",
                t=now,
                kind="count_request",
                text=f"Please count when you are parked: {WHY_COUNT[reason]}.",
                items=refs,
            ),
        )
        for (van, reason), refs in items.items()
    ]


def _rfc3339(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1_000, UTC).isoformat(timespec="milliseconds")
