"""Rubbish for a running ingest, and a database that is away: in the small."""

from ops.faults import poison, pressure
from ops.faults.poison import MAD


def test_every_message_of_a_heap_of_rubbish_is_accounted_for() -> None:
    report = poison.run(poison.Plan(seed=3, messages=6_000))
    assert report["acknowledged"] == 6_000
    assert report["ingest_alive"]
    assert report["lost"] == 0, report["lost_some"]
    assert report["accepted"] > 100
    assert report["rejected"] > 4_000
    assert report["mad_van"]["unusable"] > 1_500
    assert report["over_quota_senders"] in ([], [MAD])
    assert not poison.failed(report)


def test_with_the_database_away_memory_is_bounded_and_the_broker_keeps_the_rest() -> None:
    report = pressure.run(pressure.Plan(messages=15_000, away_s=20.0))
    assert report["lost"] == 0
    assert report["ingest_alive"]
    assert report["kept_by_broker"] == 15_000
    assert report["rss_mb_while_away"] < report["rss_mb_before"] + 100
    assert report["broker_is_empty"]
    assert not pressure.failed(report)
