"""The questions about what was done at sites: visits with their parts, and what was written and signed.

Scoped by organisation, and by client company where one asks; reads, never commits. A visit comes from
where the van was, a report from its tablet; that they belong together says the view `reported_visit`.
No position, no van and no other site is told.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from api.answers import PartUsed, SignedReport, VisitReport
from api.auth import OrganisationId
from api.queries.client_sites import WHICH, WhichSites, values
from api.times import ms
from stock_tracker.papers.visit_report import Part, Presence, Signature, VisitPaper
from storage.pool import Connection

#: Parts that were used at a visit, while it lasted.
PARTS: Final = """
  coalesce((
    SELECT jsonb_agg(jsonb_build_object(
      'item', item.ref, 'name', item.name, 'base_unit', item.base_unit,
      'kind', used.kind, 'qty', used.qty) ORDER BY used.t, item.ref)
    FROM charge AS used JOIN item USING (item_id)
    WHERE (used.van_id, used.site_id, used.arrived_at)
        = (visit.van_id, visit.site_id, visit.arrived_at)
      AND used.kind IN ('issue', 'return')
      AND used.t BETWEEN visit.arrived_at
        AND coalesce(visit.left_at + INTERVAL '10 minutes', 'infinity')
  ), '[]')
"""
WRITTEN: Final = f"""
  jsonb_build_object(
    'report', said.report_id, 't_ms', {ms("said.t")}, 'work', said.work,
    'work_order', said.work_order, 'author', said.author, 'signer', said.signer,
    'signer_role', said.signer_role, 'absent', said.is_absent)
"""
#: What was written of a visit. That its time is near is known from the view, and spares looking further.
SIGNED: Final = f"""
  coalesce((
    SELECT jsonb_agg({WRITTEN} ORDER BY said.t, said.report_id) FROM reported_visit AS said
    WHERE (said.van_id, said.site_id, said.arrived_at)
        = (visit.van_id, visit.site_id, visit.arrived_at)
      AND said.t BETWEEN visit.arrived_at - INTERVAL '15 minutes'
        AND coalesce(visit.left_at + INTERVAL '12 hours', 'infinity')
  ), '[]')
"""

VISITS: Final = f"""
  SELECT site.code AS site, site.name AS site_name, client.code AS client,
         technician.name AS technician, {ms("visit.arrived_at")} AS arrived_at_ms,
         {ms("visit.last_inside_at")} AS last_inside_at_ms, {ms("visit.left_at")} AS left_at_ms,
         extract(epoch FROM visit.last_inside_at - visit.arrived_at)::integer AS dwell_s,
         visit.uncertain, {ms("stop.window_start")} AS window_start_ms,
         {ms("stop.window_end")} AS window_end_ms, stop.work_order, {PARTS} AS parts,
         {SIGNED} AS signed
  FROM visit
  JOIN site ON site.site_id = visit.site_id
  JOIN van ON van.van_id = visit.van_id AND van.organisation_id = site.organisation_id
  LEFT JOIN client ON client.client_id = site.client_id
  LEFT JOIN technician ON technician.technician_id = van.technician_id
  LEFT JOIN stop ON stop.stop_id = visit.stop_id
  WHERE {WHICH} AND visit.arrived_at >= %(since)s AND visit.arrived_at < %(until)s
    AND visit.verdict = 'visit' AND visit.shadowed_by IS NULL
  ORDER BY visit.arrived_at DESC, site.code, van.code
  LIMIT %(limit)s
"""
#: Reports of sites where the van was not seen.
ALONE: Final = f"""
  SELECT site.code AS site, site.name AS site_name, client.code AS client,
         technician.name AS technician, NULL AS arrived_at_ms, NULL AS last_inside_at_ms,
         NULL AS left_at_ms, NULL AS dwell_s, false AS uncertain,
         {ms("stop.window_start")} AS window_start_ms, {ms("stop.window_end")} AS window_end_ms,
         coalesce(stop.work_order, said.work_order) AS work_order, '[]'::jsonb AS parts,
         jsonb_build_array({WRITTEN}) AS signed
  FROM reported_visit AS said
  JOIN site USING (site_id)
  JOIN van ON van.van_id = said.van_id
  LEFT JOIN client ON client.client_id = site.client_id
  LEFT JOIN technician ON technician.technician_id = van.technician_id
  LEFT JOIN stop ON stop.stop_id = said.planned_stop_id
  WHERE {WHICH} AND said.t >= %(since)s AND said.t < %(until)s AND said.arrived_at IS NULL
  ORDER BY said.t DESC, said.report_id
  LIMIT %(limit)s
