"""How many cores there are for a measurement, and what processes have used so far, as Linux tells it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PROC: Final = Path("/proc")


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Let this process, and whatever it starts from here, have only so many cores."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of_them)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def _times(stat: str) -> tuple[float, float]:
    """Return the own CPU seconds and those of children that have ended, of a line of /proc/PID/stat."""
    fields = stat.rpartition(")")[2].split()
    user, system, child_user, child_system = map(int, fields[11:15])
    return (user + system) / TICKS_PER_S, (child_user + child_system) / TICKS_PER_S


def of_tree(pid: int) -> float:
    """Return the CPU seconds of a process and all that it has started; 0 if it is gone."""
    try:
        own, ended = _times((PROC / str(pid) / "stat").read_text())
    except FileNotFoundError:
        return 0.0
    return own + ended + sum(of_tree(child) for child in children(pid))


def children(pid: int) -> list[int]:
    """Return the processes that a process has started itself, and that run."""
    tasks = PROC / str(pid) / "task"
    return [int(child) for task in tasks.glob("*/children") for child in task.read_text().split()]


def of_threads(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process's first thread, and of all others together."""
    first, others = 0.0, 0.0
    for task in (PROC / str(pid) / "task").iterdir():
        own, _ = _times((task / "stat").read_text())
        if int(task.name) == pid:
            first += own
        else:
            others += own
    return first, others


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held at once, in MB."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1_000
    return 0.0
