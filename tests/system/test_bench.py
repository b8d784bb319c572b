"""The benchmarks run, on a small scale; what they measure decides nothing here."""

import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks import engine as bench
from benchmarks import history, queries, tsbs
from benchmarks.history import Size
from ops import embedded
from storage.pool import Connection


def test_the_engine_is_measured_by_number_of_fences() -> None:
    figures = bench.geofence(runs=1, vans=3, sites=1_200, numbers=(1_000, 2_000))
    assert figures["fixes"] > 3_000
    for number in (1_000, 2_000):
        assert all(figures[f"fences_{number}"].values())


def test_a_late_fix_is_measured_beside_one_in_time() -> None:
    figures = bench.late(samples=2, vans=2, sites=1_200)
    assert all(figures[f"late_{hours:g}_h"]["late_ms"] for hours in bench.HOURS_LATE)


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    return queries.run(Size(vans=2, days=2, sites=1_200, items=100))


def test_what_was_filled_once_is_asked_again_without_filling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = Size(vans=2, days=1, sites=1_200, items=10)
    monkeypatch.setattr(queries, "PAGES", {})
    monkeypatch.setattr(tsbs, "ASKED", ())
    try:
        first = queries.run(size, data=tmp_path)
        monkeypatch.setattr(queries, "fill", None)
        again = queries.run(size, data=tmp_path)
    finally:
        embedded.remove_data(tmp_path)
    assert first["fixes"] == again["fixes"] == 2 * 8_640


def test_every_page_s_question_is_asked_of_a_past_with_all_its_fixes(asked: dict[str, Any]) -> None:
    assert asked["fixes"] == 2 * 2 * 8_640
    assert asked["bytes_per_fix"] > 80
    assert set(asked["pages"]) == set(queries.PAGES)
    for figures in asked["pages"].values():
        assert 0 < figures["p50_ms"] <= figures["p99_ms"]
        assert figures["samples"] >= queries.SAMPLES_MIN
        assert figures["plan"]


def test_the_questions_of_tsbs_are_asked_as_far_as_there_are_columns(asked: dict[str, Any]) -> None:
    assert [int(name.split()[0]) for name in asked["tsbs"]] == [1, 2, 5, 6, 7, 9, 10]
    said = re.findall(
        r"^\| (\d+)\s+\| \S+\s+\| (yes|no)\s+\| (.*?)\s*\|$", tsbs.__doc__ or "", re.MULTILINE
    )
    assert [int(number) for number, _, _ in said] == list(range(1, 14))
    assert [int(number) for number, is_asked, _ in said if is_asked == "yes"] == [
        question.number for question in tsbs.ASKED
    ]
    assert all((why == "") == (is_asked == "yes") for _, is_asked, why in said)


def test_what_vans_drove_is_what_was_made_for_them(postgres_url: str) -> None:
    url = embedded.ensure_database(postgres_url, "made")
    size = Size(vans=2, days=2, sites=1_200, items=100)
    history.fill(url, size)
    with psycopg.connect(url) as conn:
        by_name = {question.name: question.sql for question in tsbs.ASKED}
        rows = conn.execute(by_name["avg-daily-driving-duration"]).fetchall()
        assert [float(hours) for *_, hours in rows] == [3.0, 3.0]
        since = datetime.combine(size.first, time(5), UTC)
        values = {"fleet": None, "since": since, "until": since + timedelta(minutes=10)}
        (fleet,) = conn.execute("SELECT min(template_id) FROM van").fetchone() or (0,)
        standing = by_name["stationary-trucks"].encode()
        values["fleet"] = fleet
        assert conn.execute(standing, values).fetchall() == []
        values["until"] = since
        values["since"] = since - timedelta(minutes=10)
        assert conn.execute(standing, values).fetchall() != []
    with pytest.raises(history.NotEmptyError, match="name an empty one"):
        history.fill(url, size)


def test_a_question_that_reads_all_fixes_fails_the_run_and_is_named(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def worst(conn: Connection, _: queries.Sample) -> object:
        return await (await conn.execute("SELECT max(speed_mps) FROM fix")).fetchall()

    monkeypatch.setattr(queries, "PAGES", {"a page: the fastest": worst})
    url = embedded.ensure_database(postgres_url, "scanned")
    with pytest.raises(queries.SequentialScanError, match="the fastest reads fix from end to end"):
        queries.run(Size(vans=2, days=1, sites=1_200, items=100), url)
