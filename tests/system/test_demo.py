"""The demo as a user runs it: real processes, a simulated fleet, and the truth to compare with."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops import embedded
from ops.access import raw_mqtt

START_WITHIN_S = 120


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "demo"
    embedded.remove_data(tmp_path / "demo")


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a small demo beside its folder; it is stopped, however the block ends."""
    command = [sys.executable, "-m", "ops.cli", "demo", "--folder", folder.name, "--port", "0"]
    small = ["--vans", "20", "--sites", "2000", "--speed", "60"]
    with subprocess.Popen(
        [*command, *small, *arguments],
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def pid_of(folder: Path, service: str) -> int:
    """Return the process id of a service once it runs."""
    path = folder / f"{service}.pid"
    deadline = time.monotonic() + START_WITHIN_S
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{service} did not start"
        time.sleep(0.1)
    return int(path.read_text())


def lines_in(path: Path, text: str) -> int:
    return path.read_text().count(text) if path.exists() else 0


def wait_for_lines(path: Path, text: str, count: int) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while lines_in(path, text) < count:
        assert time.monotonic() < deadline, f"{path.name}: fewer than {count} times {text}"
        time.sleep(0.1)


def test_killing_ingest_in_the_middle_of_the_demo_loses_nothing(folder: Path) -> None:
    report = folder / "r.json"
    with demo(folder, "--exit-after", "60", "--report", str(report)) as process:
        first = pid_of(folder, "ingest")
        wait_for_lines(folder / "ingest.log", '"batch"', 100)
        os.kill(first, signal.SIGKILL)
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    told: dict[str, Any] = json.loads(report.read_text())
    assert told["missing"] == 0
    assert told["published"] > 2_000
    assert told["stored"] + told["rejected"] == told["published"]
    assert told["visits_true"] >= 10
    assert told["visit_precision"] >= 0.98
    assert told["visit_recall"] >= 0.98
    assert told["stock_pairs"] > 20_000
    assert told["stock_pairs_wrong"] == 0
    assert told["orders"] > 0
    assert told["stock"]["units_asked"] > 10
    assert 0 <= told["stock"]["out_share"] <= 1
    assert lines_in(folder / "ingest.log", "connected to the broker") >= 2


def test_a_demo_with_credentials_loses_nothing_and_lets_in_nobody_else(folder: Path) -> None:
    report = folder / "r.json"
    with demo(folder, "--credentials", "--exit-after", "30", "--report", str(report)) as process:
        wait_for_lines(folder / "ingest.log", '"batch"', 20)
        port = re.search(r'mqtt \{ listen: "127.0.0.1:(\d+)"', (folder / "nats.conf").read_text())
        assert port
        assert raw_mqtt.CONNECTED not in asyncio.run(
            raw_mqtt.answer(int(port[1]), None, raw_mqtt.connect("anybody", None, None))
        )
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    told: dict[str, Any] = json.loads(report.read_text())
    assert told["missing"] == 0
    assert told["published"] > 500
    logins = json.loads((folder / "logins.json").read_text())
    assert len({user for user, _ in logins.values()}) == told["vans"]


def test_a_second_run_goes_on_from_the_same_data(folder: Path) -> None:
    with demo(folder, "--exit-after", "4") as process:
        output, _ = process.communicate(timeout=START_WITHIN_S)
    assert process.returncode == 0, output
    stopped_at = json.loads((folder / "clock.json").read_text())["simulated_ms"]
    report = folder / "r.json"
    with demo(folder, "--exit-after", "4", "--report", str(report)) as process:
        output, _ = process.communicate(timeout=START_WITHIN_S)
    assert process.returncode == 0, output
    told: dict[str, Any] = json.loads(report.read_text())
    assert told["missing"] == 0
    runs = [
        json.loads(line)
        for line in (folder / "truth.jsonl").read_text().splitlines()
        if '"kind":"run"' in line
    ]
    assert len(runs) == 2
    assert 0 <= runs[1]["since_ms"] - stopped_at < 60_000 * 60


def test_a_demo_whose_broker_dies_says_so_with_the_end_of_its_log(folder: Path) -> None:
    with demo(folder, "--exit-after", "60") as process:
        pid_of(folder, "api")
        os.kill(int((folder / "nats.pid").read_text()), signal.SIGKILL)
        output, _ = process.communicate(timeout=START_WITHIN_S)
    assert process.returncode == 1
    assert "NATS Server ended with code -9" in output
    assert "end of" in output


def test_a_second_demo_in_one_folder_is_refused(folder: Path) -> None:
    with demo(folder, "--exit-after", "60") as process:
        pid_of(folder, "api")
        with demo(folder, "--exit-after", "1") as second:
            output, _ = second.communicate(timeout=START_WITHIN_S)
        assert second.returncode == 1
        assert "runs in" in output
        assert process.poll() is None
