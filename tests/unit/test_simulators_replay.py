"""A recorded drive becomes messages, or an error that names its line."""

from pathlib import Path

import msgspec
import pytest

from ingest.messages import Position
from simulators.replay import (
    Recorded,
    outgoing_of_recording,
    parse_csv,
    parse_gpx,
    read_recording,
)

CSV = "t_ms,latitude_deg,longitude_deg\n1410324848000,48.2,11.5\n1410324847000,48.1,11.4\n"
GPX = """<?xml version="1.0"?>
<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>
<trkpt lat="48.1" lon="11.4"><time>2014-09-10T04:54:07Z</time></trkpt>
<trkpt lat="48.2" lon="11.5"><time>2014-09-10T04:54:08.500Z</time></trkpt>
</trkseg></trk></gpx>"""


def test_a_csv_is_sent_by_time() -> None:
    first, second = outgoing_of_recording(parse_csv(CSV), "van-042")
    assert first.topic == "fleet/v1/van-042/position"
    assert (first.send_ms, second.send_ms) == (1410324847000, 1410324848000)
    fix = msgspec.json.decode(first.payload, type=Position)
    assert (fix.t, fix.lat, fix.lon) == (1410324847000, 48.1, 11.4)


def test_a_recording_can_be_moved_to_now() -> None:
    first, second = outgoing_of_recording(parse_csv(CSV), "van-042", start_ms=1795412350000)
    assert (first.send_ms, second.send_ms) == (1795412350000, 1795412351000)
    assert msgspec.json.decode(first.payload, type=Position).t == 1795412350000


def test_an_empty_recording_sends_nothing() -> None:
    assert list(outgoing_of_recording((), "van-042", start_ms=5)) == []


def test_a_gpx_holds_the_same_positions() -> None:
    assert parse_gpx(GPX) == (
        Recorded(1410324847000, 48.1, 11.4),
        Recorded(1410324848500, 48.2, 11.5),
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("t,lat\n1,2\n", "line 1: no column t_ms, latitude_deg, longitude_deg"),
        ("", "line 1: no column"),
        (CSV + "x,1,2\n", "line 4: invalid literal"),
        (CSV + "1,2\n", "line 4: "),
        (CSV + "1,nan,2\n", "line 4: .* no place on Earth"),
        (CSV + "1,48,181\n", "line 4: .* no place on Earth"),
    ],
)
def test_a_bad_csv_is_refused_by_line(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_csv(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("<gpx", "no GPX"),
        (GPX.replace("<time>2014-09-10T04:54:07Z</time>", ""), "track point 1: no time"),
        (GPX.replace('lat="48.2"', 'lat="98.2"'), "track point 2: .* no place on Earth"),
        (GPX.replace('lat="48.2"', 'lat="north"'), "no GPX"),
    ],
)
def test_a_bad_gpx_is_refused_by_point(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_gpx(text)


def test_the_kind_of_file_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "drive.csv").write_text(CSV)
    (tmp_path / "drive.gpx").write_text(GPX)
    (tmp_path / "drive.kml").write_text("")
    assert len(read_recording(tmp_path / "drive.csv")) == 2
    assert len(read_recording(tmp_path / "drive.gpx")) == 2
    with pytest.raises(ValueError, match=r"expected a \.csv or a \.gpx"):
        read_recording(tmp_path / "drive.kml")
