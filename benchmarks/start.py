"""How long Cordée takes to start, what its processes hold, and how large the installation is.

Each start is a whole `cordee demo`, from the moment its process is made, and looked at from outside: pages
by HTTP, everything else by what stands in the logs. A *cold* start begins with an empty folder (initdb,
every migration, a world of reference data), a *warm* one with the folder of the start before.

| figure     | what                                                                                     |
| ---------- | ---------------------------------------------------------------------------------------- |
| `page_s`   | until the first page is answered by HTTP                                                 |
| `ready_s`  | until the demo says so: all of its processes run, and somebody can sign in                |
| `cpu_s`    | CPU seconds of the demo and all that it started, until then                               |
| `steps_s`  | what the demo did meanwhile, one after the other, and how long each took                  |
| `ready_at_s` | by process, when it could do its work: it accepts connections, or says that it has its own |
| `memory_mb`  | by process, what it holds (PSS: see `memory.py`), 20 s after the last warm start          |
| `memory_later_mb` | the same after so many minutes of the demo                                          |
| `installed`  | see `installed.py`                                                                      |

Times are medians, of three cold starts and as many warm ones as asked for. What was read of files before
is still in the machine's memory: a start after the machine's own takes longer. Not measured here: making
the environment (`make setup`), which is most of the first `make run`.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from benchmarks import cpu, installed, memory
from ops.embedded import Child, ServerError, free_port, start

COLD_RUNS: Final = 3
READY_WITHIN_S: Final = 600.0
STOP_WITHIN_S: Final = 180.0
SETTLE_S: Final = 20.0
LOOK_EVERY_S: Final = 0.01
#: A page that is not answered at once will be asked for again.
PAGE_WITHIN_S: Final = 10.0

#: By process, in which log what stands once it can do its work.
MARKS: Final = {
    "postgres": "database system is ready to accept connections",
    "nats": "Server is ready",
    "ingest": "connected to the broker",
    "relay": "connected to the broker",
    "simulate": "the fleet is ready",
}
READY: Final = "Ready after"
STEP: Final = re.compile(r"^ *(\d+\.\d+) s  (\S.*?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Started:
    """One start: seconds since its process was made, and CPU seconds."""

    page_s: float
    ready_s: float
    cpu_s: float
    steps_s: dict[str, float]
    ready_at_s: dict[str, float]


def run(
    runs: int = 5, vans: int = 200, minutes: float = 0.0, sites: int = 20_000
) -> dict[str, Any]:
    """Return the figures of the table above; `minutes` is how long the last demo runs for memory.

    Raises:
        ServerError: A demo does not become ready, or does not end.
    """
    cold, warm = [], []
    held: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for nth in range(COLD_RUNS):
            if nth:
                _clean(Path(name) / "kept")
            with _demo(Path(name), vans, sites) as (_, began):
                cold.append(began)
        for nth in range(runs):
            with _demo(Path(name), vans, sites) as (child, began):
                warm.append(began)
                if nth == runs - 1:
                    held = _held(child, Path(name) / "kept", minutes)
        _clean(Path(name) / "kept")
    return {
        "vans": vans,
        "cold": summed_up(cold),
        "warm": summed_up(warm),
        **held,
        "installed": installed.run(),
    }


@contextmanager
def _demo(folder: Path, vans: int, sites: int) -> Iterator[tuple[Child, Started]]:
    """Start a demo, and stop it when the block ends; what it keeps stays."""
    port, kept = free_port(), folder / "kept"
    log = folder / "demo.log"
    log.unlink(missing_ok=True)
    known = {name: _size(kept / f"{name}.log") for name in MARKS}
    command: list[str | Path] = [
        sys.executable, "-m", "ops.cli", "demo", "--folder", kept, "--port", str(port),
        "--vans", str(vans), "--sites", str(sites),
    ]  # fmt: skip
    began = time.monotonic()
    child = start("demo", command, log, environment={"COLUMNS": "400"})
    try:
        yield child, _watched(child, began, kept, known, port)
    finally:
        child.process.send_signal(child.stop_signal)
        try:
            child.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            raise ServerError(f"the demo did not end\n{child.last_words()}") from error


def _watched(child: Child, began: float, kept: Path, known: dict[str, int], port: int) -> Started:
    """Look at a demo until everything is ready; `known` is how much of each log is of older starts."""
    page, ready, used = None, None, 0.0
    at: dict[str, float] = {}
    while page is None or ready is None or len(at) < len(MARKS):
        child.check()
        if page is None and _is_answered(port):
            page = time.monotonic() - began
        for name in MARKS.keys() - at.keys():
            if MARKS[name] in _said_since(kept / f"{name}.log", known[name]):
                at[name] = time.monotonic() - began
        if ready is None and READY in child.log.read_text():
            ready, used = time.monotonic() - began, cpu.of_tree(child.process.pid)
        if time.monotonic() - began > READY_WITHIN_S:
            raise ServerError(f"not ready: {MARKS.keys() - at.keys()}\n{child.last_words()}")
        time.sleep(LOOK_EVERY_S)
    return Started(page, ready, used, steps(child.log.read_text(), ready), at | {"api": page})


def steps(said: str, ready_s: float) -> dict[str, float]:
    """Return how long each step of a start took: until the next began, the last until all was ready, s.

    The demo counts from when its modules are imported, `ready_s` from when its process was made.
    """
    found = [(float(at), what) for at, what in STEP.findall(said)]
    own = re.search(rf"{READY} (\d+\.\d+) s", said)
    if own is None:
        return {}
    ends = [at for at, _ in found[1:]] + [float(own[1])]
    took = {what: end - at for (at, what), end in zip(found, ends, strict=True)}
    return {"Python and imports": ready_s - float(own[1])} | took


def _said_since(log: Path, known: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as said:
        said.seek(known)
        return said.read().decode(errors="replace")


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _is_answered(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=PAGE_WITHIN_S) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:  # nobody listens yet
        return False


def summed_up(starts: Iterable[Started]) -> dict[str, Any]:
    """Return the medians of some starts, and the range of the first page, s."""
    each = list(starts)

    def middle(values: Iterable[float]) -> float:
        return round(statistics.median(values), 2)

    pages = [one.page_s for one in each]
    return {
        "runs": len(each),
        "page_s": middle(pages),
        "page_s_min": round(min(pages), 2),
        "page_s_max": round(max(pages), 2),
        "ready_s": middle(one.ready_s for one in each),
        "cpu_s": middle(one.cpu_s for one in each),
        "steps_s": {
            what: middle(one.steps_s.get(what, 0.0) for one in each) for what in each[-1].steps_s
        },
        "ready_at_s": {
            name: middle(one.ready_at_s[name] for one in each)
            for name in sorted(each[-1].ready_at_s)
        },
    }


def _held(child: Child, kept: Path, minutes: float) -> dict[str, Any]:
    """Return what each process holds soon after the start, and again after some minutes."""
    time.sleep(SETTLE_S)
    found: dict[str, Any] = {"memory_mb": by_process(child.process.pid, kept)}
    if minutes:
        time.sleep(max(0.0, 60 * minutes - SETTLE_S))
        child.check()
        later = by_process(child.process.pid, kept)
        found |= {"memory_later_mb": later, "minutes": minutes}
    return found


def by_process(demo: int, kept: Path) -> dict[str, float]:
    """Return what the demo and each of its children, with theirs, hold, MB, and all together."""
    names = {int(path.read_text()): path.stem for path in kept.glob("*.pid")}
    found = {"demo": memory.of(demo)}
    for child in cpu.children(demo):
        comm = (cpu.PROC / str(child) / "comm").read_text().strip()
        found[names.get(child, comm)] = memory.of_tree(child)
    told = {name: round(mb, 1) for name, mb in sorted(found.items())}
    return told | {"all": round(sum(found.values()), 1)}


def _clean(kept: Path) -> None:
    clean = [sys.executable, "-m", "ops.cli", "clean", "--folder", str(kept)]
    subprocess.run(clean, check=True)  # noqa: S603
