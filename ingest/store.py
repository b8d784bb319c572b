"""The SQL that belongs to no rule: reference data, locks, rejections, the outbox, activity.

Functions take a connection and never commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt
from psycopg.types.json import Jsonb

import geofence.store
import stock_tracker.store
from geofence import duty_store, tracks
from geofence.alerts import AlertChange
from geofence.changes import Said
from geofence.fences import Fences
from geofence.fixes import FixColumns
from geofence.forecast import accuracy
from geofence.forecast import store as forecast
from geofence.forecast.router import Router
from geofence.reread import Course
from ingest import apply as rules
from ingest import duty, van_messages, visit_reports
from ingest import quota as quotas
from ingest.apply import Changes, Outgoing, Reference, State
from ingest.batch import Batch, Delivery, Rejection, StatusEvent, Van, decode
from ingest.quota import Quota, Used
from stock_tracker import levels
from stock_tracker.ledger import ScanKey
from stock_tracker.resupply import cutoffs, reports
from storage.message_id import message_id
from storage.pool import Connection
from storage.settings import as_datetime

LAG_BUCKETS = 24
#: Up to 12 days: a tablet's backlog after a holiday.
AGE_BUCKETS = 31

# Fixes before `kept_since` were deleted: what they proved must not be read again without them.
VERSION = """
SELECT version, coalesce((SELECT (extract(epoch FROM max(limit_at)) * 1000)::bigint
                          FROM deletion WHERE table_name = 'fix'), 0)
FROM reference_version
"""

VANS = """
SELECT van.van_id, van.organisation_id, van.code,
       own.location_id, depot.location_id,
       (SELECT jsonb_object_agg(kind, location_id) FROM location
        WHERE location.organisation_id = van.organisation_id
          AND kind IN ('customer', 'in_transit', 'scrap'))
FROM van
JOIN location AS own ON own.kind = 'van' AND own.van_id = van.van_id
LEFT JOIN location AS depot ON depot.kind = 'warehouse' AND depot.warehouse_id = van.warehouse_id
"""

PUT_STATUS = """
INSERT INTO van_status VALUES (%s, %s, %s, %s)
ON CONFLICT (van_id) DO UPDATE SET
  status_time = excluded.status_time, state = excluded.state, duty = excluded.duty
WHERE (van_status.status_time, van_status.state, coalesce(van_status.duty, ''))
    < (excluded.status_time, excluded.state, coalesce(excluded.duty, ''))
"""

PUT_ACTIVITY = """
INSERT INTO ingest_activity AS known
VALUES (date_trunc('second', clock_timestamp()), 1, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (second) DO UPDATE SET
  batches = known.batches + 1,
  messages = known.messages + excluded.messages,
  fixes = known.fixes + excluded.fixes,
  scans = known.scans + excluded.scans,
  rejected = known.rejected + excluded.rejected,
  lag_counts = (SELECT array_agg(a + b ORDER BY i) FROM
                unnest(known.lag_counts, excluded.lag_counts) WITH ORDINALITY AS sums (a, b, i)),
  age_counts = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY i) FROM
                unnest(known.age_counts, excluded.age_counts) WITH ORDINALITY AS sums (a, b, i)),
  tallies = (SELECT coalesce(jsonb_object_agg(key, n), '{}') FROM (
               SELECT key, sum(value::bigint) AS n FROM (
                 SELECT * FROM jsonb_each_text(known.tallies)
                 UNION ALL SELECT * FROM jsonb_each_text(excluded.tallies)) AS both_of
               GROUP BY key) AS sums)
"""

KEPT_ALREADY = "SELECT rejected_id FROM rejected WHERE rejected_id = ANY(%s)"

#: In the order of senders, so that two processes cannot wait for each other.
LOCK_QUOTAS = """
INSERT INTO rejected_quota AS its (day, sender)
SELECT %s, sender FROM unnest(%s::text[]) WITH ORDINALITY AS asked (sender, i) ORDER BY i
ON CONFLICT (day, sender) DO UPDATE SET kept = its.kept
RETURNING sender, kept, kept_bytes, not_kept, not_kept_bytes
"""

#: Columns, not rows: a flood of rubbish must not cost more than good messages do.
PUT_REJECTED = """
INSERT INTO rejected
SELECT it.*, %s FROM unnest(%b::bytea[], %b::text[], %b::bytea[], %b::text[], %b::text[], %b::text[])
  AS it