"""
PAPER: Final = f"""
  SELECT said.report_id AS report, site.code AS site, site.name AS site_name, site.time_zone,
         client.name AS client, coalesce(said.author, technician.name) AS technician,
         coalesce(said.work_order, stop.work_order) AS work_order, stop.window_start,
         stop.window_end, visit.arrived_at, visit.left_at,
         coalesce(visit.uncertain, false) AS uncertain, said.t, said.work, said.signer,
         said.signer_role, said.signature_svg, said.signature_png, {PARTS} AS parts
  FROM reported_visit AS said
  JOIN site USING (site_id)
  JOIN van ON van.van_id = said.van_id
  LEFT JOIN visit ON (visit.van_id, visit.site_id, visit.arrived_at)
    = (said.van_id, said.site_id, said.arrived_at)
  LEFT JOIN client ON client.client_id = site.client_id
  LEFT JOIN technician ON technician.technician_id = van.technician_id
  LEFT JOIN stop ON stop.stop_id = said.planned_stop_id
  WHERE {WHICH} AND said.report_id = %(report)s
"""


async def reports(
    conn: Connection, organisation: OrganisationId, which: WhichSites, limit: int
) -> list[VisitReport]:
    """Return up to `limit` visits and reports that belong to none, newest first."""
    found: list[VisitReport] = []
    for query in (VISITS, ALONE):
        async with conn.cursor(row_factory=class_row(VisitReport)) as cursor:
            await cursor.execute(query, values(organisation, which, limit))
            found += [_read(report) for report in await cursor.fetchall()]
    return sorted(found, key=_time_ms, reverse=True)[:limit]


def _read(report: VisitReport) -> VisitReport:
    """Return a report whose lists are still JSON as it should be."""
    parts: Any = report.parts
    signed: Any = report.signed
    return replace(
        report,
        parts=[PartUsed(**part) for part in parts],
        signed=[SignedReport(**it) for it in signed],
    )


def _time_ms(report: VisitReport) -> int:
    return report.signed[0].t_ms if report.arrived_at_ms is None else report.arrived_at_ms


@dataclass(frozen=True, slots=True)
class _Paper:
    report: str
    site: str
    site_name: str
    time_zone: str
    client: str | None
    technician: str | None
    work_order: str | None
    window_start: datetime | None
    window_end: datetime | None
    arrived_at: datetime | None
    left_at: datetime | None
    uncertain: bool
    t: datetime
    work: str
    signer: str | None
    signer_role: str | None
    signature_svg: str | None
    signature_png: bytes | None
    parts: list[dict[str, Any]]

    def presence(self) -> Presence | None:
        if self.arrived_at is None:
            return None
        return Presence(self.arrived_at, self.left_at, self.uncertain)

    def planned(self) -> tuple[datetime, datetime] | None:
        if self.window_start is None or self.window_end is None:
            return None
        return self.window_start, self.window_end

    def signature(self) -> Signature | None:
        if self.signer is None:
            return None
        return Signature(self.signer, self.signer_role, self.signature_svg, self.signature_png)


async def paper(
    conn: Connection, organisation: OrganisationId, client_id: int | None, report: str
) -> VisitPaper | None:
    """Return a report as it is printed; None if there is none, or not for this client company."""
    asked = {"organisation": organisation, "client": client_id, "site": None, "report": report}
    async with conn.cursor(row_factory=class_row(_Paper)) as cursor:
        await cursor.execute(PAPER, asked)
        it = await cursor.fetchone()
    if it is None:
        return None
    return VisitPaper(
        report=it.report,
        site=(it.site, it.site_name),
        client=it.client,
        technician=it.technician,
        work_order=it.work_order,
        time_zone=it.time_zone,
        planned=it.planned(),
        presence=it.presence(),
        written_at=it.t,
        work=it.work,
        parts=tuple(
            Part(part["item"], part["name"], part["kind"], part["qty"], part["base_unit"])
            for part in it.parts
        ),
        signature=it.signature(),
    )
