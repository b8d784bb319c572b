"""What processes hold of the machine's memory, as Linux tells it.

A page that several processes map is one page of the machine: PostgreSQL's buffers are in each of its
processes, a forked child shares what it has not written to. Resident memory (RSS) counts such a page in
every process, so that a sum of it tells of memory that is not there. The proportional set size (PSS) gives
each process its share of it, and may be summed. Who may not look into a process (another user's) is
told its RSS.
"""

from collections.abc import Iterator
from typing import Final

from benchmarks import cpu

#: In /proc, kB are units of 1,024 bytes; MB are of a million here, as everywhere in `benchmarks`.
BYTES_PER_KB: Final = 1_024


def of(pid: int) -> float:
    """Return a process's PSS, or its RSS where that cannot be read, MB; 0 if it is gone."""
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = (cpu.PROC / str(pid) / name).read_text().splitlines()
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
        found = next((line for line in lines if line.startswith(field)), None)
        if found is not None:
            return int(found.split()[1]) * BYTES_PER_KB / 1e6
    return 0.0


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all that it has started, and that runs."""
    yield pid
    for child in cpu.children(pid):
        yield from tree(child)


def of_tree(pid: int) -> float:
    """Return what a process and all that it has started hold together, MB."""
    return sum(of(each) for each in tree(pid))