ON CONFLICT (rejected_id) DO NOTHING
"""

COUNT_QUOTA = """
UPDATE rejected_quota SET kept = %s, kept_bytes = %s, not_kept = %s, not_kept_bytes = %s
WHERE day = %s AND sender = %s
"""

ANYBODY_WAITS = "SELECT FROM awaited WHERE committed_time IS NULL LIMIT 1"
COMMITTED = """
UPDATE awaited SET committed_time = clock_timestamp()
WHERE committed_time IS NULL AND message_id = ANY(%b::bytea[])
"""
FORGET_AWAITED = "DELETE FROM awaited WHERE asked_time < clock_timestamp() - INTERVAL '1 day'"

#: A message outlives its deliveries, whose tables hold no copy of it.
FORGET_SENT = """
DELETE FROM outbox WHERE sent_time < %s - INTERVAL '7 days'
  AND NOT EXISTS (SELECT FROM webhook_delivery WHERE webhook_delivery.outbox_id = outbox.outbox_id)
"""


async def load_reference(conn: Connection, known: Reference | None, now: int) -> Reference:
    """Return vans and sites; what is `known` already, unless an import has changed them since.

    What a change touches is read again first: edited fences, changed tours.
    """
    found = await (await conn.execute(VERSION)).fetchone()
    version, kept_since = (int(found[0]), int(found[1])) if found else (0, 0)
    if known is not None and known.version == version:
        return known if known.kept_since == kept_since else replace(known, kept_since=kept_since)
    vans = {
        code: Van(van_id, organisation_id, code, _places(own, depot, shared))
        for van_id, organisation_id, code, own, depot, shared in await (
            await conn.execute(VANS)
        ).fetchall()
    }
    reference = Reference(
        version=version,
        vans=vans,
        fences=Fences(await geofence.store.load_sites(conn)),
        organisation_of={van.van_id: van.organisation_id for van in vans.values()},
        calendars=await duty_store.load_calendars(conn),
        kept_since=kept_since,
    )
    await _catch_up(conn, reference, now)
    return reference


async def _catch_up(conn: Connection, reference: Reference, now: int) -> None:
    """Read again what edited fences touch, and match anew the days whose tours have changed."""
    dirty = await tracks.load_dirty(conn)
    replanned_vans = await geofence.store.replanned_vans(conn)
    vans = sorted({*dirty, *replanned_vans, *await duty.edited_vans(conn)})
    if not vans:
        return
    await _lock_vans(conn, vans)
    replanned = await geofence.store.take_tour_edits(conn)
    await forecast.unsay(conn, replanned)
    gone = await duty.delete_by_calendar(conn, reference, now)
    await tracks.find_newest(conn, list(gone))
    again = tracks.with_gone(dirty, gone)
    courses = await tracks.courses_again(conn, again, reference.organisation_of)
    await tracks.read_courses(conn, courses, reference.fences)
    said = {van: Said(replanned=days) for van, days in replanned.items()}
    said |= {
        course.van_id: _said(course, replanned.get(course.van_id, frozenset()))
        for course in courses
    }
    state = State(courses, said, await geofence.store.load_known(conn, said))
    batch = decode([], {}, now)
    await write(conn, batch, state, rules.apply(batch, state, reference, now), reference, now)


def _said(course: Course, replanned: frozenset[date] = frozenset()) -> Said:
    return Said(
        course.clusters,
        list(course.legs.values()),
        course.refused,
        course.spans,
        replanned,
        course.through or 0,
        course.was_through,
    )


def _places(own: int, depot: int | None, shared: dict[str, int]) -> dict[str, int]:
    return {**shared, "van": own, **({"warehouse": depot} if depot is not None else {})}


async def lock(conn: Connection, batch: Batch) -> None:
    """Keep a second ingest off this batch's vans, and off the ledger if tablets said anything."""
    await _lock_vans(conn, batch.van_ids())
    if batch.tablet_keys() or batch.reports or any(rejection.key for rejection in batch.rejections):
        await levels.lock_ledger(conn)


