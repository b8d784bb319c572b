"""The questions the API asks PostgreSQL: one function a question, each a single statement.

Every function takes a connection, reads, and never commits. All but the last group are scoped by
organisation: rows of another one do not exist here. Times leave SQL as integer milliseconds.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import class_row, scalar_row

from api.answers import (
    Alert,
    AlertKind,
    AlertState,
    LastFix,
    NextStop,
    Order,
    OrderLine,
    OrderState,
    Overview,
    Place,
    RejectedMessage,
    RejectedReason,
    StockLevel,
    Van,
    Verdict,
    Visit,
)
from api.auth import DEFAULT_ORGANISATION, OrganisationId
from api.cursors import VisitKey
from api.figures import lag_under_ms, summed
from api.plans import next_stops
from api.states import ON_THE_ROAD, age_s, van_state
from api.times import TIME_ZONE
from api.times import ms as _ms
from geofence.tours import service_date
from storage.pool import SCHEMA, Connection
from storage.settings import as_datetime

DAY_MS: Final = 86_400_000
#: What a planner should look at first: what is late, what may be, what is not known.
ALERT_ORDER: Final = "{late,missed,at_risk,silent,overstayed}"
#: A missed stop never ends; after this it is history.
MISSED_NEWS: Final = timedelta(hours=12)
RATE_WINDOW_S: Final = 60
PAYLOAD_BYTES_SHOWN: Final = 2_048


@dataclass(frozen=True, slots=True)
class _VanRow:
    code: str
    name: str
    technician: str | None
    duty: str | None
    fix_time_ms: int | None
    latitude_deg: float
    longitude_deg: float
    speed_mps: float | None
    bearing_deg: float | None
    ignition: bool | None
    site: str | None
    site_name: str | None


def _van(row: _VanRow, next_stop: NextStop | None, now_ms: int) -> Van:
    state = van_state(
        fix_time_ms=row.fix_time_ms,
        speed_mps=row.speed_mps,
        ignition=row.ignition,
        duty=row.duty,
        at_site=row.site is not None,
        now_ms=now_ms,
    )
    last_fix = None
    if row.fix_time_ms is not None:
        last_fix = LastFix(
            row.fix_time_ms,
            row.latitude_deg,
            row.longitude_deg,
            row.speed_mps,
            row.bearing_deg,
            row.ignition,
            age_s(row.fix_time_ms, now_ms),
        )
    site = None
    if state == "at_site" and row.site is not None and row.site_name is not None:
        site = Place(row.site, row.site_name)
    return Van(row.code, row.name, row.technician, state, site, last_fix, next_stop)


async def vans(
    conn: Connection, organisation: OrganisationId, now_ms: int, code: str | None = None
) -> list[Van]:
    """Return the organisation's vans by code, or only the one with this code."""
    # A visit stays open for as long as the van stands there; seven days bound the search for it.
    query = f"""
        SELECT van.code, van.name, technician.name AS technician, status.duty,
               {_ms("p.fix_time")} AS fix_time_ms, p.latitude_deg, p.longitude_deg,
               p.speed_mps, p.bearing_deg, p.ignition, here.code AS site, here.name AS site_name
        FROM van
        LEFT JOIN technician ON technician.technician_id = van.technician_id
        LEFT JOIN van_position p ON p.van_id = van.van_id
        LEFT JOIN van_status status ON status.van_id = van.van_id
        LEFT JOIN LATERAL (
          SELECT site.code, site.name
          FROM visit JOIN site ON site.site_id = visit.site_id
          WHERE visit.van_id = van.van_id
            AND visit.arrived_at > p.fix_time - INTERVAL '7 days'
            AND visit.verdict = 'visit' AND visit.shadowed_by IS NULL
            AND visit.left_at IS NULL AND visit.closed_by IS NULL
          ORDER BY visit.arrived_at DESC
          LIMIT 1
        ) here ON true
        WHERE van.organisation_id = %(organisation)s
          AND (%(code)s::text IS NULL OR van.code = %(code)s)
        ORDER BY van.code
    """
    async with conn.cursor(row_factory=class_row(_VanRow)) as cursor:
        await cursor.execute(query, {"organisation": organisation, "code": code})
        rows = await cursor.fetchall()
    following = await next_stops(conn, organisation, service_date(now_ms, TIME_ZONE), code)
    return [_van(row, following.get(row.code), now_ms) for row in rows]


