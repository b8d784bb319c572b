"""A recorded drive through servers of its own: what would Cordée have said of it?"""

import asyncio
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from ops import embedded, imports, ready
from ops.services import Services
from simulators.publisher import publish
from simulators.replay import outgoing_of_recording, read_recording
from storage.settings import Settings, clock, real_ms

#: How long the tables may take after the last message.
DRAIN_S_MAX = 30.0

TOURS = "tour,van,date,stop,site,window_start,window_end,planned_minutes,work_order\n"

VERDICTS = """
SELECT site.code, coalesce(string_agg(verdict || CASE WHEN shadowed_by IS NULL THEN ''
                                                      ELSE ' (shadowed)' END,
                                      ', ' ORDER BY arrived_at), 'nothing')
FROM site LEFT JOIN visit USING (site_id)
GROUP BY site.code
"""


def run(file: Path, van: str, sites: Path | None, speed: float) -> dict[str, Any]:
    """Publish the drive as `van`, and return what was stored and what was said of each site.

    Sites whose properties say `planned` are put on the van's tour of that day. `as_expected` is
    whether every fix was stored and every site with an `expect` is judged so.

    Raises:
        ValueError: The recording or the sites cannot be used; the message says why.
        embedded.ServerError: A server did not start.
    """
    recorded = sorted(read_recording(file), key=lambda fix: fix.t_ms)
    if not recorded:
        raise ValueError(f"{file} holds no positions")
    first_ms, last_ms = recorded[0].t_ms, recorded[-1].t_ms
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with embedded.servers(folder) as servers:
            settings = Settings(
                database_url=servers.database_url,
                broker_port=servers.mqtt_port,
                clock_origin_ms=first_ms,
                clock_factor=speed,
            )
            asyncio.run(ready.prepare(settings))
            expected = _import(settings, folder, van, sites, first_ms)
            settings = settings.model_copy(update={"clock_start_ms": real_ms()})
            services = Services(settings, folder)
            services.start("ingest")
            try:
                asyncio.run(_publish(settings, outgoing_of_recording(recorded, van)))
                outcome = _outcome(settings, expected, len({fix.t_ms for fix in recorded}))
            finally:
                services.stop_all()
        embedded.remove_data(folder)
    return {"drive_s": (last_ms - first_ms) / 1_000, **outcome}


def _import(
    settings: Settings, folder: Path, van: str, sites: Path | None, first_ms: int
) -> dict[str, str]:
    """Import the van, the sites and the tour they plan; return what is expected of each site."""
    vans = folder / "vans.csv"
    vans.write_text(f"van,name,technician,template,warehouse\n{van},{van},,,\n")
    _import_file(settings, "vans", vans)
    if sites is None:
        return {}
    _import_file(settings, "sites", sites)
    features = [feature["properties"] for feature in json.loads(sites.read_bytes())["features"]]
    code = {id(p): str(p.get("site", p.get("name"))) for p in features}
    day = datetime.fromtimestamp(first_ms / 1_000, UTC)
    window = f"{day:%Y-%m-%d}T00:00Z,{day + timedelta(days=1):%Y-%m-%d}T00:00Z"
    stops = [
        f"replay,{van},{day:%Y-%m-%d},{number},{code[id(p)]},{window},10,"
        for number, p in enumerate((p for p in features if p.get("planned")), start=1)
    ]
    tours = folder / "tours.csv"
    tours.write_text(TOURS + "\n".join(stops) + "\n")
    _import_file(settings, "tours", tours)
    return {code[id(p)]: p["expect"] for p in features if "expect" in p}


def _import_file(settings: Settings, kind: str, file: Path) -> None:
    result = asyncio.run(imports.import_file(settings, kind, file))
    if result.bad:
        raise ValueError(f"{file}:\n" + "\n".join(imports.in_words(result)))


async def _publish(settings: Settings, outgoing: Any) -> None:
    await publish(
        outgoing,
        host=settings.broker_host,
        port=settings.broker_port,
        user=None,
        password=None,
        clock=clock(settings),
        speed=settings.clock_factor,
        record=lambda _message, _real_ms: None,
        stop=asyncio.Event(),
        connections=1,
    )


def _outcome(settings: Settings, expected: dict[str, str], published: int) -> dict[str, Any]:
    """Wait until every fix is in the tables, and return what they say."""
    deadline = time.monotonic() + DRAIN_S_MAX
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        while True:
            (stored,) = conn.execute("SELECT count(*) FROM fix").fetchone() or (0,)
            (rejected,) = conn.execute("SELECT count(*) FROM rejected").fetchone() or (0,)
            if stored + rejected >= published or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        verdicts: dict[str, str] = dict(conn.execute(VERDICTS).fetchall())
    sites = {
        site: {"expect": expected.get(site), "verdict": verdict}
        for site, verdict in sorted(verdicts.items())
    }
    return {
        "published": published,
        "stored": stored,
        "rejected": rejected,
        "sites": sites,
        "as_expected": stored == published
        and all(s["expect"] in {None, s["verdict"]} for s in sites.values()),
    }