async def _lock_vans(conn: Connection, van_ids: Sequence[int]) -> None:
    """Lock vans in the order of their ids, so that two processes cannot wait for each other."""
    await conn.execute(
        "SELECT FROM van WHERE van_id = ANY(%s) ORDER BY van_id FOR NO KEY UPDATE", (list(van_ids),)
    )


async def load_state(
    conn: Connection, batch: Batch, reference: Reference, now: int, gone: duty.Gone
) -> State:
    """Put the batch's fixes, advance the visit engine, and return what `apply` must know.

    `gone` are the times of stored fixes that were deleted just now, by van.
    """
    courses = await _read_fixes(conn, batch, reference, now, gone)
    said = {course.van_id: _said(course) for course in courses}
    state = State(courses, said, await geofence.store.load_known(conn, said))
    if batch.scans:
        state = replace(
            state,
            scan_hashes=await stock_tracker.store.load_known(conn, [s.key for s in batch.scans]),
            articles=await stock_tracker.store.load_articles(conn, batch.scans),
        )
    if batch.reports:
        said_of = [event.said for event in batch.reports]
        state = replace(
            state,
            orders=await reports.find_orders(conn, {said.order for said in said_of}),
            items=await reports.find_items(
                conn, {ln.item for said in said_of for ln in said.lines}
            ),
        )
    return state


async def _read_fixes(
    conn: Connection, batch: Batch, reference: Reference, now: int, gone: duty.Gone
) -> list[Course]:
    courses: list[Course] = []
    if len(batch.fixes):
        newest = await tracks.load_newest(conn, [van for van, _, _ in batch.fixes.by_van()])
        late = await tracks.put_fixes(conn, batch.fixes, newest, now)
        late |= {van: sorted({*late.get(van, ()), *times}) for van, times in gone.items()}
        courses = await tracks.courses_of(
            conn, batch.fixes, newest, late, reference.organisation_of
        )
    if gone:
        await tracks.find_newest(conn, list(gone))
        only = gone.keys() - {van for van, _, _ in batch.fixes.by_van()}
        again = tracks.with_gone({}, {van: gone[van] for van in only})
        courses += await tracks.courses_again(conn, again, reference.organisation_of)
    await tracks.read_courses(conn, courses, reference.fences)
    return courses


async def write(
    conn: Connection,
    batch: Batch,
    state: State,
    changes: Changes,
    reference: Reference,
    now: int,
    router: Router | None = None,
    quota: Quota = quotas.USUAL,
) -> None:
    """Write all that a batch changes, what is foreseen then, and what has to be told of it."""
    await geofence.store.write(conn, changes.vans)
    await tracks.write_progress(conn, state.courses)
    await geofence.store.write_alerts(conn, changes.alerts, now)
    news = await forecast.foresee_vans(conn, sorted(state.said), router, now)
    batch.tallies.update(accuracy.tally(*error) for error in news.errors)
    foreseen = news.risks + await forecast.heard(conn, _spans(batch.fixes))
    await geofence.store.write_alerts(conn, foreseen, now)
    outgoing = rules.alert_messages([*changes.alerts, *foreseen], _vans(reference), now)
    touched = await stock_tracker.store.write_scans(
        conn, changes.scans, changes.conflicting, changes.contested, now
    )
    if touched:
        await levels.refresh(conn, touched, now)
        tasks = await levels.refresh_tasks(conn, touched, now)
        outgoing += rules.count_messages(tasks, now)
    if changes.reports:
        outgoing += rules.shipped_messages(await reports.take(conn, changes.reports, now), now)
    said = await visit_reports.put(conn, batch.visit_reports, now)
    outgoing += rules.visit_report_messages(said, _vans(reference), now)
    await van_messages.put(conn, batch.van_messages, now)
    rejections = [*batch.rejections, *changes.rejections]
    batch.tallies.update(f"reason:{rejection.reason}" for rejection in rejections)
    for changed in changes.vans.values():
        batch.tallies.update(f"event:{visit.verdict}" for visit in changed.visits)
        batch.tallies["event:gone"] += len(changed.gone)
    await settle(conn, batch.tablet_keys(), rejections, now, quota)
    await _put_statuses(conn, changes.statuses)
    await put_outbox(conn, outgoing, now)
    await conn.execute("NOTIFY cordee")


