"""The SQL of visit reports: kept as they came, so that order never matters.

Two payloads under one key are two rows, and neither of them counts: the view `sound_visit_report`
leaves both out. To which visit a report belongs is asked anew each time (`reported_visit`), for
reports, visits, sites and plans may come in any order.

Functions take a connection and never commit.
"""

from collections.abc import Sequence
from typing import Final

from ingest.apply import ToldVisit
from ingest.batch import VisitReportEvent
from storage.pool import Connection
from storage.settings import as_datetime

PUT: Final = """
INSERT INTO visit_report (device, epoch, seq, payload_hash, van_id, t, site, stop_id, work, work_order,
                          author, signer, signer_role, signature_svg, signature_png, is_absent,
                          received_time)
SELECT *, %s FROM unnest(
  %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::int[], %s::timestamptz[], %s::text[],
  %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[],
  %s::boolean[])
ON CONFLICT (device, epoch, seq, payload_hash) DO NOTHING
RETURNING device, epoch, seq, payload_hash, report_id
"""
CONTESTED: Final = """
SELECT report_id FROM visit_report WHERE report_id = ANY(%s) GROUP BY report_id HAVING count(*) > 1
"""


async def put(conn: Connection, events: Sequence[VisitReportEvent], now: int) -> list[ToldVisit]:
    """Store reports, and return those that are new."""
    if not events:
        return []
    columns = [list(column) for column in zip(*map(_row, events), strict=True)]
    rows = await (await conn.execute(PUT, (as_datetime(now), *columns))).fetchall()
    reports = {tuple(key): report for *key, report in rows}
    found = await conn.execute(CONTESTED, (list(reports.values()),))
    contested = {report for (report,) in await found.fetchall()}
    told = {_key(event): event for event in events}
    return [ToldVisit(told[key], it, it in contested) for key, it in reports.items()]


def _key(event: VisitReportEvent) -> tuple[str, str, int, int]:
    return event.key.device, event.key.epoch, event.key.seq, event.payload_hash


def _row(event: VisitReportEvent) -> tuple[object, ...]:
    said = event.said
    return (
        *_key(event), event.van_id, as_datetime(said.t), said.site, said.stop, said.work,
        said.work_order, said.user, said.signer, said.signer_role, said.signature_svg,
        said.signature_png, said.absent,
    )  # fmt: skip
