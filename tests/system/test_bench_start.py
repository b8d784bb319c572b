"""Starts are measured, on a small scale; how long they take decides nothing here."""

import pytest

from benchmarks import start

PROCESSES = {"api", "ingest", "nats", "postgres", "relay", "simulate"}


def test_cold_and_warm_starts_are_measured_and_a_warm_one_imports_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "COLD_RUNS", 1)
    monkeypatch.setattr(start, "SETTLE_S", 1.0)
    figures = start.run(runs=1, vans=4, sites=1_200, minutes=0.05)
    for kind in ("cold", "warm"):
        assert set(figures[kind]["ready_at_s"]) == PROCESSES
        assert figures[kind]["page_s"] > 0
        assert figures[kind]["cpu_s"] > 1
    assert "Importing tours" in figures["cold"]["steps_s"]
    assert not [step for step in figures["warm"]["steps_s"] if step.startswith("Importing")]
    for held in (figures["memory_mb"], figures["memory_later_mb"]):
        assert held["all"] == pytest.approx(sum(held.values()) / 2, abs=1)
        assert all(held[name] > 1 for name in ("demo", "nats", "postgres", "relay", "simulate"))
    assert figures["installed"]["installed_mb"] > 100