def _spans(fixes: FixColumns) -> dict[int, tuple[int, int]]:
    """Return the first and last time of each van's fixes."""
    return {
        van: (int(fixes.t_ms[start]), int(fixes.t_ms[end - 1]))
        for van, start, end in fixes.by_van()
    }


async def settle(
    conn: Connection,
    said: Sequence[ScanKey],
    rejections: Sequence[Rejection],
    now: int,
    quota: Quota = quotas.USUAL,
) -> None:
    """Store what could not be used, and tell tablets how far what they said is committed.

    What is rejected and whose key can be read counts as committed: it is kept here, and sending it again
    would change nothing. What is beyond its van's quota is not kept, so it does not count.
    """
    kept = await _put_rejections(conn, rejections, now, quota)
    unusable = [rejection.key for rejection in kept if rejection.key is not None]
    await stock_tracker.store.put_unusable(conn, unusable)
    epochs = {(key.device, key.epoch) for key in (*said, *unusable)}
    if epochs:
        through = await stock_tracker.store.advance_through(conn, epochs)
        await put_outbox(conn, rules.receipt_messages(through), now)


async def _put_rejections(
    conn: Connection, rejections: Sequence[Rejection], now: int, quota: Quota
) -> list[Rejection]:
    """Store rejections, each sender's up to its quota; return what is kept now or was before.

    The same bytes on the same topic are one row.
    """
    if not rejections:
        return []
    by_id = {message_id(rejection.topic, rejection.payload): rejection for rejection in rejections}
    known = await (await conn.execute(KEPT_ALREADY, (list(by_id),))).fetchall()
    before = {bytes(rejected_id) for (rejected_id,) in known}
    fresh = [rejection for key, rejection in by_id.items() if key not in before]
    day = as_datetime(now).date()
    senders = sorted({quotas.sender_of(rejection) for rejection in fresh})
    found = await (await conn.execute(LOCK_QUOTAS, (day, senders))).fetchall()
    made = quotas.admit(fresh, {sender: Used(*counts) for sender, *counts in found}, quota)
    kept = made.kept
    await conn.execute(
        PUT_REJECTED,
        (
            as_datetime(now),
            [message_id(r.topic, r.payload) for r in kept],
            [_text(r.topic) for r in kept],
            [r.payload for r in kept],
            [r.reason for r in kept],
            [_text(r.detail) for r in kept],
            [None if r.van_code is None else _text(r.van_code) for r in kept],
        ),
    )
    async with conn.cursor() as cursor:
        await cursor.executemany(
            COUNT_QUOTA,
            [
                (its.kept, its.kept_bytes, its.not_kept, its.not_kept_bytes, day, sender)
                for sender, its in sorted(made.used.items())
            ],
        )
    stored = before | {message_id(rejection.topic, rejection.payload) for rejection in made.kept}
    return [rejection for key, rejection in by_id.items() if key in stored]


