"""What works, what is missing, and what to do about it."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import aiomqtt
import psycopg
import yoyo

from ops import entry, retention, webhooks
from ops.finding import Finding
from storage import backlog, broker
from storage.pool import SCHEMA
from storage.settings import Settings, as_datetime, clock

PYTHON_MIN = (3, 11)

WEBHOOKS = """
SELECT webhook.webhook_id, off_reason, count(delivery_id),
       (array_agg(last_error ORDER BY changed_time DESC))[1]
FROM webhook LEFT JOIN webhook_delivery AS it
  ON it.webhook_id = webhook.webhook_id AND state = 'dead'
GROUP BY webhook.webhook_id ORDER BY webhook.webhook_id
"""

#: Of the last two days that anybody was counted on, worst first.
NOT_KEPT = """
SELECT sender, day, not_kept FROM rejected_quota
WHERE not_kept > 0 AND day >= (SELECT max(day) - 1 FROM rejected_quota)
ORDER BY not_kept DESC LIMIT 5
"""


async def examine(settings: Settings) -> list[Finding]:
    """Return what was found of Python, the database and the broker, in the order to mend it."""
    version = ".".join(map(str, sys.version_info[:3]))
    findings = [Finding(sys.version_info < PYTHON_MIN, f"Python {version}")]
    findings += _database(settings)
    findings.append(await _broker(settings))
    findings += entry.certificates(settings, datetime.now(UTC))
    findings += [finding async for finding in _backlog(settings.broker_monitor_url)]
    if os.geteuid() == 0:
        findings.append(
            Finding(
                is_bad=False,
                text="runs as root: the embedded PostgreSQL then keeps its data in /var/lib/cordee",
            )
        )
    return findings


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        with psycopg.connect(settings.database_url, connect_timeout=5) as conn:
            yield Finding(
                is_bad=False, text=f"PostgreSQL {conn.info.server_version // 10_000} answers"
            )
            yield from _schema(conn)
            for look in (
                partial(entry.admins, conn, settings),
                partial(entry.credentials, conn, settings),
                partial(_webhooks, conn),
                partial(_not_kept, conn),
                partial(_retention, conn, settings),
            ):
                yield from _if_it_can_be_asked(conn, look)
            yield _timescale(conn)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        yield Finding(
            is_bad=True, text=f"no database: {reason}. Start it, or set CORDEE_DATABASE_URL."
        )


def _if_it_can_be_asked(
    conn: psycopg.Connection, look: Callable[[], Iterator[Finding]]
) -> list[Finding]:
    """Return what a look at the tables finds; nothing if the schema is too old for its questions."""
    try:
        with conn.transaction():
            return list(look())
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return []


def _schema(conn: psycopg.Connection) -> Iterator[Finding]:
    wanted = {migration.id for migration in yoyo.read_migrations(str(SCHEMA))}
    try:
        with conn.transaction():
            rows = conn.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    except psycopg.errors.UndefinedTable:
        rows = []
    missing = sorted(wanted - {row[0] for row in rows})
    if missing:
        text = f"the schema lacks {', '.join(missing)}: run `cordee migrate`"
        yield Finding(is_bad=True, text=text)
        return
    yield Finding(is_bad=False, text=f"the schema is current ({max(wanted)})")
    vans = conn.execute("SELECT count(*) FROM van").fetchone()
    if vans == (0,):
        text = "no van is known: `cordee import vans FILE`, or every message will be rejected"
        yield Finding(is_bad=True, text=text)


def _not_kept(conn: psycopg.Connection) -> Iterator[Finding]:
    """Yield who sends more that cannot be used than is kept."""
    for sender, day, not_kept in conn.execute(NOT_KEPT).fetchall():
        text = (
            f"{sender} sent {not_kept:,} unusable messages more than are kept of a day, on {day}:"
            " look at its rejected ones with the reason over_quota, and mend or bar the device"
        )
        yield Finding(is_bad=True, text=text)


def _webhooks(conn: psycopg.Connection) -> Iterator[Finding]:
    """Yield what is wrong with webhooks; nothing if there are none."""
    rows = conn.execute(WEBHOOKS).fetchall()
    for webhook_id, off_reason, dead, last_error in rows:
        if dead:
            text = (
                f"messages given up for webhook {webhook_id}: {dead}, the last for {last_error}."
                f" Mend that, then `cordee webhook resend --webhook {webhook_id}`"
            )
            yield Finding(is_bad=True, text=text)
        if off_reason is not None:
            text = f"webhook {webhook_id} is off: {off_reason}"
            yield Finding(is_bad=off_reason != webhooks.BY_HAND, text=text)
    if rows and not any(off_reason is not None or dead for _, off_reason, dead, _ in rows):
        yield Finding(is_bad=False, text=f"webhooks have missed nothing ({len(rows)} on)")


def _retention(conn: psycopg.Connection, settings: Settings) -> Iterator[Finding]:
    """Yield whether what is over is gone."""
    last = retention.last_run(conn)
    overdue = retention.overdue(conn, settings)
    if overdue:
        rows = ", ".join(f"{table} since {since}" for table, since in overdue.items())
        when = "never" if last is None else f"last on {last:%Y-%m-%d}"
        text = (
            f"kept for longer than it may be: {rows}. Deletion has run {when}: is ingest at work?"
            " `cordee retention run` deletes it now"
        )
        yield Finding(is_bad=True, text=text)
    elif last is None:
        yield Finding(is_bad=False, text="nothing is old enough to be deleted yet")
    else:
        is_stale = as_datetime(clock(settings)()) - last > retention.OVERDUE_AFTER
        text = f"deletion ran last on {last:%Y-%m-%d}; nothing is overdue"
        hint = ": is ingest at work?" if is_stale else ""
        yield Finding(is_bad=is_stale, text=text + hint)


def _timescale(conn: psycopg.Connection) -> Finding:
    found = conn.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
    ).fetchone()
    if found:
        text = f"TimescaleDB {found[0]}: fixes are compressed after 8 days"
        return Finding(is_bad=False, text=text)
    offered = conn.execute(
        "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'"
    ).fetchone()
    hint = (
        "the server has TimescaleDB but does not load it: add it to shared_preload_libraries"
        if offered
        else "no TimescaleDB: the same results on a plain table, without compression"
    )
    return Finding(is_bad=False, text=hint)


async def _broker(settings: Settings) -> Finding:
    address = f"{settings.broker_host}:{settings.broker_port}"
    try:
        async with broker.client(settings, timeout=5):
            return Finding(is_bad=False, text=f"the broker at {address} answers")
    except (aiomqtt.MqttError, broker.UnusableFileError) as error:
        text = (
            f"no broker at {address}: {error}. Start it, or set CORDEE_BROKER_HOST, _PORT, _USER,"
            " _PASSWORD and _CA."
        )
        return Finding(is_bad=True, text=text)


async def _backlog(monitor_url: str) -> AsyncIterator[Finding]:
    """Yield how full the broker is, and whether it is safe when full; nothing if it cannot be asked."""
    if not monitor_url:
        return
    try:
        it = await backlog.look(monitor_url)
    except backlog.BrokerError as error:
        yield Finding(is_bad=True, text=f"{error}. Start it, or set CORDEE_BROKER_MONITOR_URL.")
        return
    if not it.is_well:
        text = (
            "the broker calls itself ill: if its disk was full, make room, then start it again"
            " (docs/OPERATIONS.md, When the broker is full)"
        )
        yield Finding(is_bad=True, text=text)
    if it.config is not None and not it.is_safe:
        harm = "drop what it has acknowledged" if it.loses_old else "let nobody connect"
        yield Finding(is_bad=True, text=f"a full broker would {harm}: run `cordee migrate`")
    full = (
        f"the broker holds {it.messages:,} messages for ingest, {it.share:.0%} of what it may"
        f" ({it.held_bytes / 1e6:,.0f} MB)"
    )
    if it.share >= backlog.ALARM_SHARE:
        full += ": is ingest at work? At 100 % vans keep what they have"
    yield Finding(is_bad=it.share >= backlog.ALARM_SHARE, text=full)