async def van_id(conn: Connection, organisation: OrganisationId, code: str) -> int | None:
    """Return the van's key, or None if the organisation has no such van."""
    query = "SELECT van_id FROM van WHERE organisation_id = %s AND code = %s"
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (organisation, code))
        found: int | None = await cursor.fetchone()
        return found


@dataclass(frozen=True, slots=True)
class SiteShape:
    """Where a site is; `area`: its fence is no circle."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float
    area: bool


async def site_shape(conn: Connection, organisation: OrganisationId, code: str) -> SiteShape:
    """Return where a site is that the organisation has."""
    query = """
        SELECT latitude_deg, longitude_deg, radius_m, area IS NOT NULL AS area
        FROM site WHERE organisation_id = %s AND code = %s
    """
    async with conn.cursor(row_factory=class_row(SiteShape)) as cursor:
        await cursor.execute(query, (organisation, code))
        found = await cursor.fetchone()
    assert found is not None  # noqa: S101  sites are never deleted
    return found


async def site_known(conn: Connection, organisation: OrganisationId, code: str) -> bool:
    """Return whether the organisation has this site."""
    query = "SELECT FROM site WHERE organisation_id = %s AND code = %s"
    return await (await conn.execute(query, (organisation, code))).fetchone() is not None


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """A fix of a track."""

    t_ms: int
    latitude_deg: float
    longitude_deg: float
    speed_mps: float | None
    horizontal_accuracy_m: float | None


async def newest_fix_time(conn: Connection, van: int) -> datetime | None:
    """Return the time of the van's newest fix, or None if it never reported."""
    query = "SELECT fix_time FROM van_position WHERE van_id = %s"
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (van,))
        found: datetime | None = await cursor.fetchone()
        return found


async def track(
    conn: Connection, van: int, since: datetime, until: datetime, limit: int
) -> list[TrackPoint]:
    """Return the newest `limit` fixes from `since` through `until`, oldest first."""
    query = f"""
        SELECT {_ms("fix_time")} AS t_ms, latitude_deg, longitude_deg, speed_mps,
               horizontal_accuracy_m
        FROM fix
        WHERE van_id = %s AND fix_time BETWEEN %s AND %s
        ORDER BY fix_time DESC
        LIMIT %s
    """
    async with conn.cursor(row_factory=class_row(TrackPoint)) as cursor:
        await cursor.execute(query, (van, since, until, limit))
        return (await cursor.fetchall())[::-1]


@dataclass(frozen=True, slots=True)
class VisitFilter:
    """Which visits are asked for; None leaves a question open. `since` ≤ arrival < `until`."""

    van: str | None = None
    site: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    verdict: Verdict | None = "visit"
    shadowed: bool = False
    after: VisitKey | None = None