def _text(text: str) -> str:
    """Return text that a text column can hold: PostgreSQL's has no NUL."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


async def _put_statuses(conn: Connection, statuses: Sequence[StatusEvent]) -> None:
    async with conn.cursor() as cursor:
        await cursor.executemany(
            PUT_STATUS, [(s.van_id, as_datetime(s.t), s.state, s.duty) for s in statuses]
        )


async def put_outbox(conn: Connection, outgoing: Sequence[Outgoing], now: int) -> None:
    """Leave messages for the relay, which hears of them when the transaction commits.

    A trigger of the table leaves them for webhooks too.
    """
    if not outgoing:
        return
    await van_messages.put_inbox(conn, [it.inbox for it in outgoing if it.inbox is not None])
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO outbox (topic, payload, organisation_id, created_time)"
            " VALUES (%s, %s, %s, %s)",
            [
                (message.topic, message.payload, message.organisation_id, as_datetime(now))
                for message in outgoing
            ],
        )
    await conn.execute("NOTIFY cordee_outbox")


async def tell_awaited(conn: Connection, deliveries: Sequence[Delivery]) -> None:
    """Tell the API, which waits for some messages that came by HTTP, that these are committed.

    Hardly ever does anybody wait, and then nothing has to be hashed.
    """
    if await (await conn.execute(ANYBODY_WAITS)).fetchone() is None:
        return
    ids = [message_id(delivery.topic, delivery.payload) for delivery in deliveries]
    if (await conn.execute(COMMITTED, (ids,))).rowcount:
        await conn.execute("NOTIFY cordee_awaited")


async def put_activity(conn: Connection, batch: Batch, lag_ms: Sequence[int], now: int) -> None:
    """Add a committed batch to its second: what it held, and how long its messages waited.

    Args:
        conn: Outside the batch's transaction, which is what was timed.
        batch: The batch.
        lag_ms: From arrival to commit, one a message.
        now: The present on the clock by which vans tell their times.
    """
    lags, ages = np.array(lag_ms), now - batch.fixes.t_ms
    await conn.execute(
        PUT_ACTIVITY,
        (batch.messages, len(batch.fixes), len(batch.scans), len(batch.rejections),
         _buckets(lags, LAG_BUCKETS), Jsonb(dict(batch.tallies)), _buckets(ages, AGE_BUCKETS)),
    )  # fmt: skip


def _buckets(ms: npt.NDArray[np.int64], count: int) -> list[int]:
    """Return how many durations are below 1, 2, 4, ... ms; the last entry holds the rest."""
    exponents = np.ceil(np.log2(np.maximum(ms.astype(np.float64), 1) + 1)).astype(np.int64)
    counted: list[int] = np.bincount(np.minimum(exponents, count - 1), minlength=count).tolist()
    return counted


async def tick(
    conn: Connection, reference: Reference, now: int, router: Router | None = None
) -> int:
    """Do what the clock alone demands: late stops, silences, orders at cut-off, forgetting.

    Returns how many alerts and orders it made.

    Nothing here is done twice: a stop has one live alert, a warehouse remembers its last cut-off.
    """
    early = await geofence.store.take_back(conn, now)
    due = await geofence.store.load_due_stops(conn, now)
    if due or early:
        await _lock_vans(conn, [stop.van_id for stop in (*early, *due)])
        due = await geofence.store.load_due_stops(conn, now)  # what another ingest saw meanwhile
    # What was taken back and is due all the same is judged with the rest.
    asked = list({stop.stop_id: stop for stop in (*early, *due)}.values())
    live = await geofence.store.load_alerts(conn, [stop.stop_id for stop in asked])
    seen = await geofence.store.load_seen(conn, [stop.van_id for stop in asked])
    raised = rules.tick(asked, live, seen, now)
    await geofence.store.write_alerts(conn, raised, now)
    await geofence.store.mark_judged(conn, due, now)
    foreseen = await _foresee(conn, reference, router, now)
    await geofence.store.write_alerts(conn, foreseen, now)
    raised += foreseen
    await stock_tracker.store.admit_held(conn, now)
    news = await cutoffs.tick(conn, now)
    await put_outbox(
        conn,
        [
            *rules.alert_messages(raised, _vans(reference), now),
            *rules.order_messages(news.orders, now),
            *rules.handover_messages(news.handovers, now),
            *rules.count_messages(news.tasks, now),
        ],
        now,
    )
    await conn.execute("DELETE FROM ingest_activity WHERE second < now() - INTERVAL '1 hour'")
    await conn.execute(FORGET_SENT, (as_datetime(now),))
    await conn.execute(FORGET_AWAITED)
    if raised or news.orders:
        await conn.execute("NOTIFY cordee")
    return len(raised) + len(news.orders)


async def _foresee(
    conn: Connection, reference: Reference, router: Router | None, now: int
) -> list[AlertChange]:
    """Foresee what no batch has foreseen for a minute, and see who has fallen silent."""
    await forecast.calibrate_models(conn, now)
    vans = await forecast.not_foreseen(conn, now)
    await _lock_vans(conn, vans)
    news = await forecast.foresee_vans(conn, vans, router, now)
    return news.risks + await forecast.silences(conn, now, reference.calendars)


def _vans(reference: Reference) -> Mapping[int, Van]:
    return {van.van_id: van for van in reference.vans.values()}
