"""The command `cordee replay`, as a user runs it, on the recorded drive."""

import json
import subprocess
import sys
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli", "replay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_recorded_drive_is_stored_whole_and_every_site_judged_as_expected(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    done = replay(
        DATA / "munich_drive.csv",
        *("--van", "van-001", "--sites", DATA / "munich_drive_sites.geojson"),
        *("--speed", "1000", "--report", report),
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(report.read_text())
    assert (outcome["published"], outcome["stored"], outcome["rejected"]) == (1194, 1194, 0)
    assert {site: said["verdict"] for site, said in outcome["sites"].items()} == {
        "start": "pass",
        "red-light": "pass",
        "client": "visit",
        "end": "undecided",
    }


def test_a_file_that_is_no_recording_is_refused_in_words(tmp_path: Path) -> None:
    wrong = tmp_path / "drive.csv"
    wrong.write_text("t_ms,latitude_deg,longitude_deg\n1,2,north\n")
    done = replay(wrong)
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr
