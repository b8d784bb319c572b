"""What the measurement of starts, memory and install size works out of what it reads."""

import os
import subprocess
import sys

import pytest

from benchmarks import installed, memory, start

SAID = """
  0.02 s  Starting PostgreSQL and NATS
  0.52 s  Bringing the database up to date
  1.02 s  Starting ingest, relay, API and the fleet

Ready after 4.0 s. Open http://127.0.0.1:8000/   user admin, password x (shown this once)
"""


def test_each_step_takes_until_the_next_begins_and_the_first_is_what_came_before_the_demo() -> None:
    assert start.steps(SAID, ready_s=5.5) == pytest.approx(
        {
            "Python and imports": 1.5,
            "Starting PostgreSQL and NATS": 0.5,
            "Bringing the database up to date": 0.5,
            "Starting ingest, relay, API and the fleet": 2.98,
        }
    )


def test_a_start_that_was_never_ready_has_no_steps() -> None:
    assert start.steps("  0.02 s  Starting PostgreSQL and NATS\n", ready_s=1.0) == {}


def test_of_several_starts_the_medians_are_told_and_how_far_apart_first_pages_were() -> None:
    each = [
        start.Started(page, page + 1, 2 * page, {"import": page / 2}, {"api": page})
        for page in (3.0, 9.0, 4.0)
    ]
    assert start.summed_up(each) == {
        "runs": 3,
        "page_s": 4.0,
        "page_s_min": 3.0,
        "page_s_max": 9.0,
        "ready_s": 5.0,
        "cpu_s": 8.0,
        "steps_s": {"import": 2.0},
        "ready_at_s": {"api": 4.0},
    }


def test_a_process_that_is_gone_holds_nothing_and_one_that_runs_more_than_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in memory.tree(os.getpid())
        assert memory.of(child.pid) > 0
        assert memory.of_tree(os.getpid()) > memory.of(child.pid)
        child.communicate(b"\n")
    assert memory.of(child.pid) == 0


def test_what_running_needs_is_told_apart_from_the_tools_of_developers() -> None:
    sizes = {
        "numpy": 70_000_000,
        "psycopg-binary": 10_000_000,
        "mypy": 60_000_000,
        "pip": 5_000_000,
    }
    lock = "numpy==2.4.6 \\\n    --hash=sha256:0\nnumpy==2.5.5 ; python_version >= '3.12'\npsycopg_binary==3.3.9\n"
    assert installed.figures(sizes, lock) == {
        "distributions": 3,
        "installed_mb": 85.0,
        "largest_mb": {"numpy": 70.0, "psycopg-binary": 10.0, "pip": 5.0},
        "tools_of_developers_mb": 60.0,
    }
    assert installed.figures(sizes, None)["installed_mb"] == 145.0


def test_of_many_distributions_ten_are_named() -> None:
    sizes = {f"d{n}": n for n in range(30)}
    assert list(installed.figures(sizes, None)["largest_mb"]) == [
        f"d{n}" for n in range(29, 19, -1)
    ]