async def visits(
    conn: Connection, organisation: OrganisationId, which: VisitFilter, limit: int
) -> list[Visit]:
    """Return the newest `limit` visits that the filter lets through, newest arrival first."""
    query = f"""
        SELECT van.code AS van, site.code AS site, site.name AS site_name,
               {_ms("visit.arrived_at")} AS arrived_at_ms,
               {_ms("visit.last_inside_at")} AS last_inside_at_ms,
               {_ms("visit.left_at")} AS left_at_ms,
               extract(epoch FROM visit.last_inside_at - visit.arrived_at)::integer AS dwell_s,
               visit.verdict, visit.punctuality, visit.uncertain, shadow.code AS shadowed_by,
               visit.service_date::text AS service_date, tour.code AS tour, stop.position AS stop,
               {_ms("stop.window_start")} AS window_start_ms,
               {_ms("stop.window_end")} AS window_end_ms, visit.wrong_order, visit.overstayed
        FROM visit
        JOIN van ON van.van_id = visit.van_id
        JOIN site ON site.site_id = visit.site_id
        LEFT JOIN site shadow ON shadow.site_id = visit.shadowed_by
        LEFT JOIN stop ON stop.stop_id = visit.stop_id
        LEFT JOIN tour ON tour.tour_id = stop.tour_id
        WHERE van.organisation_id = %(organisation)s
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
          AND (%(site)s::text IS NULL OR site.code = %(site)s)
          AND (%(since)s::timestamptz IS NULL OR visit.arrived_at >= %(since)s)
          AND (%(until)s::timestamptz IS NULL OR visit.arrived_at < %(until)s)
          AND (%(verdict)s::text IS NULL OR visit.verdict = %(verdict)s)
          AND (%(shadowed)s OR visit.shadowed_by IS NULL)
          AND (%(after_time)s::timestamptz IS NULL
               OR (visit.arrived_at, van.code, site.code)
                  < (%(after_time)s, %(after_van)s::text, %(after_site)s::text))
        ORDER BY visit.arrived_at DESC, van.code DESC, site.code DESC
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "van": which.van,
        "site": which.site,
        "since": which.since,
        "until": which.until,
        "verdict": which.verdict,
        "shadowed": which.shadowed,
        "after_time": which.after.arrived_at if which.after else None,
        "after_van": which.after.van if which.after else None,
        "after_site": which.after.site if which.after else None,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(Visit)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def alerts(
    conn: Connection,
    organisation: OrganisationId,
    now_ms: int,
    limit: int,
    *,
    kind: AlertKind | None = None,
    state: AlertState | None = None,
    since: datetime | None = None,
) -> list[Alert]:
    """Return alerts, open ones first, then the latest changed.

    Of the open ones those of late stops come first (the longest overdue on top), then missed stops
    (the newest first), stops at risk (first those that planners were told of, which are likely or
    sure to be late; then the first to be late), silent vans, overstayed visits.

    `since` keeps what is open, and what changed at that time or later; a missed stop stays open for
    ever, and is kept only if it changed since.
    """
    query = f"""
        SELECT alert.alert_id, alert.kind, alert.state, van.code AS van,
               technician.name AS technician, site.code AS site, site.name AS site_name,
               tour.code AS tour, alert.stop_id, stop.position AS stop,
               {_ms("alert.due_at")} AS due_at_ms,
               {_ms("alert.ended_at")} AS ended_at_ms, alert.minutes,
               greatest(0, extract(epoch FROM
                 coalesce(alert.ended_at, %(now)s) - alert.due_at))::integer AS lasting_s,
               alert.cause, alert.pushes, alert.reason, alert.told,
               {_ms("alert.raised_time")} AS raised_ms, {_ms("alert.changed_time")} AS changed_ms
        FROM alert
        JOIN van ON van.van_id = alert.van_id
        LEFT JOIN stop ON stop.stop_id = alert.stop_id
        LEFT JOIN tour ON tour.tour_id = stop.tour_id
        LEFT JOIN site ON site.site_id = stop.site_id
        LEFT JOIN technician ON technician.technician_id = van.technician_id
        WHERE van.organisation_id = %(organisation)s
          AND (%(kind)s::text IS NULL OR alert.kind = %(kind)s)
          AND (%(state)s::text IS NULL OR alert.state = %(state)s)
          AND (%(since)s::timestamptz IS NULL
               OR (alert.state = 'open' AND alert.kind <> 'missed')
               OR alert.changed_time >= %(since)s)
        ORDER BY alert.state = 'open' DESC,
                 CASE WHEN alert.state = 'open' THEN
                   array_position('{ALERT_ORDER}'::text[], alert.kind) END,
                 alert.state = 'open' AND alert.kind = 'at_risk' AND NOT alert.told,
                 CASE WHEN alert.state = 'open' AND alert.kind <> 'missed' THEN alert.due_at END,
                 alert.changed_time DESC, alert.alert_id
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "now": as_datetime(now_ms),
        "kind": kind,
        "state": state,
        "since": since,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(Alert)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def stock(
    conn: Connection, van: int, limit: int, *, search: str = "", below_only: bool = False
) -> list[StockLevel]:
    """Return up to `limit` levels of a van: below the reorder point first, then by item.

    `search` is found anywhere in the item's ref or name, whatever the case.
    """
    query = f"""
        WITH home AS (
          SELECT location_id FROM location WHERE kind = 'van' AND van_id = %(van)s
        ), held AS (
          SELECT item_id, sum(qty)::bigint AS qty, max(counted_at) AS counted_at
          FROM level WHERE location_id IN (SELECT location_id FROM home) GROUP BY item_id
        ), coming AS (
          SELECT item_id, on_order(location_id, item_id) AS qty
          FROM (
            SELECT DISTINCT location_id, line.item_id
            FROM resupply_line line JOIN resupply_order USING (order_id) JOIN home USING (location_id)
          ) AS asked
        ), wanted AS (
          SELECT line.item_id, line.reorder_point, line.order_up_to
          FROM van JOIN template_line line ON line.template_id = van.template_id
          WHERE van.van_id = %(van)s
        ), stock AS (
          SELECT item.ref AS item, item.name, item.base_unit, coalesce(held.qty, 0) AS qty,
                 coalesce(coming.qty, 0) AS on_order,
                 {_ms("held.counted_at")} AS counted_at_ms,
                 wanted.reorder_point, wanted.order_up_to,
                 coalesce(coalesce(held.qty, 0) <= wanted.reorder_point, false) AS below
          FROM held FULL JOIN wanted USING (item_id)
          JOIN item USING (item_id)
          LEFT JOIN coming USING (item_id)
        )
        SELECT * FROM stock
        WHERE (strpos(lower(item), lower(%(search)s)) > 0
               OR strpos(lower(name), lower(%(search)s)) > 0)
          AND (below OR NOT %(below_only)s)
        ORDER BY below DESC, item
        LIMIT %(limit)s
    """
    values = {"van": van, "search": search, "below_only": below_only, "limit": limit}
    async with conn.cursor(row_factory=class_row(StockLevel)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def orders(
    conn: Connection,
    organisation: OrganisationId,
    limit: int,
    *,
    code: str | None = None,
    van: str | None = None,
    state: OrderState | None = None,
) -> list[Order]:
    """Return the newest `limit` orders, latest cut-off first."""
    # An order to a technician's home belongs to the van that the technician drives.
    query = f"""
        SELECT o.code, van.code AS van, warehouse.code AS warehouse, o.mode, o.state,
               {_ms("o.cutoff_at")} AS cutoff_at_ms, {_ms("o.created_time")} AS created_ms,
               total.lines, total.units
        FROM resupply_order o
        JOIN warehouse ON warehouse.warehouse_id = o.warehouse_id
        JOIN location ON location.location_id = o.location_id
        LEFT JOIN LATERAL (
          SELECT van.code FROM van
          WHERE van.van_id = location.van_id
             OR (location.van_id IS NULL AND van.technician_id = location.technician_id)
          ORDER BY van.code LIMIT 1
        ) van ON true
        CROSS JOIN LATERAL (
          SELECT count(*)::integer AS lines, coalesce(sum(requested), 0)::integer AS units
          FROM resupply_line line WHERE line.order_id = o.order_id
        ) total
        WHERE o.organisation_id = %(organisation)s
          AND (%(code)s::text IS NULL OR o.code = %(code)s)
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
          AND (%(state)s::text IS NULL OR o.state = %(state)s)
        ORDER BY o.cutoff_at DESC, o.order_id DESC
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "code": code,
        "van": van,
        "state": state,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(Order)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def order_lines(conn: Connection, organisation: OrganisationId, code: str) -> list[OrderLine]:
    """Return the lines of an order by item; `why` is the inputs' own sentence, if they have one."""
    query = """
        SELECT item.ref AS item, item.name, item.base_unit, line.requested, line.received,
               line.cancelled, line.inputs ->> 'why' AS why, line.inputs
        FROM resupply_line line
        JOIN resupply_order o ON o.order_id = line.order_id
        JOIN item ON item.item_id = line.item_id
        WHERE o.organisation_id = %s AND o.code = %s
        ORDER BY item.ref
    """
    async with conn.cursor(row_factory=class_row(OrderLine)) as cursor:
        await cursor.execute(query, (organisation, code))
        return await cursor.fetchall()


#: A rejected message belongs to the organisation of the van it names; if it names none that
#: exists, to the organisation that runs the installation.
_REJECTED_OF = """
    received_time > %(since)s AND (
      van_code IN (SELECT code FROM van WHERE organisation_id = %(organisation)s)
      OR (%(organisation)s = %(default)s AND (van_code IN (SELECT code FROM van)) IS NOT TRUE))
"""


async def rejected_reasons(
    conn: Connection, organisation: OrganisationId, now_ms: int
) -> list[RejectedReason]:
    """Return the reasons of the last 24 hours, the most frequent first."""
    query = f"""
        SELECT reason, count(*)::integer AS count,
               {_ms("max(received_time)")} AS last_received_ms
        FROM rejected WHERE {_REJECTED_OF}
        GROUP BY reason ORDER BY count DESC, reason
    """
    values = {
        "since": as_datetime(now_ms - DAY_MS),
        "organisation": organisation,
        "default": DEFAULT_ORGANISATION,
    }
    async with conn.cursor(row_factory=class_row(RejectedReason)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class _RejectedRow:
    rejected_id: str
    topic: str
    van: str | None
    reason: str
    detail: str
    received_ms: int
    payload_bytes: int
    payload: bytes


def _rejected(row: _RejectedRow) -> RejectedMessage:
    return RejectedMessage(
        rejected_id=row.rejected_id,
        topic=row.topic,
        van=row.van,
        reason=row.reason,
        detail=row.detail,
        received_ms=row.received_ms,
        payload_bytes=row.payload_bytes,
        payload_text=row.payload.decode(errors="replace"),
        payload_base64=base64.b64encode(row.payload).decode(),
    )


async def rejected_messages(
    conn: Connection,
    organisation: OrganisationId,
    now_ms: int,
    limit: int,
    reason: str | None = None,
) -> list[RejectedMessage]:
    """Return the newest `limit` rejected messages of the last 24 hours."""
    query = f"""
        SELECT encode(rejected_id, 'hex') AS rejected_id, topic, van_code AS van, reason, detail,
               {_ms("received_time")} AS received_ms, octet_length(payload) AS payload_bytes,
               substring(payload FROM 1 FOR {PAYLOAD_BYTES_SHOWN}) AS payload
        FROM rejected
        WHERE {_REJECTED_OF} AND (%(reason)s::text IS NULL OR reason = %(reason)s)
        ORDER BY received_time DESC, rejected_id
        LIMIT %(limit)s
    """
    values = {
        "since": as_datetime(now_ms - DAY_MS),
        "organisation": organisation,
        "default": DEFAULT_ORGANISATION,
        "reason": reason,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(_RejectedRow)) as cursor:
        await cursor.execute(query, values)
        return [_rejected(row) for row in await cursor.fetchall()]


async def overview(
    conn: Connection,
    organisation: OrganisationId,
    fleet: Sequence[Van],
    now_ms: int,
    real_ms: int,
) -> Overview:
    """Return the figures on top of the page; `fleet` is what `vans` answered for this moment.

    `real_ms` is the machine's time: ingest counts its work in real seconds, even where the
    installation's clock is simulated.
    """
    query = f"""
        WITH today AS (
          SELECT date_trunc('day', %(now)s::timestamptz, %(zone)s) AS start
        ), fleet AS (
          SELECT van_id FROM van WHERE organisation_id = %(organisation)s
        ), alerts AS (
          SELECT count(*) AS open,
                 count(*) FILTER (WHERE kind = 'late') AS stops_late,
                 count(DISTINCT van_id) FILTER (WHERE kind = 'late') AS vans_late,
                 count(*) FILTER (WHERE kind = 'at_risk') AS stops_at_risk,
                 count(DISTINCT van_id) FILTER (WHERE kind = 'at_risk') AS vans_at_risk
          FROM alert
          WHERE state = 'open' AND van_id IN (SELECT van_id FROM fleet)
            AND (kind <> 'missed' OR changed_time >= %(missed_since)s)
        )
        SELECT {_ms("today.start")} AS start_ms,
          (SELECT count(*) FROM visit
           WHERE arrived_at >= today.start AND verdict = 'visit' AND shadowed_by IS NULL
             AND van_id IN (SELECT van_id FROM fleet)),
          (SELECT count(*) FROM alert
           WHERE kind = 'late' AND state <> 'withdrawn' AND due_at >= today.start
             AND van_id IN (SELECT van_id FROM fleet)),
          alerts.stops_late, alerts.vans_late, alerts.stops_at_risk, alerts.vans_at_risk,
          alerts.open,
          (SELECT count(*) FROM scan
           WHERE t >= today.start AND van_id IN (SELECT van_id FROM fleet)),
          (SELECT count(*) FROM resupply_order
           WHERE organisation_id = %(organisation)s AND state NOT IN ('received', 'cancelled')),
          (SELECT count(*) FROM rejected WHERE {_REJECTED_OF})
        FROM today, alerts
    """
    values = {
        "now": as_datetime(now_ms),
        "zone": TIME_ZONE,
        "organisation": organisation,
        "since": as_datetime(now_ms - DAY_MS),
        "missed_since": as_datetime(now_ms) - MISSED_NEWS,
        "default": DEFAULT_ORGANISATION,
    }
    counts = await (await conn.execute(query, values)).fetchone()
    assert counts is not None  # noqa: S101  a SELECT without FROM rows of ours has one row
    start_ms, visits_today, late_today, late, vans_late, at_risk, vans_at_risk, *others = counts
    alerts_open, scans_today, orders_open, rejected_24h = others
    minute = await activity(
        conn, as_datetime(real_ms - RATE_WINDOW_S * 1_000), as_datetime(real_ms)
    )
    lags = summed(second.lag_counts for second in minute)
    return Overview(
        vans_total=len(fleet),
        vans_seen_today=sum(v.last_fix is not None and v.last_fix.t_ms >= start_ms for v in fleet),
        vans_on_the_road=sum(v.state in ON_THE_ROAD for v in fleet),
        vans_silent=sum(v.state == "silent" for v in fleet),
        visits_today=visits_today,
        late_stops_today=late_today,
        stops_late=late,
        vans_late=vans_late,
        stops_at_risk=at_risk,
        vans_at_risk=vans_at_risk,
        alerts_open=alerts_open,
        scans_today=scans_today,
        orders_open=orders_open,
        rejected_24h=rejected_24h,
        messages_per_s=round(sum(second.messages for second in minute) / RATE_WINDOW_S, 1),
        lag_p50_ms=lag_under_ms(lags, 0.5),
        lag_p99_ms=lag_under_ms(lags, 0.99),
    )


# The installation as a whole: what its operators need, whatever the organisation.


@dataclass(frozen=True, slots=True)
class Activity:
    """What ingest committed in one second of real time."""

    second: datetime
    batches: int
    messages: int
    fixes: int
    scans: int
    rejected: int
    lag_counts: list[int]


async def activity(conn: Connection, after: datetime, until: datetime) -> list[Activity]:
    """Return the seconds that begin later than `after`, through `until`."""
    query = """
        SELECT second, batches, messages, fixes, scans, rejected, lag_counts
        FROM ingest_activity WHERE second > %s AND second <= %s ORDER BY second
    """
    async with conn.cursor(row_factory=class_row(Activity)) as cursor:
        await cursor.execute(query, (after, until))
        return await cursor.fetchall()


async def organisations(conn: Connection) -> list[OrganisationId]:
    """Return every organisation's key."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT organisation_id FROM organisation ORDER BY organisation_id")
        return await cursor.fetchall()


async def rejected_by_reason(conn: Connection) -> dict[str, int]:
    """Return how many rejected messages are kept, by reason."""
    query = "SELECT reason, count(*) FROM rejected GROUP BY reason ORDER BY reason"
    return dict(await (await conn.execute(query)).fetchall())


async def alerts_by_state(conn: Connection) -> dict[str, int]:
    """Return how many alerts there are in each state."""
    query = "SELECT state, count(*) FROM alert GROUP BY state ORDER BY state"
    return dict(await (await conn.execute(query)).fetchall())


async def outbox_pending(conn: Connection) -> int:
    """Return how many messages wait to be published."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT count(*) FROM outbox WHERE sent_time IS NULL")
        pending: int | None = await cursor.fetchone()
        return pending or 0


async def missing_migrations(conn: Connection) -> list[str]:
    """Return the migrations of this version that the database lacks, oldest first."""
    wanted = sorted(path.stem for path in SCHEMA.glob("*.sql") if ".rollback" not in path.name)
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT to_regclass('_yoyo_migration') IS NOT NULL")
        if not await cursor.fetchone():
            return wanted
        await cursor.execute("SELECT migration_id FROM _yoyo_migration")
        applied = set(await cursor.fetchall())
    return [name for name in wanted if name not in applied]
