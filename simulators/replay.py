"""Sends a recorded drive as if one van drove it now: from CSV or GPX to position messages.

CSV has the columns `t_ms,latitude_deg,longitude_deg` (UTC, WGS 84); others are ignored. GPX is read
by gpxpy; its track points need a time. The publisher keeps the pace.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gpxpy
import gpxpy.gpx

from ingest.messages import Position, encode
from simulators.faults import Outgoing

COLUMNS: Final = ("t_ms", "latitude_deg", "longitude_deg")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded position, WGS 84."""

    t_ms: int
    latitude_deg: float
    longitude_deg: float


def parse_csv(text: str) -> tuple[Recorded, ...]:
    """Return the positions of a CSV text, in its order.

    Raises:
        ValueError: A column is missing, or a line is no position; the message names the line.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"line 1: no column {', '.join(missing)}")
    recorded = []
    for row in reader:
        try:
            fix = Recorded(
                int(row["t_ms"]), float(row["latitude_deg"]), float(row["longitude_deg"])
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error
        if not _on_earth(fix):
            raise ValueError(f"line {reader.line_num}: {fix} is no place on Earth")
        recorded.append(fix)
    return tuple(recorded)


def parse_gpx(text: str) -> tuple[Recorded, ...]:
    """Return the track points of a GPX text, in its order.

    Raises:
        ValueError: The text is no GPX, or a point has no time; the message names it.
    """
    try:
        gpx = gpxpy.parse(text)
    except (gpxpy.gpx.GPXException, ValueError) as error:
        raise ValueError(f"no GPX: {error}") from error
    recorded = []
    points = (
        point for track in gpx.tracks for segment in track.segments for point in segment.points
    )
    for number, point in enumerate(points, start=1):
        if point.time is None:
            raise ValueError(f"track point {number}: no time")
        fix = Recorded(
            round(point.time.timestamp() * 1000), float(point.latitude), float(point.longitude)
        )
        if not _on_earth(fix):
            raise ValueError(f"track point {number}: {fix} is no place on Earth")
        recorded.append(fix)
    return tuple(recorded)


def _on_earth(fix: Recorded) -> bool:
    return (
        math.isfinite(fix.latitude_deg)
        and abs(fix.latitude_deg) <= 90
        and math.isfinite(fix.longitude_deg)
        and abs(fix.longitude_deg) <= 180
    )


def read_recording(path: Path) -> tuple[Recorded, ...]:
    """Return the positions of a `.csv` or `.gpx` file.

    Raises:
        ValueError: It is neither, or its content is no recording.
    """
    parsers = {".csv": parse_csv, ".gpx": parse_gpx}
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise ValueError(f"{path}: expected a .csv or a .gpx file")
    return parse(path.read_text(encoding="utf-8-sig"))


def outgoing_of_recording(
    recorded: Iterable[Recorded], van: str, *, start_ms: int | None = None
) -> Iterator[Outgoing]:
    """Yield the positions as messages of `van`, by time.

    With `start_ms` all times are moved so that the first one is it; else they stay as recorded.
    """
    fixes = sorted(recorded, key=lambda fix: fix.t_ms)
    moved_ms = start_ms - fixes[0].t_ms if fixes and start_ms is not None else 0
    for fix in fixes:
        t_ms = fix.t_ms + moved_ms
        yield Outgoing(
            send_ms=t_ms,
            topic=f"fleet/v1/{van}/position",
            payload=encode(Position(t=t_ms, lat=fix.latitude_deg, lon=fix.longitude_deg)),
            made_ms=t_ms,
        )
