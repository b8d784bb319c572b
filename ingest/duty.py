"""A batch without what is off duty. `geofence/duty.py` says when that is.

Statuses of a batch count before its positions, wherever they stood in it. What is off duty by all that is
known then is dropped, and counted by van and day; what is already stored and turns out to be is deleted,
and the van read again. A message that cannot be used may hold a position too: it is dropped as well if its
van was off duty at a time that it names. Where it names none that can be believed, only the moment at which
it came can say: that is the one place where its fate depends on it.

Functions take a connection and never commit.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from geofence import duty_store
from geofence.duty import DAY_MS, Span, is_within, within
from ingest.apply import Reference
from ingest.batch import FUTURE_MS, Batch, Rejection, positions_van
from storage.pool import Connection

#: Times in bytes that may be anything: of our positions in ms, of OwnTracks in s.
TIMES: Final = re.compile(rb'"(t|tst)"\s*:\s*(\d{9,13})')
TIMES_MAX: Final = 2_000
#: Nothing is stored that is older, whatever the settings.
KEPT_MS: Final = 400 * DAY_MS

REJECTED: Final = """
SELECT rejected_id, topic, payload, van_code, (extract(epoch FROM received_time) * 1000)::bigint
FROM rejected WHERE van_code = ANY(%s)
"""
FORGET_REJECTED: Final = "DELETE FROM rejected WHERE rejected_id = ANY(%s)"

Gone = Mapping[int, Sequence[int]]
"""By van, the times of stored positions that were deleted, ms since 1970 UTC, ascending."""


async def keep_on_duty(conn: Connection, batch: Batch, reference: Reference, now: int) -> Gone:
    """Take what is off duty out of a batch and out of the tables; return what was in the tables.

    Args:
        conn: In a transaction that holds the locks of the batch's vans.
        batch: Decoded; what is off duty leaves it.
        reference: Vans and calendars.
        now: The present, ms since 1970 UTC.
    """
    told = [(s.van_id, s.t, s.duty) for s in batch.statuses if s.duty is not None]
    changed = await duty_store.put_switches(conn, told)
    rejected = {
        id(r): (van, moments_of(r.payload, now))
        for r in batch.rejections
        if (van := _van_of(r, reference)) is not None
    }
    windows = _windows(batch, changed, rejected.values(), now)
    spans = await duty_store.load_off_spans(conn, windows, reference.calendars)
    gone = await _delete(conn, {van: t for van, t in changed.items() if van in spans}, spans)
    dropped = _drop_fixes(batch, spans)
    kept = []
    for r in batch.rejections:
        van, moments = rejected.get(id(r), (0, []))
        if any(is_within(spans.get(van, []), t) for t in moments):
            dropped[van].append((times_in(r.payload) or moments)[0])
        else:
            kept.append(r)
    batch.rejections = kept
    batch.tallies["off_duty"] += sum(map(len, dropped.values()))
    await duty_store.count(conn, dropped, gone)
    await _forget_rejected(conn, changed, spans, reference)
    return gone


async def delete_by_calendar(conn: Connection, reference: Reference, now: int) -> Gone:
    """Delete what is off duty by calendars that have changed, and return what that was.

    Under the locks of those vans: see `edited_vans`.
    """
    vans = await duty_store.take_edits(conn)
    since = dict.fromkeys(vans, 0)
    windows = dict.fromkeys(vans, (now - KEPT_MS, now + DAY_MS))
    spans = await duty_store.load_off_spans(conn, windows, reference.calendars)
    gone = await _delete(conn, since, spans)
    await duty_store.count(conn, {}, gone)
    await _forget_rejected(conn, since, spans, reference)
    return gone


async def edited_vans(conn: Connection) -> list[int]:
    """Return the vans whose calendar has changed."""
    rows = await (await conn.execute("SELECT van_id FROM duty_edit")).fetchall()
    return [van for (van,) in rows]


def times_in(payload: bytes) -> list[int]:
    """Return the times that bytes name where positions have theirs, ms since 1970 UTC."""
    found = TIMES.findall(payload)[:TIMES_MAX]
    return [int(digits) * (1 if name == b"t" else 1_000) for name, digits in found]


def moments_of(payload: bytes, came: int) -> list[int]:
    """Return the moments at which bytes may say where a van was, ms since 1970 UTC.

    They are the times that they name; and when they came, if they name none or an impossible one.
    """
    named = times_in(payload)
    believed = [t for t in named if came - KEPT_MS < t <= came + FUTURE_MS]
    return believed if named and len(believed) == len(named) else [*believed, came]


def _van_of(rejection: Rejection, reference: Reference) -> int | None:
    """Return the van whose position a rejected message may hold."""
    van = reference.vans.get(positions_van(rejection.topic) or "")
    return None if van is None else van.van_id


def _windows(
    batch: Batch, changed: Mapping[int, int], rejected: object, now: int
) -> dict[int, Span]:
    """Return, by van, the moments at which duty has to be known."""
    windows: dict[int, Span] = {}

    def widen(van: int, since: int, until: int) -> None:
        first, last = windows.get(van, (since, until))
        windows[van] = min(first, since), max(last, until)

    for van, start, end in batch.fixes.by_van():
        widen(van, int(batch.fixes.t_ms[start]), int(batch.fixes.t_ms[end - 1]) + 1)
    for van, t in changed.items():
        widen(van, t, now + DAY_MS)
    for van, times in rejected:  # type: ignore[attr-defined]
        for t in times:
            widen(van, t, t + 1)
    return windows


async def _delete(
    conn: Connection, since: Mapping[int, int], spans: Mapping[int, Sequence[Span]]
) -> dict[int, list[int]]:
    """Delete what is stored of vans off duty, after the first moment at which that has changed."""
    return await duty_store.delete_off_duty(
        conn,
        {
            van: [(max(first, t), until) for first, until in spans.get(van, ()) if until > t]
            for van, t in since.items()
        },
    )


def _drop_fixes(batch: Batch, spans: Mapping[int, Sequence[Span]]) -> dict[int, list[int]]:
    """Take fixes that are off duty out of a batch, and return their times by van."""
    dropped: dict[int, list[int]] = defaultdict(list)
    kept = np.ones(len(batch.fixes), dtype=np.bool_)
    for van, start, end in batch.fixes.by_van():
        if of_van := spans.get(van):
            t_ms = batch.fixes.t_ms[start:end]
            off = within(of_van, t_ms)
            kept[start:end] = ~off
            if off.any():
                dropped[van] += t_ms[off].tolist()
    if not kept.all():
        batch.fixes = batch.fixes.where(kept)
    return dropped


async def _forget_rejected(
    conn: Connection,
    vans: Mapping[int, int],
    spans: Mapping[int, Sequence[Span]],
    reference: Reference,
) -> None:
    """Delete rejected messages that may hold a position of a time that turns out to be off duty."""
    of_code = {van.code: van.van_id for van in reference.vans.values() if van.van_id in vans}
    codes = [code for code, van in of_code.items() if van in spans]
    if not codes:
        return
    rows = await (await conn.execute(REJECTED, (codes,))).fetchall()
    gone = [
        rejected_id
        for rejected_id, topic, payload, code, received in rows
        if positions_van(topic) is not None
        and any(is_within(spans[of_code[code]], t) for t in moments_of(bytes(payload), received))
    ]
    if gone:
        await conn.execute(FORGET_REJECTED, (gone,))
